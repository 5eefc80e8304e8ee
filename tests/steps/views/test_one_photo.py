"""One photo in full: what its stages say in sentences, and which other photos belong to it."""

import pandas as pd
import pytest

from carpipe.called import Called
from carpipe.errors import InputError
from carpipe.photo_index import COLUMNS, write_index
from carpipe.photos import to_parquet
from carpipe.steps.views.one_photo import fate, findings, original, show_photo
from carpipe.steps.views.originals import EDITED, NEAR, OLDER, SAME
from carpipe.steps.views.photos import read_rows
from tests.indexed import index_of

NOTHING = dict.fromkeys(COLUMNS)
KEPT = NOTHING | {
    "key": "a", "photo": 3, "listing": 20, "listing_uuid": "u", "size": 31137, "format": "jpeg", "width": 600,
    "height": 400, "damage": 0.031, "repaired": "end_marker", "p_car": 0.934, "view": "front", "view_p": 0.8,
    "box": [0.0, 0.0, 300.0, 400.0], "box_label": "car", "box_score": 0.91, "vehicle": "older", "class_name": "golf",
    "split": "train",
}  # fmt: skip


def test_each_stage_says_what_it_found_with_few_digits():
    assert [(one.stage, one.said) for one in findings(KEPT)] == [
        ("inventory", "Photo 3 of listing 20, 31,137 bytes."),
        ("clean", "JPEG, 600 × 400 pixels. 3.1 % of the picture may not be whole. The file was mended (end_marker)."),
        ("filter", "It shows a car from outside with a probability of 0.93. Seen from: front (0.80)."),
        ("crop", "The largest vehicle is a car (0.91); it fills 50 %."),
        ("identify", "An older listing shows the same car."),
        ("classes", "Class golf."),
        ("split", "In train, as all photos of this car."),
    ]


def test_the_stage_that_put_it_out_says_why_and_later_ones_nothing():
    *_, last = findings(KEPT | {"dropped": "no_vehicle", "dropped_by": "crop", "box": None})
    assert (last.stage, last.out, last.said) == ("crop", True, "Out: the detector found no vehicle.")
    *_, last = findings(NOTHING | {"dropped": "of a later version", "dropped_by": "clean"})
    assert (last.stage, last.out) == ("clean", True)


def test_a_figure_that_is_too_little_is_said_below_the_limit_of_its_day():
    asked = {"filter": {"threshold": 0.7}, "crop": {"min_box_share": 0.04}}
    *_, last = findings(KEPT | {"p_car": 0.6996, "view": None, "dropped": "not_a_car", "dropped_by": "filter"}, asked)
    assert last.said == (
        "It shows a car from outside with a probability of 0.69. Out: p(car) is below filter.threshold = 0.7."
    )
    small = {"box": [0.0, 0.0, 24.0, 398.0], "dropped": "box_too_small", "dropped_by": "crop"}
    *_, last = findings(KEPT | small, asked)
    assert last.said.endswith(
        "it fills 3 %. Out: the largest vehicle fills less of the frame than crop.min_box_share = 0.04."
    )


def test_what_was_asked_is_that_of_the_partition(tmp_path):
    table = {"key": ["a", "b"], "partition": ["p0", "p1"], "dropped": "not_a_car", "dropped_by": "filter"}
    index = write_index(to_parquet(pd.DataFrame(table)), tmp_path / "i.duckdb")
    asked = {"p0": {"filter": {"threshold": 0.5}}, "p1": {"filter": {"threshold": 0.6}}}.__getitem__
    assert [show_photo(index, row, asked=asked).findings[-1].said[-3:-1] for row in (0, 1)] == [".5", ".6"]


def test_a_photo_has_its_listing_and_is_found_in_another_dataset(session, made):
    index = index_of(session, made[0])
    shown = show_photo(index, 5)
    assert [one.row for one in shown.listing] == [5]
    assert shown.others == ()
    with pytest.raises(InputError, match="no photo in row 12"):
        show_photo(index, 12)
    there = Called("x" * 20, "27 Nov 2026 15:39, 12 photos")
    assert fate(index, there, shown.photo["key"]).row == 5
    assert fate(index, there, "of another dataset").row is None
    assert fate(index, there, show_photo(index, 3).photo["key"]).said == "out: truncated"


def test_a_copy_leads_to_the_photo_that_stays_and_says_how_they_are_alike(tmp_path):
    files = ["a", "a", "b", "c", "d", "d"]
    dropped = [None, "duplicate", "duplicate", "duplicate", "not_a_car", "superseded"]
    table = pd.DataFrame(
        {"key": ["stays", "same", "near", "edited", "x", "old"], "sha256": files, "dropped": pd.array(dropped, "str")}
    )
    table["dropped_by"] = (
        table["dropped"].map({"not_a_car": "filter"}).fillna("identify").where(table["dropped"].notna())
    )
    pairs = pd.DataFrame({"key_a": ["same", "near"], "key_b": ["near", "edited"], "edited": [False, True]})
    index = write_index(to_parquet(table), tmp_path / "i.duckdb", pairs=to_parquet(pairs))
    found = {row: original(index, read_rows(index, [row])[0]) for row in range(6)}
    assert found[0] is None
    assert {row: (found[row][0].key, found[row][1]) for row in (1, 2, 3)} == {
        1: ("stays", SAME), 2: ("stays", NEAR), 3: ("stays", EDITED),
    }  # fmt: skip
    assert found[4] is None


def test_an_old_version_leads_to_the_newer_one(tmp_path):
    table = pd.DataFrame(
        {"key": ["a", "b", "a"], "sha256": ["1", "2", "3"], "dropped": pd.array(["superseded", None, None], "str")}
    )
    index = write_index(to_parquet(table), tmp_path / "i.duckdb")
    stays, how = original(index, read_rows(index, [0])[0])
    assert (stays.row, how) == (2, OLDER)
