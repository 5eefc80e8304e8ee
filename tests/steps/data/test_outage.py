"""Many unreadable photos in many listings are an outage; a few are not, nor is what a seller can do."""

from uuid import UUID

import pandas as pd
import pytest

from carpipe.errors import UnavailableError
from carpipe.manifest import Manifest
from carpipe.steps import results
from carpipe.steps.data.clean import clean
from carpipe.steps.data.inventory import inventory
from carpipe.steps.data.outage import Unreadable, check_readable, find_unreadable, is_page
from tests.plugins import bucket

HTML = b"<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>"


def key(listing, photo=1):
    return f"vw_golf_2014/{listing}_{photo}_{UUID(int=listing)}_{UUID(int=1000 * listing + photo)}.jpg"


def other(photos, *, listings=None, **dropped):
    hit = dropped.get("truncated", 0)
    facts = {"photos": photos, "hit": hit, "listings": photos, "listings_hit": hit} if listings else {}
    return Manifest(
        key="", stage="clean", version=1, partition="", config={}, weights={}, inputs=[], settings="", files={},
        counts={"in": photos, "kept": 0, "dropped": dropped}, extra={"unreadable": facts} if facts else {},
    )  # fmt: skip


def check(photos, hit, *, listings=None, listings_hit=None, elsewhere=()):
    found = Unreadable(
        photos, hit, listings or photos, hit if listings_hit is None else listings_hit, {"truncated": hit}, ("a\nb",)
    )
    check_readable("photos of partition p00000-x", found, max_unreadable=0.1, elsewhere=elsewhere)


def test_a_partition_of_unreadable_photos_is_an_outage():
    with pytest.raises(UnavailableError, match="30 of the 100 photos of partition p00000-x are unreadable") as caught:
        check(100, 30)
    assert r"'a\nb'" in str(caught.value)
    assert "--accept-unreadable" in str(caught.value)


@pytest.mark.parametrize(("total", "broken"), [(100, 10), (100, 15), (5, 2)])
def test_a_few_broken_photos_are_not(total, broken):
    check(total, broken)


def test_many_photos_of_few_listings_are_not():
    check(100, 60, listings=41, listings_hit=1)
    check(1000, 600, listings=41, listings_hit=8)


def test_photos_here_and_there_in_many_listings_are_not():
    check(1000, 60, listings=100, listings_hit=60)


@pytest.mark.parametrize("elsewhere", [other(200, listings=200, truncated=50), other(200, truncated=50)])
def test_photos_that_are_as_bad_in_all_partitions_are_not(elsewhere):
    check(100, 30, elsewhere=[elsewhere, other(0)])


def test_the_other_partitions_are_not_looked_at_where_all_is_well():
    check(100, 10, elsewhere=(pytest.fail("looked at") for _ in range(1)))


@pytest.mark.parametrize(
    ("reason", "signs"),
    [
        ("truncated", 1),
        ("poison", 1),
        ("not_an_image", 1),
        ("empty", 0),
        ("bomb", 0),
        ("missing", 0),
        ("unsupported_format", 0),
    ],
)
def test_what_a_seller_can_do_is_no_sign(reason, signs):
    photos = pd.DataFrame(
        {
            "key": ["a", "b", "c"],
            "listing_uuid": ["1", "1", "2"],
            "dropped": [reason, None, reason],
            "dropped_by": ["clean", None, "inventory"],
        }
    ).astype("str")
    found = find_unreadable(photos, {"a"})
    assert (found.photos, found.hit, found.listings, found.listings_hit) == (2, signs, 1, signs)
    if reason == "not_an_image":
        assert find_unreadable(photos, set()).hit == 0
        assert found.kinds == {"error_page": 1}
    if reason == "poison":
        assert find_unreadable(photos, set(), over_time={"a"}).hit == 0, "its decoder was sound"


@pytest.mark.parametrize(
    "data",
    [
        HTML, b"\xef\xbb\xbf \r\n<html>", b"<?xml version='1.0'?><Error><Code>SlowDown</Code></Error>", b"<!-- x -->",
        b'{"message": "timeout"}', b"{}", b'[{"error": 1}]', b"upstream: Service Unavailable\n", b"404 page NOT FOUND",
    ],
)  # fmt: skip
def test_a_page_of_a_server_is_one(data):
    assert is_page(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no photo",
        b"\0\1\2",
        bucket.jpeg(1),
        b"<svg xmlns='x'></svg>",
        b"GIF89a",
        b"<\0",
        b"%PDF-1",
    ],
)
def test_what_a_seller_may_upload_is_none(data):
    assert not is_page(data)


def night(session, files):
    """Upload and clean them; returns reasons by key."""
    for name, data in files.items():
        session.store.put(f"raw/{name}", data)
    stock = inventory(session)
    done = [clean(session, part["manifest"], inventory=stock.key) for part in stock.partitions]
    photos = pd.concat([results.read_photos(session.store, one) for one in done])
    return dict(zip(photos["key"], photos["dropped"], strict=True))


def good(numbers):
    return {key(number): bucket.jpeg(1, comment=b"%d" % number) for number in numbers}


def test_a_seller_s_empty_files_and_pages_stop_no_night(make_session):
    session = make_session(clean__max_unreadable=0.1)
    mine = {key(100 + number): b"" for number in range(14)}
    mine |= {key(200, photo): HTML + b"%d" % photo for photo in range(30)}
    mine |= {key(300 + number): b"this is no photo %d" % number for number in range(14)}
    out = night(session, good(range(40)) | mine)
    assert {out[name] for name in mine} == {"empty", "not_an_image"}
    assert not [name for name in good(range(40)) if isinstance(out[name], str)]


@pytest.mark.parametrize("broken", [HTML, bucket.jpeg(1)[:-150]], ids=["page", "truncated"])
def test_a_fault_in_many_listings_is_an_outage_until_somebody_says_otherwise(make_session, broken):
    session = make_session(clean__max_unreadable=0.1)
    bad = {key(100 + number): broken for number in range(30)}
    with pytest.raises(UnavailableError, match=r"30 of the 100 photos .* in 30 of the 100 listings") as caught:
        night(session, good(range(70)) | bad)
    assert str(caught.value).count("vw_golf_2014/") == 5
    assert "and 25 more" in str(caught.value)

    out = night(make_session(clean__max_unreadable=0.1, clean__accept_unreadable=True), {})
    assert all(isinstance(out[name], str) for name in bad)
    # The night after finds it done.
    assert night(session, {}) == out
