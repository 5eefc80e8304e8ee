"""The candidate against the live model, on a bucket made by hand."""

from dataclasses import replace

import pytest

from carpipe.steps.views import channels
from carpipe.steps.views.candidate import hold_against
from carpipe.weights import channel
from tests.plugins import bucket


@pytest.fixture
def newer(session, made):
    """A model that came after the live one, with other figures, and the live one."""
    dataset, (_, live) = made
    trained = bucket.add_training(session, dataset, batch=64)
    figures = {"test_ece": 0.01, "test_top5_accuracy": 0.99}
    return bucket.add_model(session, dataset.key, accuracy=0.8, trained=trained.key, **figures), live


def candidate(cache):
    return channels.show_channel(cache, "classifier").candidate


def rows(cache):
    return {row.figure.name: row for row in candidate(cache).rows}


def test_the_newest_model_that_is_not_live_is_held_against_the_live_one(cache, newer):
    model, live = newer
    shown = candidate(cache)
    assert (shown.model.key, shown.live.key, shown.newer, shown.same_test) == (model.key, live.key, True, True)
    found = rows(cache)
    assert (found["top-1"].now, found["top-1"].before) == ("80.0 %", "75.0 %")
    assert (found["top-1"].change.said, found["top-1"].change.sense) == ("+5.0 points", "better")
    assert (found["top-5"].now, found["top-5"].before, found["top-5"].change.said) == ("99.0 %", "–", "")
    assert (found["photos trained on"].now, found["photos trained on"].before) == ("4", "–")
    assert [*found] == ["top-1", "top-5", "ECE", "log loss, nats", "classes", "photos trained on"]


def test_where_nothing_came_after_the_live_one_it_is_said(cache, made):
    shown = candidate(cache)
    assert (shown.model.key, shown.newer, shown.model.was_live) == (made[1][0].key, False, True)


def test_what_the_gate_saw_on_the_same_photos_is_shown_where_it_was_against_what_is_live(cache, newer, session):
    model, live = newer
    numbers = {"candidate": 0.81, "champion": 0.79}
    bucket.decide(session, model.key, at="2026-02-01T00:00:00Z", champion=made_before(session), numbers=numbers)
    assert (candidate(cache).decided_against_live, "top-1 on the same photos" in rows(cache)) == (False, False)
    bucket.decide(session, model.key, at="2026-02-02T00:00:00Z", champion=live.key, numbers=numbers)
    assert candidate(cache).decided_against_live
    assert rows(cache)["top-1 on the same photos"].change.said == "+2.0 points"


def made_before(session):
    return channel.history(session.store, "classifier")[0].model


def test_a_refusal_is_told_with_its_reasons_and_ends_with_the_next_decision(cache, newer, session):
    model, live = newer
    refusal = {"outcome": "refuse", "reasons": ["Not proven better.", "Look."], "champion": live.key}
    bucket.decide(session, model.key, at="2026-02-01T00:00:00Z", **refusal)
    bucket.decide(session, model.key, at="2026-02-02T00:00:00Z", outcome="nothing_to_do", reasons=["Refused before."])
    assert candidate(cache).model.refused == "Not proven better. Look."
    bucket.decide(session, model.key, at="2026-02-03T00:00:00Z", outcome="ask", reasons=["Decide."])
    assert candidate(cache).model.refused == ""


def test_only_what_differs_in_settings_and_data_is_named(cache, session, made):
    dataset, _ = made
    live = bucket.add_model(session, dataset.key, accuracy=0.8, trained=training(session, dataset, batch=32))
    channel.promote(session.store, "classifier", model=live.key, reason="r", run="r", at="2026-03-01T00:00:00Z")
    other = bucket.add_dataset(session, note="another")
    bucket.add_model(session, other.key, accuracy=0.9, trained=training(session, other, batch=64))
    found = {row.name: row for row in candidate(cache).differs}
    assert [*found] == ["trained on", "classifier.batch"]
    assert (found["classifier.batch"].now, found["classifier.batch"].before) == ("64", "32")
    assert found["trained on"].now_source.path == f"/data/{other.key.split('/')[1]}"
    assert found["trained on"].now.endswith("8 photos")


def test_numbers_of_photos_that_differ_lead_to_the_photos_of_each_dataset(cache, newer):
    shown = candidate(cache)
    smaller = replace(shown.live, source=replace(shown.live.source, key="datasets/other", kept=7, classes=1))
    found = {row.name: row for row in hold_against(shown.model, smaller, newer=True).differs}
    kept = found["kept of the dataset"]
    dataset = f"dataset={shown.model.source.called.id}"
    assert (kept.now, kept.before, kept.now_filters) == ("8", "7", f"{dataset}&in=yes")
    assert (found["classes of the dataset"].now, found["classes of the dataset"].now_filters) == ("2", "")


def training(session, dataset, **settings):
    return bucket.add_training(session, dataset, **settings).key


def test_where_a_training_is_gone_nobody_says_that_settings_are_equal(cache, newer):
    assert candidate(cache).differs is None


@pytest.mark.parametrize("trained", [["a"], 5, "../x", ""])
def test_a_model_that_names_no_training_has_its_place_all_the_same(cache, session, made, trained):
    bucket.add_model(session, made[0].key, accuracy=0.8, trained=trained)
    assert candidate(cache).model.photos is None


def test_before_anything_is_live_there_is_a_candidate_alone(cache, session, made):
    session.store.delete([info.key for info in session.store.list_objects("channels/classifier")])
    shown = candidate(cache)
    assert (shown.live, shown.newer, shown.differs) == (None, True, [])
    assert rows(cache)["top-1"].before == "–"
