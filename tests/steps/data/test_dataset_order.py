"""A bucket that was copied has the times of copying; what came last is told by what carpipe has written."""

from datetime import UTC, datetime

import pytest

from carpipe import manifest
from carpipe.manifest import Work
from carpipe.steps import dataset_order
from carpipe.steps.cache import ResultCache
from carpipe.steps.data.datasets import find_dataset, newest_datasets
from carpipe.steps.results import newest_result
from carpipe.steps.views.datasets import describe_datasets


def commit(session, number, *, previous="", by="this version"):
    """A dataset as a night would leave it; those of earlier versions had neither a number nor a time."""
    work = Work("dataset", 3, "all", {}, (f"stages/split/all/{number:020}/manifest.json",), home="datasets")
    extra = {"previous": previous, "classes": [], "splits": {}, "vehicles": 0, "ledger": 0}
    done = manifest.commit(session.store, work, {}, counts={"in": 0, "kept": 0}, extra=extra)
    if by == "this version":
        dataset_order.enter(session.store, done.key)
    else:
        body = session.store.get(done.key)
        said = manifest.from_json(body, key=done.key).extra[manifest.COMMITTED]
        session.store.put(done.key, body.replace(said.encode(), b"").replace(b'"committed"', b'"was"'))
    return done.key


def chain(session, count, *, by):
    """So many, each after the one before."""
    keys = [""]
    for number in range(count):
        keys.append(commit(session, number, previous=keys[-1], by=by))
    return keys[1:]


def copied(session, make_session):
    """The bucket as `aws s3 sync` leaves it elsewhere: the newest first, so that the oldest are the youngest."""
    other = make_session()
    infos = sorted(session.store.list_objects(""), key=lambda info: (info.modified, info.key), reverse=True)
    for info in infos:
        other.store.put(info.key, session.store.get(info.key))
    return other


@pytest.mark.parametrize("by", ["this version", "an earlier one"])
def test_the_newest_dataset_of_a_copied_bucket_is_the_one_that_was_made_last(session, make_session, by):
    keys = chain(session, 5, by=by)

    other = copied(session, make_session)

    assert [done.key for done in newest_datasets(other)] == keys[::-1]
    assert find_dataset(other, None).key == keys[-1]
    assert [info.key for info in ResultCache(other).manifests("datasets", most=3)] == keys[:1:-1]


def test_those_of_an_earlier_version_get_their_numbers_with_the_next(session, make_session):
    old = chain(session, 3, by="an earlier one")
    new = commit(session, 7, previous=old[-1])
    last = commit(session, 8, previous=new)

    other = copied(session, make_session)

    numbered = sorted(info.key.rpartition("/")[2] for info in other.store.list_objects("datasets/order"))
    assert numbered == [f"{n:06}-{key.split('/')[1]}" for n, key in enumerate([*old, new, last], start=1)]
    assert [done.key for done in newest_datasets(other)] == [last, new, *old[::-1]]


def test_one_of_an_earlier_version_that_came_since_is_the_newest(session):
    new = commit(session, 1)
    old = commit(session, 2, previous=new, by="an earlier one")
    assert [done.key for done in newest_datasets(session)] == [old, new]


def test_a_dataset_has_one_number(session):
    key = commit(session, 1)
    dataset_order.enter(session.store, key)
    assert len(list(session.store.list_objects("datasets/order"))) == 1


def test_datasets_that_were_never_committed_or_have_gone_are_passed_over(session):
    key = commit(session, 1)
    session.store.put(f"{dataset_order.FOLDER}/000009-{'9' * 20}", b"")
    session.store.put("datasets/half/classes.json", b"[]")
    assert [done.key for done in newest_datasets(session)] == [key]


def test_datasets_that_name_each_other_end_no_command(session):
    first = commit(session, 1, previous=f"datasets/{'2' * 20}/manifest.json", by="an earlier one")
    second = commit(session, 2, previous=first, by="an earlier one")
    body = session.store.get(first).replace(b"2" * 20, second.split("/")[1].encode())
    session.store.put(first, body)
    assert {done.key for done in newest_datasets(session)} == {first, second}


def test_the_list_says_when_they_were_made_not_when_they_were_copied(session, make_session, monkeypatch):
    [key] = chain(session, 1, by="this version")
    body = session.store.get(key)
    said = manifest.from_json(body, key=key).extra[manifest.COMMITTED]
    session.store.put(key, body.replace(said.encode(), b"2025-03-04T05:06:07+00:00"))
    assert "2025-03-04 05:06" in describe_datasets(copied(session, make_session))


def test_the_newest_result_of_a_partition_is_the_one_that_was_committed_last(session, make_session):
    works = [Work("filter", 1, "p", {"threshold": number}, ("raw",)) for number in range(4)]
    done = [manifest.commit(session.store, work, {}, counts={}) for work in works]
    assert newest_result(copied(session, make_session).store, "filter", "p") == done[-1].key


def test_a_result_that_a_later_version_has_written_is_the_newest_too(session, caplog):
    """Nobody can read it here; but garbage is what no newest result needs."""
    works = [Work("filter", 1, "p", {"threshold": number}, ("raw",)) for number in range(3)]
    done = [manifest.commit(session.store, work, {}, counts={}) for work in works]
    for old in (done[0], done[2]):
        body = session.store.get(old.key)
        session.store.put(old.key, body.replace(old.extra[manifest.COMMITTED].encode(), b"2026-01-01T00:00:00+00:00"))
    session.store.put(done[1].key, b'{"form": 99}')
    assert newest_result(session.store, "filter", "p") == done[1].key
    assert "It is passed over." in caplog.text


def test_times_that_are_none_are_those_of_the_storage(session):
    work = Work("filter", 1, "p", {}, ("raw",))
    done = manifest.commit(session.store, work, {}, counts={}, extra={"more": 1})
    info = session.store.head(done.key)
    for odd in (None, 7, "yesterday", []):
        done.extra[manifest.COMMITTED] = odd
        assert manifest.committed_at(done, info) == info.modified
    done.extra[manifest.COMMITTED] = "2026-01-01T00:00:00"
    assert manifest.committed_at(done, info) == datetime(2026, 1, 1, tzinfo=UTC)
