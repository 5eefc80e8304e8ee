"""Names that nobody should give to photos: each costs a row of its own at most, never the night."""

import boto3
import pytest

from carpipe.errors import InputError, StoreError
from carpipe.names import shown
from carpipe.steps import results
from carpipe.steps.data.clean import clean
from carpipe.steps.data.inventory import inventory, latest_inventory
from carpipe.steps.labels.label_set import _of_photos
from carpipe.steps.labels.store import count_missing
from carpipe.steps.session import open_session
from carpipe.steps.upkeep.forget import forget
from carpipe.steps.views.photo import describe_photos
from carpipe.steps.views.preview import Previews
from tests.conftest import make_config
from tests.plugins import bucket
from tests.test_odd_keys import ODD

LISTING = "00000000-0000-0000-0000-000000000001"


@pytest.fixture
def night(odd, s3, request):
    """A bucket with two photos; its listings hold what `odd.keys` says."""
    session = open_session(make_config(f"s3://{s3.bucket}/names/{id(request)}", store__endpoint=odd.url))
    for number in (1, 2):
        session.store.put(f"raw/{bucket.key(number)}", bucket.jpeg(number))
    odd.keys = [bucket.key(1), bucket.key(2)]
    return session


def cleaned(session):
    stock = inventory(session)
    tables = [
        results.read_photos(session.store, clean(session, part["manifest"], inventory=stock.key))
        for part in latest_inventory(session).partitions
    ]
    return {key: why for table in tables for key, why in zip(table["key"], table["dropped"], strict=True)}


@pytest.mark.parametrize(
    "names",
    [
        *([name] for name in ODD.values() if not name.endswith("/")),
        [name for name in ODD.values() if not name.endswith("/")],
        ["//", "///x", "\x01", "\udcff\udcfe"],
        ["x" * 1020, "a_b_2001/" + "é" * 500],
        ["twice\ufffd.jpg", "twice\ufffd.jpg"],
        ["audi_a4_2001/x.jpg", "audi_a4_2001/x.jpg/"],
        ["a\nb", r"a\nb"],
        ["\u202egpj_a_2001/1.jpg", "a\u0085b_c_2001/1.jpg", "a\u2028b"],
        [" _ _2001/" + bucket.key(3).split("/")[1]],
    ],
    ids=str,
)
def test_an_odd_name_costs_its_own_row(night, odd, names):
    odd.keys += names

    out = cleaned(night)

    mine = {bucket.key(1), bucket.key(2)}
    assert {key for key, why in out.items() if isinstance(why, str)} == set(out) - mine
    assert {why for key, why in out.items() if key not in mine} <= {"name_not_understood"}
    assert mine <= set(out)
    assert not [key for key in out if "\n" in key or "\x7f" in key]


@pytest.mark.parametrize(
    ("names", "read"),
    [
        (["twice\ufffd.jpg", "twice\ufffd.jpg"], "twice\ufffd.jpg"),
        (["//x.jpg", "twice\ufffd.jpg", "twice\ufffd.jpg"], "twice\ufffd.jpg"),
        (["audi_a4_2001/x.jpg", "audi_a4_2001/x.jpg/"], "audi_a4_2001/x.jpg"),
        (["a\nb", r"a\nb"], r"a\nb"),
    ],
    ids=str,
)
def test_names_that_read_the_same_are_told(night, odd, names, read, caplog):
    odd.keys += names
    assert inventory(night).photos == 2 + len(names) - 1
    assert f"several names under raw/ read '{read}'" in caplog.text


@pytest.mark.parametrize("page", [1, 3])
def test_a_name_that_is_there_once_is_not_told(night, odd, page, caplog):
    odd.page = page
    odd.keys += ["audi-x/1.jpg", "audi/", "audi//1.jpg", "a\nb", "c\udcff"]
    inventory(night)
    assert "several names" not in caplog.text


def test_the_next_night_finds_nothing_new(night, odd):
    odd.keys += ["//x.jpg", "a\nb", "c\udcff"]
    first = inventory(night)
    assert first.photos == 5
    assert inventory(night) == first


def test_an_empty_folder_without_a_name_is_no_photo(night, odd):
    before = set(cleaned(night))
    odd.keys += ["/", "a//", "b_c_2001/"]
    assert set(cleaned(night)) == before


def test_a_model_that_cannot_be_printed_is_no_class(night, odd):
    name = bucket.key(3).split("/")[1]
    odd.keys += [f"vw_go\u202elf_2014/{name}", f"vw_go\u2028lf_2015/{name}"]
    out = cleaned(night)
    assert [out[key] for key in sorted(set(out) - {bucket.key(1), bucket.key(2)})] == ["name_not_understood"] * 2


def test_a_listing_is_forgotten_under_odd_keys_too(night, odd):
    inventory(night)
    mine = bucket.key(1).split("/")[1]
    odd.keys += [f"/skoda_octavia_2014/{mine}", f"x\n/{mine}"]
    done = forget(night, LISTING, at="2026-01-01T00:00:00Z")
    assert done.raw == 3
    assert sorted(odd.deleted) == [f"/skoda_octavia_2014/{mine}", f"x\n/{mine}"]
    assert night.store.head(f"raw/{bucket.key(1)}") is None


def test_a_photo_that_cannot_be_deleted_is_named_when_all_else_is(night, odd):
    inventory(night)
    name = bucket.key(1)
    can, cannot = [f"//{name}", f"/{name}", f"x\n/{name}"], [f"../{name}", f"./{name}", f"y/./{name}"]
    odd.keys += [*can, *cannot]
    with pytest.raises(StoreError) as caught:
        forget(night, LISTING, at="2026-01-01T00:00:00Z")
    assert sorted(odd.deleted) == sorted(can)
    assert [key for key in (*can, *cannot) if f"'raw/{shown(key)}'" in str(caught.value)] == cannot
    assert night.store.head(f"raw/{bucket.key(1)}") is None
    parts = latest_inventory(night).partitions
    assert sum(part["photos"] for part in parts) == 1


def test_labels_are_counted_beside_odd_keys(night, odd):
    odd.keys += ["//x.jpg", "skoda_octavia_2014//x.jpg"]
    labels = f"key,label\n{bucket.key(1)},auto\nvw_polo_2012/x.jpg,auto\n".encode()
    assert count_missing(night, labels) == 1
    found, there = _of_photos(night, {bucket.key(1): "auto", "/x.jpg": "auto"})
    assert [info.key for info in there] == [bucket.key(1)]
    assert set(found) == {bucket.key(1), "/x.jpg"}


def test_a_preview_of_an_odd_name_is_refused_in_one_line(night):
    previews = Previews(night)
    for key in ("/x.jpg", "a//x.jpg"):
        with pytest.raises(InputError, match="cannot be shown"):
            previews.jpeg(key)


@pytest.mark.parametrize("character", ["\x01", "\x1b", "\ufffe"])
def test_a_name_that_the_server_cannot_list_is_not_understood(session, s3, character):
    client = boto3.client("s3", endpoint_url=s3.endpoint, region_name="us-east-1")
    root = session.store.url.removeprefix(f"s3://{s3.bucket}/")
    name = bucket.key(1).replace("golf", f"go{character}lf")
    client.put_object(Bucket=s3.bucket, Key=f"{root}/raw/{name}", Body=bucket.jpeg(1))
    real = bucket.key(3).replace("golf", "go\ufffdlf")
    session.store.put(f"raw/{real}", bucket.jpeg(3))
    assert cleaned(session)[name.replace(character, "\ufffd")] == "name_not_understood"
    assert not isinstance(cleaned(session)[real], str)
    assert inventory(session).generation == 1


def test_a_photo_is_found_by_its_name_as_it_is_and_as_it_is_shown(session, capsys):
    name = "a\u0085b\u200ec_2001/x.jpg"
    session.store.put(f"raw/{name}", bucket.jpeg(1))
    bucket.fill(session)
    for words in (name, shown(name), "x.jpg"):
        assert describe_photos(session, words, None).splitlines()[0] == r"a\x85b\u200ec_2001/x.jpg"
