"""What is drawn from: read once, and again only what is new."""

import tempfile
import uuid

import numpy as np
import pytest

from carpipe import manifest
from carpipe.errors import MissingError
from carpipe.steps import results
from carpipe.steps.cache import ResultCache
from carpipe.steps.data.inventory import inventory, latest_inventory
from carpipe.steps.labels.desk import LabelDesk
from carpipe.steps.labels.pool import read_pool
from carpipe.steps.labels.questions import VIEWS
from tests.filtered import commit_filter


def add_photos(session, count, name="{}_1_{}_{}.jpg"):
    names = [f"audi_a3_2001/{name.format(number, uuid.uuid4(), uuid.uuid4())}" for number in range(count)]
    for one in names:
        session.store.put(f"raw/{one}", one.encode())
    inventory(session)
    return names


def lose_tables(session, stage="filter"):
    """What was read once must not be read again."""
    keys = [info.key for info in session.store.list_objects(f"stages/{stage}")]
    session.store.delete(key for key in keys if key.endswith(".parquet"))


def test_where_nothing_is_new_nothing_is_read(session):
    add_photos(session, 3)
    commit_filter(session, lambda key: 0.9)
    pool = read_pool(session)
    assert read_pool(session, known=pool) is pool


def test_of_a_new_inventory_only_new_partitions_are_read(session):
    old = add_photos(session, 3)
    commit_filter(session, lambda key: 0.9)
    pool = read_pool(session)
    lose_tables(session)
    new = add_photos(session, 2)

    found = read_pool(session, known=pool)

    assert len(found.batches) == 2
    assert sorted(found.photos(np.arange(5), ["key"])["key"]) == sorted([*old, *new])
    assert [*found.numbers("filtered")] == [True] * 3 + [False] * 2
    with pytest.raises(MissingError):
        read_pool(session)


def test_what_a_new_filter_says_is_read(session):
    add_photos(session, 3)
    commit_filter(session, lambda key: 0.2)
    pool = read_pool(session)
    commit_filter(session, lambda key: 0.9, config={"threshold": "another"})
    assert [*read_pool(session, known=pool).numbers("p_car")] == [0.9] * 3


def test_each_photo_is_a_row_of_the_result_that_is_named(make_session):
    session = make_session(inventory__partition_photos=3)
    add_photos(session, 4)
    session.store.put("raw/audi_a3_2001/holiday.jpg", b"x")
    add_photos(session, 4)
    pool = read_pool(session)
    photos = pool.photos(np.arange(8), ["key", "row"])
    assert photos["manifest"].nunique() > 2
    for key, row, source in photos.itertuples(index=False):
        table = results.read_photos(session.store, manifest.read(session.store, source))
        assert table["key"][row] == key


def test_a_partition_without_a_photo_to_label_has_none(session):
    add_photos(session, 2)
    add_photos(session, 2, name="holiday {}.jpg")
    pool = read_pool(session)
    assert [len(batch) for batch in pool.batches.values()] == [2, 0]


def test_no_file_is_left(session, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    add_photos(session, 2)
    pool = read_pool(session)
    assert [*tmp_path.iterdir()] == []
    assert len(pool.numbers("name")) == 2


def test_people_orders_and_questions_share_what_was_read(session):
    names = add_photos(session, 4)
    commit_filter(session, lambda key: 0.9, views=lambda key: ("front", 0.8))
    cache = ResultCache(session)
    first = LabelDesk(cache).next_batch(by="ann", how="random", after=0, count=9)
    lose_tables(session)

    second = LabelDesk(cache).next_batch(by="bob", how="unsure", after=0, count=9)
    views = LabelDesk(cache, VIEWS).next_batch(by="ann", how="predicted", after=0, count=9)

    for batch in (first, second, views):
        assert sorted(photo.key for photo in batch.photos) == sorted(names)
    assert {photo.word for photo in views.photos} == {"front"}


def test_the_newest_results_of_all_partitions_are_those_of_each(make_session):
    session = make_session(inventory__partition_photos=2)
    add_photos(session, 5)
    for number in range(3):
        commit_filter(session, lambda key: 0.9, config={"run": str(number)})
    partitions = [part["partition"] for part in latest_inventory(session).partitions]
    found = results.newest_results(session.store, "filter")
    assert found == {name: results.newest_result(session.store, "filter", name) for name in partitions}
    assert len(found) == 3
    assert results.newest_results(session.store, "clean") == {}
