"""What results are called where people read of them."""

from datetime import UTC, datetime

import pytest

from carpipe.called import call, call_committed
from carpipe.manifest import Manifest

KEY = "datasets/1f9c0b7a6d52e4c38b01/manifest.json"


def committed(**extra: object) -> Manifest:
    facts = {"version": 1, "config": {}, "weights": {}, "inputs": [], "settings": "", "files": {}, "counts": {}}
    return Manifest(KEY, stage="dataset", partition="all", extra=extra, **facts)


def test_a_result_is_called_by_its_date_and_size():
    called = call(KEY, datetime(2026, 11, 30, 1, 0, tzinfo=UTC), 1797)

    assert (called.name, called.short) == ("30 Nov 2026 01:00, 1,797 photos", "1f9c0b7a")


@pytest.mark.parametrize(
    ("extra", "name"),
    [
        ({"committed": "2026-11-03T01:02:03Z"}, "3 Nov 2026 01:02, 1 photo"),
        ({}, "1 photo"),
        ({"committed": "never"}, "1 photo"),
    ],
)
def test_a_committed_result_says_when_it_was_made_or_nobody_knows(extra, name):
    assert call_committed(committed(**extra), 1).name == name


def test_of_what_nobody_knows_anything_the_id_is_left():
    assert call_committed(committed()).name == "of unknown date"
