"""Listings for a person to decide on: which wait in which queue, and what is shown of one."""

import pytest

from carpipe.errors import InputError
from carpipe.photo_index import write_index
from carpipe.photos import to_parquet
from carpipe.steps.listings.store import correct_listing
from carpipe.steps.results import read_photos
from carpipe.steps.views.review import examples, known_names, queue, show_case
from tests.indexed import index_of
from tests.plugins import bucket


@pytest.fixture
def index(session, made):
    return index_of(session, made[0])


@pytest.fixture
def listings(index):
    """Of the photos that are in the dataset, in the order of the table."""
    rows = index.select("SELECT listing_uuid FROM photos WHERE dropped IS NULL ORDER BY row")
    return [one["listing_uuid"] for one in rows]


@pytest.fixture
def suspects(session, made, listings):
    bucket.add_suspects(session, made[0], listings[:3])
    return listings[:3]


def say(session, cache, index, listing, to, *, by="ann"):
    known = known_names(cache, index, listing)
    correct_listing(session, listing, to, known=known, at="2026-01-01T00:00:00Z", by=by)


def test_suspects_wait_until_somebody_has_decided(session, cache, index, suspects):
    assert queue(cache, "suspects", by="ann") == suspects
    say(session, cache, index, suspects[1], "seller-is-right")
    assert queue(cache, "suspects", by="ann") == [suspects[0], suspects[2]]
    assert queue(cache, "suspects", by="bob") == [suspects[0], suspects[2]]
    assert queue(cache, "mine", by="ann") == [suspects[1]]
    assert queue(cache, "mine", by="bob") == []


def test_a_second_opinion_is_asked_of_others_and_does_not_see_the_first(session, cache, index, suspects):
    say(session, cache, index, suspects[0], "volkswagen_golf")
    assert queue(cache, "second", by="ann") == []
    assert queue(cache, "second", by="bob") == [suspects[0]]
    assert show_case(cache, index, suspects[0], blind=True).said == []
    assert [one.to for one in show_case(cache, index, suspects[0]).said] == ["volkswagen_golf"]


def test_people_who_disagree_are_in_a_queue_and_one_who_changed_their_mind_is_not(session, cache, index, listings):
    one, other = listings[:2]
    for to in ("volkswagen_golf", "skoda_octavia"):
        say(session, cache, index, one, to)
    assert queue(cache, "disputed", by="ann") == []
    say(session, cache, index, other, "volkswagen_golf")
    say(session, cache, index, other, "not-a-car", by="bob")
    assert queue(cache, "disputed", by="ann") == [other]


def test_a_case_has_its_photos_both_classes_and_what_speaks_for_it(cache, index, suspects):
    case = show_case(cache, index, suspects[0])
    assert (case.given, case.suggested, case.why) == ("skoda_octavia", "volkswagen_golf", "All 3 say so.")
    assert len(case.photos) == 1
    assert case.of_given
    assert not {one.row for one in case.photos} & {one.row for one in (*case.of_given, *case.of_suggested)}
    assert {index_row(index, one.row)["class_name"] for one in case.of_suggested} == {"volkswagen_golf"}


def index_row(index, row):
    return index.select("SELECT * FROM photos WHERE row = ?", [row])[0]


def test_examples_show_each_car_once(index):
    found = [index_row(index, one.row)["vehicle"] for one in examples(index, "skoda_octavia", apart_from="")]
    assert len(found) == len({*found}) <= 8


def test_a_name_that_is_none_is_refused_with_the_nearest(session, cache, index, listings):
    with pytest.raises(InputError, match="Did you mean 'volkswagen_golf'"):
        say(session, cache, index, listings[0], "volkswagen_gofl")
    known = known_names(cache, index, "")
    with pytest.raises(InputError, match="of which the inventory has no photo"):
        correct_listing(session, listings[0], "volkswagen_golf", known=known, at="2026-01-01T00:00:00Z", by="ann")


def test_a_listing_that_was_corrected_is_still_shown_as_the_seller_said(session, cache, made, tmp_path):
    """Else whoever agrees with a correction would say that the seller is right."""
    table = read_photos(session.store, made[0])
    table["corrected"] = table["class_name"].where(table["class_name"] == "skoda_octavia")
    [listing, *_] = table.loc[table["corrected"].notna(), "listing_uuid"]
    mine = table["listing_uuid"] == listing
    table.loc[~mine, "corrected"] = None
    table.loc[mine, "class_name"] = "volkswagen_golf"
    index = write_index(to_parquet(table), tmp_path / "i.duckdb")
    case = show_case(cache, index, listing)
    assert (case.model, case.given) == ("skoda_octavia", "skoda_octavia")


def test_a_listing_without_photos_cannot_be_corrected(session, cache, index):
    with pytest.raises(InputError, match="of which the inventory has no photo"):
        say(session, cache, index, "00000000-0000-0000-0000-0000000000ff", "volkswagen_golf")
