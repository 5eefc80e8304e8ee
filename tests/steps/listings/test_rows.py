"""What a correction may say: names as they are spelled, three words that no model can have, and nothing else."""

import pytest

from carpipe.errors import InputError
from carpipe.stages.inventory import list_photos
from carpipe.steps.listings.rows import check_row, known_of
from carpipe.storage import ObjectInfo
from carpipe.taxonomy.words import WORDS

LISTING = "00000000-0000-4000-8000-000000000001"
KNOWN = known_of({LISTING: "audi_a3"}, {"audi_a4", "Small", "citroën_c3", "bmw_3er"})


def row(to, **cells):
    return check_row({"listing": LISTING, "from": "", "to": to, "by": "", "at": "", **cells}, "Line 2", known=KNOWN)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("audi_a3", "audi_a3"),  # a model of the photos
        (" Audi_A4 ", "audi_a4"),
        ("Small", "Small"),
        ("small", "Small"),
        ("CITROE\u0308N_C3", "citroën_c3"),
        *((word, word) for word in WORDS),
        ("Not-A-Car", "not-a-car"),
    ],
)
def test_what_can_be_meant_in_one_way_only_is_taken_so(text, meant):
    assert row(text).to == meant


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("audi_a5", "Did you mean 'audi_a4' or 'audi_a3'?"),
        ("not_a_car", "Did you mean 'not-a-car'"),
        ("cannot_tell", "Did you mean 'cannot-tell'"),
        ("bmw_3", "'bmw_3er'"),
        ("zzz", "`carpipe classes show` prints names."),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(text, nearest):
    with pytest.raises(InputError) as error:
        row(text)
    assert f"Line 2 says '{text}', which is neither a model of the photos nor a class or model" in str(error.value)
    assert nearest in str(error.value)


@pytest.mark.parametrize("word", WORDS)
def test_no_folder_makes_a_model_of_a_word(word):
    name = f"{word}_2011/1_1_{LISTING}_{LISTING}.jpg"
    photos = list_photos([ObjectInfo(name, "e", 1)])
    assert photos["dropped"].tolist() == ["name_not_understood"]


def test_nobody_decided_where_nothing_is_said():
    assert row("  ") is None


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"listing": "1813"}, "Line 2 has the listing '1813'; expected its uuid"),
        ({"listing": LISTING.replace("1", "2")}, "of which the inventory has no photo"),
        ({"from": "x" * 201}, "in the column `from`; expected a name of 200 characters"),
        ({"by": "a\x07"}, "Line 2 is by 'a\\x07'"),
        ({"at": "soon"}, "Line 2 has the time 'soon'"),
        ({"to": "a\x1b[31m"}, "in the column `to`"),
    ],
)
def test_what_cannot_be_right_is_refused(cells, message):
    with pytest.raises(InputError) as error:
        row(cells.pop("to", "audi_a4"), **cells)
    assert message in str(error.value)


def test_capitals_of_a_uuid_make_no_difference():
    one = "0B9B1B0E-52F8-4E7C-9A80-0D3B2F9A4C11"
    cells = {"listing": f" {one} ", "from": "", "to": "audi_a3", "by": "", "at": ""}
    assert check_row(cells, "Line 2", known=known_of({one.lower(): "audi_a3"}, ())).listing == one.lower()


@pytest.mark.parametrize("name", ["../../x", "a/b", "a_b\u2028c", "\u202eb_a"])
def test_what_was_said_long_ago_is_a_name_all_the_same(name):
    cells = {"listing": LISTING, "from": "", "to": name, "by": "", "at": ""}
    with pytest.raises(InputError, match=r"Line 2 says .* which is no name of a model or a class"):
        check_row(cells, "Line 2")


def test_what_was_said_long_ago_may_name_anything():
    cells = {"listing": LISTING, "from": "", "to": "Gone_Class", "by": "", "at": ""}
    assert check_row(cells, "Line 2").to == "Gone_Class"
    assert check_row({**cells, "to": "NOT-A-CAR"}, "Line 2").to == "not-a-car"
