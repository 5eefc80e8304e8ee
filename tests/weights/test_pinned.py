"""A release means one manifest: whoever may write `models/`, and no more, changes nothing that is live."""

import hashlib
import json
from dataclasses import dataclass

import pytest

from carpipe.config import StoreConfig
from carpipe.errors import InputError
from carpipe.storage import Store
from carpipe.weights import channel
from carpipe.weights.client import load, pull
from tests.tiny import CLASSES, go_live, publish

PRODUCTION = "channels/classifier/production.json"


@dataclass(frozen=True)
class ReleaseOf010:
    """As carpipe 0.1.0 reads a release: `Release(**json.loads(data))`. A field more is an error there."""

    channel: str
    generation: int
    model: str
    reason: str
    run: str
    at: str


def sha256(session, key):
    return hashlib.sha256(session.store.get(key)).hexdigest()


def reverse_labels(session, model):
    """What was possible before: other labels, and a manifest with their sum."""
    labels = json.dumps(CLASSES[::-1]).encode()
    session.store.put(model.files["labels.json"]["key"], labels)
    body = json.loads(session.store.get(model.key))
    body["files"]["labels.json"]["sha256"] = hashlib.sha256(labels).hexdigest()
    session.store.put(model.key, json.dumps(body).encode())


def unpin(session, *keys):
    for key in keys or (PRODUCTION, "channels/classifier/history/000001.json"):
        session.store.put(key, json.dumps({**json.loads(session.store.get(key)), "reason": "old"}).encode())


def test_a_release_carries_the_sum_of_its_manifest_and_carpipe_0_1_0_reads_it(session, model):
    pinned = sha256(session, model.key)
    for key in (PRODUCTION, "channels/classifier/history/000001.json"):
        data = session.store.get(key)
        assert channel.parse_release(data, key=key).manifest_sha256 == pinned
        old = ReleaseOf010(**json.loads(data))
        assert (old.model, old.generation) == (model.key, 1)
        assert old.reason == f"test [manifest sha256 {pinned}]"
    assert channel.read_channel(session.store, "classifier").reason == "test"


def test_a_later_version_may_say_it_in_a_field_of_its_own(session, model):
    body = {**json.loads(session.store.get(PRODUCTION)), "reason": "r"}
    key, pinned = PRODUCTION, sha256(session, model.key)

    def parse(**more):
        return channel.parse_release(json.dumps({**body, **more}).encode(), key=key)

    assert parse(manifest_sha256=pinned).manifest_sha256 == pinned
    with pytest.raises(InputError, match="names two sums of one manifest"):
        parse(manifest_sha256=pinned, reason=f"r [manifest sha256 {'0' * 64}]")
    with pytest.raises(InputError, match="manifest_sha256: String should match"):
        parse(manifest_sha256="x")


@pytest.mark.parametrize("reason", ["", "two\nlines", f"typed [manifest sha256 {'0' * 64}]", "[manifest sha256 ]"])
def test_whatever_the_reason_is_it_comes_back(session, files, reason):
    made = publish(session, files)
    release = channel.promote(session.store, "classifier", model=made.key, reason=reason, run="r", at="t")

    assert channel.read_channel(session.store, "classifier") == release
    assert (release.reason, release.manifest_sha256) == (reason, sha256(session, made.key))


def test_a_client_refuses_another_manifest(session, model, tmp_path):
    pull(session.store, cache=tmp_path)
    reverse_labels(session, model)

    with pytest.raises(InputError, match="is not the manifest that generation 1 of channel classifier means"):
        pull(session.store, cache=tmp_path)
    with pytest.raises(InputError, match="is not the manifest that generation 1"):
        load(session.store, model.key, cache=tmp_path)


def test_the_cache_is_held_to_it_as_well(session, model, tmp_path):
    pull(session.store, cache=tmp_path)
    away = Store(StoreConfig(url=session.store.url, endpoint="http://127.0.0.1:9", max_retries=0, timeout_s=2))
    assert pull(away, cache=tmp_path, offline_ok=True).classes == CLASSES
    [kept] = tmp_path.rglob("committed.json")
    kept.write_bytes(kept.read_bytes() + b" ")

    from carpipe.errors import UnavailableError

    with pytest.raises(UnavailableError):
        pull(away, cache=tmp_path, offline_ok=True)


def test_a_cache_of_carpipe_0_1_0_is_of_use_where_nothing_is_pinned(session, model, tmp_path):
    unpin(session)
    pull(session.store, cache=tmp_path)
    [kept] = tmp_path.rglob("committed.json")
    kept.unlink()
    away = Store(StoreConfig(url=session.store.url, endpoint="http://127.0.0.1:9", max_retries=0, timeout_s=2))

    assert pull(away, cache=tmp_path, offline_ok=True).id in model.key


def test_old_releases_are_taken_said_once_and_pinned_by_the_next_promotion(session, model, tmp_path, caplog):
    unpin(session)
    channel._SAID.clear()
    for _ in range(2):
        pull(session.store, cache=tmp_path)
    assert caplog.text.count("does not say which manifest it means") == 1

    release = channel.promote(session.store, "classifier", model=model.key, reason="pin", run="by hand", at="t")

    assert (release.generation, release.manifest_sha256) == (2, sha256(session, model.key))
    again = channel.promote(session.store, "classifier", model=model.key, reason="pin", run="again", at="t")
    assert again == release


def test_a_model_that_was_changed_since_it_was_live_does_not_go_live_again(session, model, files):
    other = publish(session, files, tag="other")
    go_live(session, other)
    reverse_labels(session, model)

    with pytest.raises(InputError, match="is not the manifest that generation 1 of channel classifier means"):
        go_live(session, model)
    assert channel.read_channel(session.store, "classifier").model == other.key


def test_a_model_that_was_changed_since_it_was_judged_does_not_go_live(session, files):
    made = publish(session, files)
    judged = sha256(session, made.key)
    reverse_labels(session, made)

    with pytest.raises(InputError, match="is not the manifest that the decision to publish it means"):
        channel.promote(
            session.store, "classifier", model=made.key, reason="r", run="r", at="t", manifest_sha256=judged
        )
    assert channel.read_channel(session.store, "classifier") is None


def test_the_retry_of_a_promotion_finds_a_changed_manifest_too(session, model):
    run = channel.read_channel(session.store, "classifier").run
    reverse_labels(session, model)

    with pytest.raises(InputError, match="is not the manifest that generation 1"):
        channel.promote(session.store, "classifier", model=model.key, reason="r", run=run, at="t")


def test_a_release_of_another_channel_is_refused(session, model, tmp_path):
    body = json.loads(session.store.get(PRODUCTION))
    for change, message in (
        ({"channel": "car-filter"}, "is not a release of channel classifier: it is one of 'car-filter'"),
        ({"model": model.key.replace("classifier", "car-filter")}, "is no model of this channel"),
    ):
        session.store.put(PRODUCTION, json.dumps({**body, **change}).encode())
        with pytest.raises(InputError, match=message):
            pull(session.store, cache=tmp_path)
