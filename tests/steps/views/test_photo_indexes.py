"""Indexes of datasets: made once, in the background, by whoever asks first; few of them stay on disk."""

import os
import threading

import pytest

from carpipe.errors import InputError
from carpipe.steps import results
from carpipe.steps.views import photo_indexes
from carpipe.steps.views.photo_indexes import PhotoIndexes


def count(index):
    return index.select("SELECT count(*) AS n FROM photos")[0]["n"]


def test_an_index_is_made_once_and_found_by_the_next_process(session, made, tmp_path):
    indexes = PhotoIndexes(folder=tmp_path)
    first = indexes.find(session.store, made[0], patience_s=60)
    assert count(first) == 12
    assert indexes.find(session.store, made[0]) is first
    written = first.path.stat().st_ino
    assert count(PhotoIndexes(folder=tmp_path).find(session.store, made[0], patience_s=60)) == 12
    assert first.path.stat().st_ino == written


def test_who_does_not_want_to_wait_is_told_that_it_is_being_made(session, made, tmp_path, monkeypatch):
    go_on, read = threading.Event(), photo_indexes.manifest.read_file

    def slowly(*given):
        go_on.wait(60)
        return read(*given)

    monkeypatch.setattr(photo_indexes.manifest, "read_file", slowly)
    indexes = PhotoIndexes(folder=tmp_path)
    assert indexes.find(session.store, made[0], patience_s=0.05) is None
    go_on.set()
    assert count(indexes.find(session.store, made[0], patience_s=60)) == 12


def test_an_index_that_somebody_has_cleared_away_is_made_anew(session, made, tmp_path):
    indexes = PhotoIndexes(folder=tmp_path)
    indexes.find(session.store, made[0], patience_s=60).path.unlink()
    assert count(indexes.find(session.store, made[0], patience_s=60)) == 12


def test_a_table_that_was_tampered_with_is_refused_every_time_and_found_once_it_is_mended(session, made, tmp_path):
    key = made[0].files[results.PHOTOS]["key"]
    whole = session.store.get(key)
    session.store.put(key, whole[:-1])
    indexes = PhotoIndexes(folder=tmp_path)
    for _ in range(2):
        with pytest.raises(InputError):
            indexes.find(session.store, made[0], patience_s=60)
    session.store.put(key, whole)
    assert count(indexes.find(session.store, made[0], patience_s=60)) == 12


def test_the_oldest_indexes_go(session, made, tmp_path):
    for number in range(photo_indexes.KEPT + 2):
        path = tmp_path / f"old{number}.duckdb"
        path.write_bytes(b"")
        os.utime(path, (number, number))
    index = PhotoIndexes(folder=tmp_path).find(session.store, made[0], patience_s=60)
    left = sorted(path.name for path in tmp_path.glob("*.duckdb"))
    stay = range(3, photo_indexes.KEPT + 2)  # of so many and two more, and the new one, the three oldest go
    assert left == sorted([index.path.name, *(f"old{number}.duckdb" for number in stay)])
