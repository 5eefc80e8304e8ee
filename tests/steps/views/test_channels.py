"""What the page Weights shows, held against a bucket made by hand."""

import pytest

from carpipe.errors import InputError
from carpipe.steps.views import channels
from carpipe.weights import channel
from tests.plugins import bucket


def test_a_channel_in_full(cache, made):
    first, second = made[1]
    shown = channels.show_channel(cache, "classifier")
    assert shown.live.model == second.key
    assert shown.back.model == first.key
    assert [(one.key, one.live, one.was_live) for one in shown.models] == [
        (second.key, True, True),
        (first.key, False, True),
    ]
    assert [figure.name for figure in shown.figures.values()] == ["top-1", "log loss, nats", "test photos"]
    assert [release.generation for release in shown.history] == [2, 1]
    assert [entry["model"] for entry in shown.decisions] == [second.key, first.key]


def test_channels_without_models_are_there_too(cache):
    assert channels.list_channels(cache) == ["classifier", "car-filter"]
    empty = channels.show_channel(cache, "car-filter")
    assert (empty.live, empty.back, empty.models, empty.history) == (None, None, [], [])
    with pytest.raises(InputError, match="the channels are classifier, car-filter"):
        channels.show_channel(cache, "nothing")


def test_a_new_release_is_seen_at_once(cache, made, session):
    channels.show_channel(cache, "classifier")
    channel.promote(
        session.store, "classifier", model=made[1][0].key, reason="back", run="r", at="2026-01-05T00:00:00Z"
    )
    assert channels.show_channel(cache, "classifier").live.reason == "back"


def add_models(session, dataset, number):
    """Models that were never live; the later, the worse."""
    return [bucket.add_model(session, dataset.key, accuracy=0.7 - n / 100) for n in range(number)]


def test_models_stand_by_date_or_by_top1_behind_the_live_one_and_some_at_a_time(cache, made, session):
    first, live = made[1]
    found = add_models(session, made[0], 8)

    def keys(**asked):
        return [one.key for one in channels.show_channel(cache, "classifier", **asked).models]

    by_top1 = [live.key, *(one.key for one in found), first.key]
    assert keys(sort="top-1", most=20) == by_top1
    assert keys(sort="top-1", most=3) == by_top1[:3]
    assert (keys()[0], len(keys())) == (live.key, 6)
    by_date = cache.manifests("models/classifier")
    assert keys(most=20)[1:] == [info.key for info in by_date if info.key != live.key]
    shown = channels.show_channel(cache, "classifier", most=2)
    assert (len(shown.models), shown.packaged) == (2, 10)
    assert {*shown.called} == {info.key for info in by_date}, "of all that the page may mention"


def test_what_the_gate_last_said_of_each_model_stands_with_it(cache, made, session):
    first, live = made[1]
    bucket.decide(session, first.key, at="2026-03-01T00:00:00Z", outcome="refuse", reasons=["Worse."])
    bucket.decide(session, first.key, at="2026-03-02T00:00:00Z", outcome="nothing_to_do", reasons=["It was refused."])
    said = {one.key: one.decision["reasons"][0] for one in channels.show_channel(cache, "classifier").models}
    assert said == {live.key: "Proven better.", first.key: "Worse."}


def test_what_was_said_long_ago_of_a_model_that_is_shown_is_found(cache, made, session):
    first, live = made[1]
    for number in range(channels.ENTRIES):
        bucket.decide(session, live.key, at=f"2026-04-01T00:00:{number:02}Z")
    shown = channels.show_channel(cache, "classifier")
    assert {one["model"] for one in shown.decisions} == {live.key}
    assert next(one for one in shown.models if one.key == first.key).decision["outcome"] == "publish"


def test_the_newest_releases_are_shown_and_all_on_demand(cache, made, session):
    for number in range(channels.ENTRIES):
        at = f"2026-05-01T00:00:{number:02}Z"
        channel.promote(session.store, "classifier", model=made[1][number % 2].key, reason="r", run=at, at=at)
    newest = channels.show_channel(cache, "classifier")
    whole = channels.show_channel(cache, "classifier", whole_history=True)
    assert [release.generation for release in newest.history] == [*range(42, 2, -1)]
    assert [release.generation for release in whole.history] == [*range(42, 0, -1)]
    assert newest.released == 42
