"""Which photos of a dataset are found by what somebody asks for, held against the table that was written by hand."""

import pandas as pd
import pytest

from carpipe.errors import InputError
from carpipe.photo_index import write_index
from carpipe.photos import to_parquet
from carpipe.steps.views.photos import EXACT, FLAGS, JUDGED, RANGES, SORTS, Wanted, choices, find_photos, read_rows
from tests.indexed import index_of
from tests.plugins import bucket


@pytest.fixture
def index(session, made):
    return index_of(session, made[0])


def rows(index, **given):
    page = find_photos(index, Wanted(**given, sort="oldest"))
    assert page.found == len(page.photos)
    return [photo["row"] for photo in page.photos]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, [*range(12)]),
        ({"reason": "not_a_car"}, [0, 1, 2]),
        ({"stage": "clean"}, [3]),
        ({"in": "yes", "split": "test"}, [7, 11]),
        ({"in": "no"}, [0, 1, 2, 3]),
        ({"year": "2014", "make": "skoda", "in": "yes"}, [4, 5]),
        ({"class": "skoda_octavia", "split": "val"}, []),
        ({"passed": "inventory"}, [*range(12)]),
        ({"passed": "clean"}, [0, 1, 2, *range(4, 12)]),
        ({"passed": "split"}, [*range(4, 12)]),
        ({"reason": "' OR true --"}, []),
    ],
)
def test_filters_hold_all_at_once(index, asked, found):
    photos = {photo["row"]: photo for photo in find_photos(index, Wanted(sort="oldest")).photos}
    if "make" in asked or "class" in asked:  # the order of the inventory is that of keys: see which rows they are
        name = "make" if "make" in asked else "class_name"
        value = asked.get("make", asked.get("class"))
        split = asked.get("split")
        found = [row for row, photo in photos.items() if photo[name] == value and photo["dropped"] is None
                 and split in (None, photo["split"])]  # fmt: skip
    assert rows(index, asked=asked) == found


def test_a_photo_is_found_by_a_part_of_its_key_in_any_case(index):
    key = bucket.key(5)
    for text in (key, f"raw/{key}", key[-12:].upper(), f"  {key[:30]} "):
        photos = find_photos(index, Wanted(text=text)).photos
        assert key in [photo["key"] for photo in photos], text
    assert rows(index, text="%") == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("MÜ", [0, 1]),
        ("mu\u0308_x", [0, 1]),
        ("AUDI", [0, 2]),
        ("a_", [2]),
        ("a%", []),
        ("\\", []),
        (".jpg", [0, 1, 2]),
    ],
)
def test_names_are_found_however_they_are_written(tmp_path, text, found):
    keys = ["Audi_m\u00fc_x/1.jpg", "seat_MU\u0308_x/1.jpg", "audi_a_2/1.jpg"]
    index = write_index(to_parquet(pd.DataFrame({"key": keys})), tmp_path / "index.duckdb")
    assert rows(index, text=text) == found


def test_suspects_are_listings_that_somebody_names(index):
    (listing,) = {photo["listing_uuid"] for photo in read_rows(index, [4])}
    page = find_photos(index, Wanted({"suspect": "yes"}), named={"suspect": [listing]})
    assert [photo["row"] for photo in page.photos] == [4]
    assert find_photos(index, Wanted({"suspect": "yes"})).found == 0


def test_photos_with_different_labels_are_those_that_somebody_names(index):
    keys = [photo["key"] for photo in read_rows(index, [4, 6])]
    page = find_photos(index, Wanted({"disputed": "yes", "in": "yes"}), named={"disputed": keys})
    assert {photo["key"] for photo in page.photos} == {*keys}


@pytest.mark.parametrize("sort", SORTS)
def test_each_order_has_all_photos_and_pages_do_not_overlap(index, sort):
    pages = [find_photos(index, Wanted(sort=sort), first=first, most=5) for first in (0, 5, 10, 15)]
    assert [len(page.photos) for page in pages] == [5, 5, 2, 0]
    assert sorted(photo["row"] for page in pages for photo in page.photos) == [*range(12)]
    if sort == "-size":
        sizes = [photo["size"] for page in pages for photo in page.photos]
        assert sizes == sorted(sizes, reverse=True)
    if sort == "key":
        keys = [photo["key"] for page in pages for photo in page.photos]
        assert keys == sorted(keys)


@pytest.mark.parametrize("sort", SORTS)
def test_each_order_holds_among_some_photos_too(index, sort):
    whole = [photo["row"] for photo in find_photos(index, Wanted(sort=sort)).photos if photo["dropped"] is None]
    pages = [find_photos(index, Wanted({"in": "yes"}, sort=sort), first=first, most=3) for first in (0, 3, 6, 9)]
    assert [photo["row"] for page in pages for photo in page.photos] == whole
    assert {page.found for page in pages} == {len(whole)}


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"colour": "red"}, r"cannot be asked for by 'colour'; known are stage, reason"),
        ({"p_car": "high"}, r"expected a range such as 0\.5\.\.0\.7"),
        ({"p_car": ".."}, "expected a range"),
        ({"year": "new"}, "expected a year"),
        ({"in": "maybe"}, "expected yes or no"),
        ({"passed": "lunch"}, "expected inventory or clean or filter"),
        ({"judged": "me"}, "expected the id of a model"),
        ({"judged": "0" * 20, "right": "perhaps"}, "expected yes or no"),
        ({"judged": "0" * 20, "by": "me"}, "expected the id of a model"),
        ({"right": "yes"}, "name its id by `judged`"),
        ({"answer": "skoda_octavia"}, "name its id by `judged`"),
        ({"new": "yes"}, "name its id by `judged`"),
        ({"new": "no", "judged": "f" * 20}, "expected yes"),
        ({"new": "yes", "judged": "f" * 20, "by": "e" * 20}, "answered by the live model alone"),
    ],
)
def test_what_cannot_be_asked_is_said_with_what_can(asked, sentence):
    with pytest.raises(InputError, match=sentence):
        Wanted(asked)


def test_a_range_may_be_open_at_either_end(index):
    sizes = sorted(photo["size"] for photo in find_photos(index, Wanted()).photos)
    low, high = sizes[3], sizes[-3]
    expected = {f"{low}..": sum(size >= low for size in sizes), f"..{high}": sum(size <= high for size in sizes),
                f"{low}..{high}": sum(low <= size <= high for size in sizes)}  # fmt: skip
    for text, found in expected.items():
        assert find_photos(index, Wanted({"size": text})).found == found


def test_an_address_says_what_is_wanted_and_no_more():
    wanted = Wanted({"split": "test"}, text="golf", sort="oldest")
    assert wanted.parameters() == {"split": "test", "text": "golf", "sort": "oldest"}
    assert Wanted().parameters() == {}
    assert not {*EXACT, *RANGES, *FLAGS, *JUDGED} & {"dataset", "page", "at", "text", "sort"}


def test_choices_are_what_there_is_with_how_often(index):
    found = choices(index)
    assert found.photos == 12
    assert found.by["reason"] == [("not_a_car", 3), ("truncated", 1)]
    assert found.by["year"] == [("2014", 12)]
    assert "view" not in found.by
