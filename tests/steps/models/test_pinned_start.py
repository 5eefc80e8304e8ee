"""Attempts of one run start their training alike, whatever goes live between them."""

import json
import logging
from datetime import UTC, datetime, timedelta

import pytest

from carpipe import forms, manifest
from carpipe.errors import CarpipeError, UnavailableError
from carpipe.steps import results
from carpipe.steps.models import train
from carpipe.steps.models.progress import progress_key
from carpipe.steps.models.start import record_of
from carpipe.steps.upkeep.garbage import find_garbage
from tests.steps.models.nights import Bucket, changed


@pytest.fixture
def bucket(make_session):
    return Bucket(make_session(classifier__weights="none"))


def start(bucket, data, run="night", **settings):
    return train.start_of(bucket.session, changed(bucket, **settings), data, backbone="none", run=run)


def kept(bucket):
    return [info.key for info in bucket.session.store.list_objects("runs/train/starts")]


def test_what_goes_live_or_is_decided_meanwhile_changes_nothing_for_a_run(bucket):
    _, _, live = bucket.night(bucket.dataset("a"))
    data = bucket.dataset("c")
    first = start(bucket, data)
    bucket.night(bucket.dataset("b"))
    for number in range(2, 5):
        bucket.decide("refuse", live.key, number, model=f"models/classifier/{number}/manifest.json")

    again = start(bucket, data)

    assert (first.live.key, first.chain) == (live.key, 1)
    assert again == first
    other = start(bucket, data, run="another")
    assert other.live.key != live.key
    assert bucket.start(data) == other, "a command has no run"
    assert len(kept(bucket)) == 2


def test_a_cold_start_stays_cold_and_a_training_that_was_found_stays_found(bucket):
    data = bucket.dataset("a")
    cold = start(bucket, data)
    _, trained, _ = bucket.night(data)

    assert start(bucket, data) == cold
    done = start(bucket, data, run="next")
    bucket.night(bucket.dataset("b"))
    assert (cold.kind, cold.done) == ("cold", False)
    assert (done.done, done.trained.key) == (True, trained.key)
    assert start(bucket, data, run="next") == done


def test_other_data_and_other_settings_have_their_own_and_limits_have_none(bucket):
    bucket.night(bucket.dataset("a"))
    data = bucket.dataset("b")
    assert start(bucket, data).kind == "warm"

    assert start(bucket, data, start="cold").why == "the setting `classifier.start` says so."
    assert start(bucket, bucket.dataset("c")).kind == "warm"
    assert len(kept(bucket)) == 3
    start(bucket, data, time_limit_h=99.0)
    assert len(kept(bucket)) == 3, "a training that took too long goes on with a higher limit"


def test_a_model_that_is_gone_is_not_started_from(bucket, caplog):
    _, _, live = bucket.night(bucket.dataset("a"))
    data = bucket.dataset("c")
    start(bucket, data)
    _, _, newer = bucket.night(bucket.dataset("b"))
    bucket.session.store.delete([live.key])

    again = start(bucket, data)

    assert again.live.key == newer.key
    assert "it is chosen anew" in caplog.text
    assert live.key in caplog.text


@pytest.mark.parametrize(
    "odd",
    [
        b"no JSON", b"[]", b"{}", {"form": 2}, {"chain": "many"}, {"chain": -1}, {"chain": 0}, {"live": 5},
        {"trained": ""}, {"live": "raw/x"}, {"sha256": "0" * 64},
    ],
)  # fmt: skip
def test_what_is_kept_and_cannot_be_read_is_passed_over_with_a_word(bucket, caplog, odd):
    bucket.night(bucket.dataset("a"))
    data = bucket.dataset("b")
    first = start(bucket, data)
    [key] = kept(bucket)
    body = odd if isinstance(odd, bytes) else json.dumps({**json.loads(bucket.session.store.get(key)), **odd}).encode()
    bucket.session.store.put(key, body)

    with caplog.at_level(logging.WARNING):
        assert start(bucket, data) == first

    assert "cannot be taken any more, it is chosen anew" in caplog.text


def test_what_a_later_carpipe_adds_is_passed_over(bucket):
    _, _, live = bucket.night(bucket.dataset("a"))
    data = bucket.dataset("c")
    start(bucket, data)
    [key] = kept(bucket)
    body = forms.parse(bucket.session.store.get(key), key=key, what="it")
    bucket.session.store.put(key, json.dumps({**body, "later": 1}).encode())
    bucket.night(bucket.dataset("b"))

    assert start(bucket, data).live.key == live.key


def test_the_retry_of_a_killed_training_is_the_same_work(bucket, monkeypatch):
    """Between them another model goes live: the checkpoint lies under the work's fingerprint."""
    _, _, live = bucket.night(bucket.dataset("a"))
    data, tried = bucket.dataset("c"), []

    def killed(session, source, kept, **facts):
        tried.append((kept.prefix, facts["start"].live.key))
        assert kept.told_at == progress_key("classifier", "night")
        raise UnavailableError("The training process ended with SIGKILL")

    monkeypatch.setattr(train, "fit", killed)
    for tag in ("b", "b2"):
        with pytest.raises(UnavailableError):
            train.train(bucket.session, data.key, model="classifier", run="night")
        bucket.night(bucket.dataset(tag))

    assert tried[0] == tried[1]
    assert tried[0][1] == live.key
    found = bucket.train(data, start(bucket, data))
    assert f"runs/train/{found.key.split('/')[3]}" == tried[0][0]
    assert train.train(bucket.session, data.key, model="classifier", run="night").key == found.key
    assert found.extra["start"] == record_of(start(bucket, data))


def test_a_dataset_that_is_deleted_during_a_training_costs_nothing(bucket, monkeypatch):
    before = bucket.dataset("a")
    bucket.night(before)
    data = bucket.dataset("b", photos=[("a.jpg", "train", "a")])

    def trained(session, *facts, **more):
        session.store.delete([before.key, before.files[results.PHOTOS]["key"]])
        return b"a model", [{"epoch": 1}]

    monkeypatch.setattr(train, "fit", trained)
    done = train.train(bucket.session, data.key, model="classifier")

    assert done.fresh
    assert manifest.read_file(bucket.session.store, done, results.MODEL) == b"a model"


def test_an_old_one_is_garbage(bucket):
    bucket.night(bucket.dataset("a"))
    start(bucket, bucket.dataset("b"))
    tomorrow = datetime.now(UTC) + timedelta(days=1)

    for age, found in ((timedelta(hours=1), kept(bucket)), (timedelta(days=2), [])):
        garbage = find_garbage(bucket.session, older_than=age, now=tomorrow)
        assert [info.key for info in garbage.objects if info.key.startswith("runs/train/")] == found


def test_a_start_that_cannot_be_chosen_is_not_kept(bucket):
    bucket.night(bucket.dataset("a"))

    with pytest.raises(CarpipeError, match="No training can start warm"):
        start(bucket, bucket.dataset("b"), start="warm", backbone="VGG16")

    assert kept(bucket) == []
