"""Candidates do not grow for ever: old ones go, and what nobody said anything of goes first."""

import datetime
import re

import pytest

from carpipe.config import ServingConfig, StoreConfig
from carpipe.serving import room as module
from carpipe.serving.candidates import Candidates, Seen
from carpipe.serving.room import Room
from carpipe.storage import Store

FOLDER = "labels/classifier/candidates"


def day(ago):
    return f"{datetime.datetime.now(datetime.UTC).date() - datetime.timedelta(days=ago):%Y%m%d}"


def plant(store, number, *, ago, size=1000, said=False):
    name = f"{FOLDER}/{day(ago)}/{number:032x}"
    store.put(f"{name}.jpg", b"j" * size)
    store.put(f"{name}{'-0a0b0c0d' if said else ''}.json", b"{}")


def there(store):
    names = {info.key.rpartition("/")[2].partition(".")[0] for info in store.list_objects(FOLDER)}
    return {int(name[:32], 16) for name in names if re.match("[0-9a-f]{32}", name)}


def room(store, **settings):
    return Room(store, ServingConfig(**settings))


def test_what_is_older_than_the_days_goes_also_what_people_said(session):
    for number, ago in enumerate((0, 89, 90, 91, 200)):
        plant(session.store, number, ago=ago, said=number == 4)

    room(session.store).tidy()

    assert there(session.store) == {0, 1, 2}


def test_too_many_bytes_cost_the_oldest_without_feedback_first(session):
    for number, ago in enumerate((9, 8, 7, 6)):
        plant(session.store, number, ago=ago, size=400_000, said=number == 0)

    room(session.store, candidates_mb=1).tidy()

    assert there(session.store) == {0, 3}


def test_where_there_is_no_room_the_oldest_make_some(session):
    for number, ago in enumerate((9, 8, 7)):
        plant(session.store, number, ago=ago, size=300_000)
    known = room(session.store, candidates_mb=1)

    assert [known.takes(90_000), known.takes(90_000)] == [True, True]
    assert there(session.store) == {1, 2}


def test_a_bucket_that_its_own_writer_has_filled_makes_room(session, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    known = room(session.store, candidates_mb=1)
    for number, ago in enumerate((9, 8, 7, 6)):
        assert known.takes(240_000)
        plant(session.store, number, ago=ago, size=240_000)
    assert not known.takes(240_000), "looked a moment ago"
    now[0] += module.FULL_LOOK_S + 1

    assert known.takes(240_000)
    assert there(session.store) == {1, 2, 3}


def test_where_all_were_judged_the_oldest_go(session):
    for number, ago in enumerate((9, 8, 7)):
        plant(session.store, number, ago=ago, size=400_000, said=True)

    room(session.store, candidates_mb=1).tidy()

    assert there(session.store) == {1, 2}


def test_objects_of_other_names_stay(session):
    names = ["x.json", f"{day(200)}/x.jpg", f"{day(200)}/{'0' * 32}.txt", f"deeper/{day(200)}/{'0' * 32}.jpg"]
    for name in names:
        session.store.put(f"{FOLDER}/{name}", b"1")

    room(session.store).tidy()

    assert {info.key.removeprefix(f"{FOLDER}/") for info in session.store.list_objects(FOLDER)} == set(names)


def test_what_others_put_there_neither_counts_nor_goes(session):
    plant(session.store, 1, ago=5, said=True)
    session.store.put(f"{FOLDER}/somebody-elses", b"x" * 1_100_000)
    known = room(session.store, candidates_mb=1)

    assert known.takes(1000)
    assert there(session.store) >= {1}
    assert session.store.head(f"{FOLDER}/somebody-elses")


def test_nothing_is_written_where_there_is_no_room(session):
    writer = Candidates(session.store, ServingConfig(candidates_mb=1))
    answer = {"prediction": "a", "score": 1, "model": {"id": "m"}}
    for number in (1, 2):
        made = Seen(f"{number:032x}", f"{datetime.date.today()}T10:00:00+00:00", b"j" * 600_000, answer)
        writer.keep(made, "right", client="a")
    writer.close()

    assert there(session.store) == {1}


@pytest.mark.parametrize("size", [1, 10**6])
def test_a_bucket_that_is_away_is_counted_by_what_was_written(session, size, caplog):
    away = Store(StoreConfig(url=session.store.url, endpoint="http://127.0.0.1:9", max_retries=0, timeout_s=2))
    known = room(away, candidates_mb=1)

    assert [known.takes(size) for _ in range(2)] == [True, size == 1]
    assert "old candidates stay" in caplog.text
