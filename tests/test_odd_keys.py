"""Keys that obstore refuses to list: `raw//x.jpg`, line breaks, what is no UTF-8. They stop nobody."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import boto3
import pytest

from carpipe.errors import AccessError, StoreError, UnavailableError
from carpipe.names import is_odd, shown, shown_text
from carpipe.steps.chain import needs_filter
from carpipe.steps.data.datasets import find_dataset
from carpipe.steps.data.inventory import latest_inventory
from carpipe.steps.data.ledger import read_ledger
from carpipe.steps.labels.candidates import list_candidates
from carpipe.steps.labels.store import read_labels
from carpipe.steps.models.decisions import decisions
from carpipe.steps.session import open_session
from carpipe.steps.upkeep.forget import forget
from carpipe.steps.upkeep.garbage import collect, find_garbage
from carpipe.weights import channel
from tests.conftest import make_config
from tests.plugins import bucket

PLAIN = ["audi_a4_2001/a.jpg", "audi_a4_2001/b c+d.jpg", "citroën_c4_2010/é&<>\"'.jpg", "z%2f_2001/x.jpg"]
ODD = {
    "empty part": "/audi_a3_2001/5.jpg",
    "empty part inside": "audi_a3_2001//5.jpg",
    "empty parts at the end": "audi_a3_2001//",
    "dots": "../x.jpg",
    "one dot": "audi_a3_2001/./x.jpg",
    "line break": "audi_a3_2001/a\nb.jpg",
    "carriage return": "audi_a3_2001/a\rb.jpg",
    "no XML": "audi_a3_2001/a\x01b.jpg",
    "delete": "audi_a3_2001/a\x7fb.jpg",
    "no UTF-8": "audi_a3_2001/a\udcffb.jpg",
    "half a surrogate pair": "audi_a3_2001/a\udced\udca0\udc80b.jpg",
}


@pytest.fixture
def store(odd, s3, request):
    return open_session(make_config(f"s3://{s3.bucket}/odd/{id(request)}", store__endpoint=odd.url)).store


def keys(store, prefix="raw"):
    return [info.key.removeprefix("raw/") for info in store.list_objects(prefix)]


@pytest.mark.parametrize("name", ODD)
def test_a_listing_goes_on_where_a_key_cannot_be_asked_for(store, odd, name):
    odd.keys = [*PLAIN, ODD[name]]
    assert sorted(keys(store)) == sorted(odd.keys)
    assert is_odd(f"raw/{ODD[name]}")
    assert not any(is_odd(f"raw/{key}") for key in PLAIN)


@pytest.mark.parametrize("page", [1, 3, 1000])
def test_nothing_is_listed_twice_or_left_out_over_pages(store, odd, page):
    odd.page = page
    odd.keys = [*PLAIN, *ODD.values(), *(f"vw_golf_2014/{number:04d}.jpg" for number in range(60))]
    found = keys(store)
    assert sorted(found) == sorted(odd.keys)
    sizes = {info.key: (info.size, info.etag) for info in store.list_objects("raw")}
    assert sizes[f"raw/{PLAIN[0]}"][0] == 9
    assert len(sizes[f"raw/{PLAIN[0]}"][1]) == 32


def test_folders_that_consoles_make_look_the_same_beside_odd_keys(store, odd):
    odd.keys = ["audi/", "audi-x/1.jpg", "audi/1.jpg", "b/c/", "b/d.jpg"]
    plain = keys(store)
    odd.keys = [*odd.keys, "c//1.jpg"]
    assert keys(store) == [*plain, "c//1.jpg"]


def test_a_sound_listing_is_asked_for_once(store, odd):
    odd.keys = list(PLAIN)
    assert sorted(keys(store)) == sorted(PLAIN)
    assert len(odd.asked) == 1
    assert "X-Amz-Signature" not in odd.asked[0]


def test_folders_are_listed_past_one_without_a_name(store, odd):
    odd.keys = ["/audi_a3_2001/5.jpg", "audi_a4_2001/a.jpg", "b\nc/a.jpg"]
    assert store.list_folders("raw") == ["raw/audi_a4_2001"]


def test_the_listing_that_aws_gives_has_all_three(odd, s3, data):
    odd.answer = (data / "cases" / "listing_with_double_slash.xml").read_bytes()
    opened = open_session(make_config(f"s3://{s3.bucket}/cars", store__endpoint=odd.url))
    found = [info.key for info in opened.store.list_objects("raw")]
    assert [key.split("/")[:2] for key in found] == [["raw", ""], ["raw", "audi_a4_2001"], ["raw", "audi_a4_2001"]]


def test_where_the_second_way_is_refused_the_odd_key_is_named(store, odd):
    odd.keys, odd.refuse = [*PLAIN, "audi_a3_2001//5.jpg"], "<Error><Code>MethodNotAllowed</Code></Error>"
    with pytest.raises(StoreError, match=r"raw/audi_a3_2001//5\.jpg' in .* is not possible") as caught:
        keys(store)
    assert not isinstance(caught.value, AccessError | UnavailableError)


def test_an_answer_that_is_no_listing_is_no_end_of_one(store, odd):
    odd.answer = b"<html>\xff sign in"
    with pytest.raises(UnavailableError):
        keys(store)


@pytest.mark.parametrize("name", ["empty part", "line break", "delete", "no UTF-8", "no XML"])
def test_an_odd_key_can_be_deleted(store, odd, name):
    odd.keys = [*PLAIN, ODD[name]]
    store.delete([f"raw/{ODD[name]}"])
    assert odd.deleted == [ODD[name]]


def test_a_key_with_dots_is_not_taken_for_another_one(store, odd):
    with pytest.raises(StoreError, match=r"'raw/a/\.\./x.jpg' in .* is not possible"):
        store.delete(["raw/a/../x.jpg"])


def test_the_real_server_understands_what_is_signed(session, s3):
    client = boto3.client("s3", endpoint_url=s3.endpoint, region_name="us-east-1")
    root = session.store.url.removeprefix(f"s3://{s3.bucket}/")
    names = ["a b+c/é~(1).jpg", "a b+c/new\nline.jpg", "vw_golf_2014/1.jpg"]
    for name in names:
        client.put_object(Bucket=s3.bucket, Key=f"{root}/raw/{name}", Body=b"1")
    assert sorted(keys(session.store)) == sorted(names)
    session.store.delete([f"raw/{names[1]}"])
    assert sorted(keys(session.store)) == sorted([names[0], names[2]])


def test_names_are_shown_without_what_forges_a_line():
    assert shown("a\nb\x7f\u2028\u202e\udcffé") == r"a\nb\x7f\u2028\u202e\xffé"


def test_a_text_keeps_its_lines_and_nothing_else_of_what_forges_them():
    assert shown_text("a\nb\tc\r\x1b[2J\u2028\u200fé") == "a\nb\tc" + r"\r\x1b[2J\u2028\u200fé"


ELSEWHERE = [
    "labels/car-filter",
    "labels/classifier/candidates",
    "channels/classifier/history",
    "channels/classifier/decisions",
    "stages/inventory/log",
    "stages/inventory/forgotten",
    "stages/split/ledger",
    "stages/clean/all",
    "datasets",
    "datasets/a\x7fb",
    "models/classifier",
    "runs",
]


@pytest.fixture
def littered(session, s3):
    """A bucket in which somebody has left objects with odd names everywhere."""
    client = boto3.client("s3", endpoint_url=s3.endpoint, region_name="us-east-1")
    root = session.store.url.removeprefix(f"s3://{s3.bucket}/")
    for folder in ELSEWHERE:
        for name in ("a\nb.json", "\x7f.csv", "x\x7fy/manifest.json", "manifest.json\n", "0\x7f.jpg"):
            client.put_object(Bucket=s3.bucket, Key=f"{root}/{folder}/{name}", Body=b"{}")
    return session


def test_odd_names_anywhere_in_the_bucket_stop_nothing(littered, tmp_path):
    dataset, models = bucket.fill(littered)
    store = littered.store
    assert [info.key for info in store.list_usable("datasets")] == [
        info.key for info in store.list_objects("datasets") if not is_odd(info.key)
    ]
    assert find_dataset(littered, None).key == dataset.key
    assert [one.model for one in channel.history(store, "classifier")] == [model.key for model in models]
    assert len(decisions(littered, "classifier")) == 2
    assert (read_labels(littered), list_candidates(littered)) == ([], [])
    assert not needs_filter(littered) or channel.read_channel(store, "car-filter") is None
    assert read_ledger(littered)[0] == 0
    garbage = find_garbage(littered, older_than=timedelta(0), now=datetime(2100, 1, 1, tzinfo=UTC))
    assert not [info.key for info in garbage.objects if is_odd(info.key)]
    collect(littered, garbage)
    forget(littered, str(UUID(int=1)), at="2026-01-01T00:00:00Z")
    assert latest_inventory(littered).photos == bucket.PHOTOS - 1
