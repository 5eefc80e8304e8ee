"""The commit protocol on a real S3 server: crash, repeat, race, late writes, tampering."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from carpipe import manifest
from carpipe.errors import InputError, MissingError, UnavailableError
from carpipe.manifest import Work
from carpipe.storage import Store
from tests.conftest import make_config

WORK = Work("clean", 1, "p00000-aa", {"min_side": 64}, ("stages/inventory/p00000-aa/ff/manifest.json",))


def test_the_fingerprint_depends_on_everything_that_decides_the_result():
    others = [
        replace(WORK, stage="crop"),
        replace(WORK, version=2),
        replace(WORK, partition="p00001-bb"),
        replace(WORK, config={"min_side": 65}),
        replace(WORK, inputs=("stages/inventory/p00000-aa/ee/manifest.json",)),
        replace(WORK, weights={"detector": "abc"}),
    ]

    assert len({work.fingerprint for work in [WORK, *others]}) == len(others) + 1


def test_settings_are_blind_to_the_input():
    assert WORK.settings == replace(WORK, inputs=("other",)).settings
    assert WORK.settings != replace(WORK, weights={"detector": "abc"}).settings


def test_committed_work_is_found_and_reads_back(session):
    assert manifest.find(session.store, WORK) is None

    done = manifest.commit(session.store, WORK, {"photos.parquet": b"rows"}, counts={"in": 1})

    found = manifest.find(session.store, WORK)
    assert found == replace(done, fresh=False)
    assert done.fresh
    assert manifest.read_file(session.store, found, "photos.parquet") == b"rows"


def test_a_crash_before_the_manifest_leaves_nothing_visible(session, monkeypatch):
    def dies(key, data):
        raise UnavailableError("killed here")

    monkeypatch.setattr(session.store, "create", dies)
    with pytest.raises(UnavailableError):
        manifest.commit(session.store, WORK, {"photos.parquet": b"half"}, counts={})
    monkeypatch.undo()

    assert manifest.find(session.store, WORK) is None
    done = manifest.commit(session.store, WORK, {"photos.parquet": b"whole"}, counts={})
    assert manifest.read_file(session.store, done, "photos.parquet") == b"whole"


def test_of_racing_attempts_one_wins_and_all_return_it(session):
    def attempt(number):
        return manifest.commit(session.store, WORK, {"photos.parquet": b"%d" % number}, counts={"in": number})

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(attempt, range(8)))

    winner = manifest.find(session.store, WORK)
    assert [replace(result, fresh=False) for result in results] == [winner] * 8
    assert sum(result.fresh for result in results) == 1
    assert manifest.read_file(session.store, winner, "photos.parquet") == b"%d" % winner.counts["in"]


def test_an_attempt_that_wakes_up_late_changes_nothing(session):
    done = manifest.commit(session.store, WORK, {"photos.parquet": b"first"}, counts={"in": 1})

    late = manifest.commit(session.store, WORK, {"photos.parquet": b"late"}, counts={"in": 2})

    assert late == replace(done, fresh=False)
    assert manifest.read_file(session.store, late, "photos.parquet") == b"first"


def test_a_file_that_was_changed_behind_the_manifest_is_refused(session):
    done = manifest.commit(session.store, WORK, {"photos.parquet": b"rows"}, counts={})
    session.store.put(done.files["photos.parquet"]["key"], b"swapped")

    with pytest.raises(InputError, match="not what was committed"):
        manifest.read_file(session.store, done, "photos.parquet")


def test_a_file_that_came_otherwise_is_asked_for_again(session, proxy, caplog):
    done = manifest.commit(session.store, WORK, {"photos.parquet": b"rows"}, counts={})
    store = Store(make_config(session.store.url, store__endpoint=proxy.url).store)
    seen = []

    def spoil_once(got):
        if "photos" in got.key and not seen:
            seen.append(got.key)
            got.body = b"rowz"

    proxy.change = spoil_once
    assert manifest.read_file(store, done, "photos.parquet") == b"rows"
    seen.clear()
    assert [*manifest.read_files(store, [done], "photos.parquet")] == [b"rows"]
    assert seen
    assert "well when it was asked for again" in caplog.text


def test_a_storage_that_spoils_a_file_each_time_says_nothing_of_it(session, proxy):
    done = manifest.commit(session.store, WORK, {"photos.parquet": b"rows"}, counts={})
    store = Store(make_config(session.store.url, store__endpoint=proxy.url).store)
    spoilt = iter((b"rowa", b"rowb"))

    def spoil(got):
        if "photos" in got.key:
            got.body = next(spoilt)

    proxy.change = spoil
    with pytest.raises(UnavailableError, match="comes otherwise each time it is read"):
        manifest.read_file(store, done, "photos.parquet")


def test_a_file_that_is_larger_than_its_manifest_says_is_not_read(session):
    done = manifest.commit(session.store, WORK, {"photos.parquet": b"rows"}, counts={})
    session.store.put(done.files["photos.parquet"]["key"], b"x" * 2_000_000)

    with pytest.raises(InputError, match="not what was committed: it is larger"):
        manifest.read_file(session.store, done, "photos.parquet")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"stage": 1}', b"\xff\xfe"])
def test_what_is_no_manifest_is_refused(session, content):
    session.store.put("stages/x/manifest.json", content)

    with pytest.raises(InputError, match="is not a manifest"):
        manifest.read(session.store, "stages/x/manifest.json")


def test_earlier_finds_commits_under_equal_settings_only(session):
    manifest.commit(session.store, WORK, {}, counts={"in": 1})
    manifest.commit(session.store, replace(WORK, config={"min_side": 1}), {}, counts={"in": 2})

    found = list(manifest.earlier(session.store, replace(WORK, inputs=("new",))))

    assert [done.counts["in"] for done in found] == [1]


def test_files_of_many_are_read_in_order_and_held_to_their_manifests(session):
    works = [replace(WORK, partition=f"p0000{number}-aa") for number in range(3)]
    done = [
        manifest.commit(session.store, work, {"photos.parquet": work.partition.encode()}, counts={}) for work in works
    ]
    assert manifest.read_many(session.store, [one.key for one in done]) == [replace(one, fresh=False) for one in done]
    assert manifest.find_many(session.store, [works[2], replace(WORK, version=9)]) == [
        replace(done[2], fresh=False),
        None,
    ]
    read = list(manifest.read_files(session.store, done, "photos.parquet"))
    assert read == [work.partition.encode() for work in works]

    place = done[1].files["photos.parquet"]["key"]
    for data, said in ((b"x" * 100, "it is larger"), (b"p00009-aa", "its sha256 differs")):
        session.store.put(place, data)
        with pytest.raises(InputError, match=said):
            list(manifest.read_files(session.store, done, "photos.parquet"))
    session.store.delete([place])
    with pytest.raises(MissingError, match="has gone"):
        list(manifest.read_files(session.store, done, "photos.parquet"))
    with pytest.raises(InputError, match="has no file 'other'"):
        list(manifest.read_files(session.store, done, "other"))
    session.store.delete([done[0].key])
    with pytest.raises(MissingError, match="There is no"):
        manifest.read_many(session.store, [one.key for one in done])


@pytest.mark.parametrize("odd", [5, None, ["2026"], "yesterday", {}])
def test_an_odd_time_of_a_commit_counts_as_none(session, odd):
    done = manifest.commit(session.store, WORK, {}, counts={})
    info = session.store.head(done.key)
    assert manifest.committed_at(replace(done, extra={"committed": odd}), info) == info.modified
