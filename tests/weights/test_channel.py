"""Channels: one live model, every change kept, no change lost between racing publishers."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from carpipe.errors import ConflictError, InputError
from carpipe.weights import channel


def publish(store, name):
    model = f"models/classifier/{name}/manifest.json"
    store.put(model, b"{}")
    return channel.promote(
        store, "classifier", model=model, reason="test", run=f"run-{name}", at="2026-01-01T00:00:00Z"
    )


def test_a_channel_starts_empty(session):
    assert channel.read_channel(session.store, "classifier") is None
    assert channel.history(session.store, "classifier") == []


def test_each_promotion_is_a_generation_and_is_kept(session):
    releases = [publish(session.store, name) for name in ("a", "b")]

    assert [release.generation for release in releases] == [1, 2]
    assert channel.read_channel(session.store, "classifier") == releases[1]
    assert channel.history(session.store, "classifier") == releases


def test_going_back_is_one_more_generation(session):
    first = publish(session.store, "a")
    publish(session.store, "b")

    back = channel.promote(session.store, "classifier", model=first.model, reason="worse", run="r", at="t")

    assert (back.generation, back.model) == (3, first.model)


def test_promoting_the_live_model_changes_nothing(session):
    assert publish(session.store, "a") == publish(session.store, "a")
    assert len(channel.history(session.store, "classifier")) == 1


def test_a_model_that_is_not_there_is_refused(session):
    with pytest.raises(InputError, match="There is no model models/none"):
        channel.promote(session.store, "classifier", model="models/none/manifest.json", reason="", run="", at="")
    assert channel.read_channel(session.store, "classifier") is None


def test_racing_publishers_make_generations_without_gaps(session):
    def attempt(number):
        while True:
            try:
                return publish(session.store, str(number))
            except ConflictError:
                continue

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(attempt, range(8)))

    history = channel.history(session.store, "classifier")
    assert [release.generation for release in history] == list(range(1, 9))
    assert {release.run for release in history} == {f"run-{number}" for number in range(8)}


def test_a_history_entry_lost_in_a_crash_is_written_by_the_next_publisher(session):
    publish(session.store, "a")
    session.store.delete(["channels/classifier/history/000001.json"])

    publish(session.store, "b")

    assert [release.generation for release in channel.history(session.store, "classifier")] == [1, 2]


def test_a_history_entry_lost_in_a_crash_is_written_by_the_retry(session):
    release = publish(session.store, "a")
    key = "channels/classifier/history/000001.json"
    session.store.delete([key])

    assert publish(session.store, "a") == release
    assert channel.parse_release(session.store.get(key), key=key) == release


def test_a_broken_channel_is_an_error_not_an_empty_one(session):
    session.store.put("channels/classifier/production.json", b"oops")

    with pytest.raises(InputError, match="not a release"):
        channel.read_channel(session.store, "classifier")


def promote(store, name, **options):
    store.put(f"models/classifier/{name}/manifest.json", b"{}")
    options = {"reason": "test", "run": f"run-{name}", "at": "t", **options}
    return channel.promote(store, "classifier", model=f"models/classifier/{name}/manifest.json", **options)


def test_a_decision_that_was_overtaken_publishes_nothing(session):
    publish(session.store, "a")
    publish(session.store, "b")

    with pytest.raises(InputError, match="at generation 2, the decision was made at 1"):
        promote(session.store, "c", expected=1)

    assert channel.read_channel(session.store, "classifier").model.endswith("/b/manifest.json")


def test_a_retry_does_not_undo_what_somebody_did_since(session):
    first = publish(session.store, "a")
    mine = promote(session.store, "b", expected=1)
    promote(session.store, "a", run="by hand")

    again = promote(session.store, "b", expected=1)

    assert again == mine
    assert channel.read_channel(session.store, "classifier").model == first.model


def test_the_first_release_may_be_expected(session):
    assert promote(session.store, "a", expected=0).generation == 1
