"""What the page Weights shows, held against a bucket made by hand."""

import pytest

from carpipe.errors import InputError
from carpipe.steps.views import channels


def test_a_channel_in_full(cache, made):
    first, second = made[1]
    shown = channels.show_channel(cache, "classifier")
    assert shown.live.model == second.key
    assert shown.back.model == first.key
    assert [(one.key, one.live, one.was_live) for one in shown.models] == [
        (second.key, True, True),
        (first.key, False, True),
    ]
    assert shown.figures == {"test_accuracy": "top-1", "test_photos": "test photos", "test_nll": "log loss, nats"}
    assert [release.generation for release in shown.history] == [2, 1]
    assert [entry["model"] for entry in shown.decisions] == [second.key, first.key]


def test_channels_without_models_are_there_too(cache):
    assert channels.list_channels(cache) == ["classifier", "car-filter"]
    empty = channels.show_channel(cache, "car-filter")
    assert (empty.live, empty.back, empty.models, empty.history) == (None, None, [], [])
    with pytest.raises(InputError, match="the channels are classifier, car-filter"):
        channels.show_channel(cache, "nothing")


def test_a_new_release_is_seen_at_once(cache, made, session):
    from carpipe.weights import channel

    channels.show_channel(cache, "classifier")
    channel.promote(
        session.store, "classifier", model=made[1][0].key, reason="back", run="r", at="2026-01-05T00:00:00Z"
    )
    assert channels.show_channel(cache, "classifier").live.reason == "back"
