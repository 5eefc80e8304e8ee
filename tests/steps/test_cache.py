"""What has been read once: made once for all who ask, and only as much as is wanted."""

import contextlib
import threading
import time

import pytest

from carpipe.errors import MissingError
from carpipe.steps.cache import ResultCache
from tests.plugins import bucket


def test_a_cache_makes_a_thing_once_however_many_ask(session):
    cache, made, gate = ResultCache(session), [], threading.Barrier(4)

    def ask():
        gate.wait()
        cache.get("thing", lambda: made.append(1) or "it")

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]


def test_a_failure_is_that_of_all_who_wait_for_it(session):
    cache, made, failed, gate = ResultCache(session), [], [], threading.Barrier(4)

    def make():
        made.append(1)
        time.sleep(0.2)
        raise MissingError("away")

    def ask():
        gate.wait()
        with contextlib.suppress(MissingError):
            cache.get("thing", make)
        failed.append(1)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failed) == 4
    assert len(made) < 4


def test_only_what_is_still_kept_is_dropped(session):
    cache = ResultCache(session)
    old = cache.get("thing", lambda: ["old"])
    cache.drop("thing", old)
    new = cache.get("thing", lambda: ["new"])
    cache.drop("thing", old)
    assert cache.get("thing", lambda: ["newer"]) is new


def test_a_manifest_that_is_not_there_yet_is_looked_for_again(session, monkeypatch):
    dataset, _ = bucket.fill(session)
    cache = ResultCache(session)
    session.store.put("datasets/0/photos.parquet", b"first file of a commit")
    [there] = cache.manifests("datasets")
    assert there.key == dataset.key
    listed = session.store.list_objects
    monkeypatch.setattr(
        session.store, "list_objects", lambda prefix: pytest.fail("all are") if prefix == "datasets" else listed(prefix)
    )
    session.store.put("datasets/0/manifest.json", b"{}")
    assert {info.key for info in cache.manifests("datasets")} == {dataset.key, "datasets/0/manifest.json"}


def test_a_cache_keeps_no_more_than_it_should_and_no_failure(session):
    cache = ResultCache(session, size=2)
    for name in "abc":
        cache.get(name, lambda name=name: name)
    assert cache.get("a", lambda: "made again") == "made again"
    assert cache.get("c", lambda: "made again") == "c"
    with pytest.raises(ZeroDivisionError):
        cache.get("x", lambda: 1 / 0)
    assert cache.get("x", lambda: "now") == "now"
