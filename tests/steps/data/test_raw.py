"""Photos are read as the storage has them: what is too large is not read, what comes otherwise is asked for again."""

import hashlib

import pandas as pd
import pytest

from carpipe.errors import UnavailableError
from carpipe.photos import to_parquet
from carpipe.steps import results
from carpipe.steps.data import raw
from carpipe.steps.data.clean import clean
from carpipe.steps.data.inventory import inventory
from carpipe.steps.data.raw import MAX_OTHERWISE_PHOTOS, TRIES, Raw, objects_named, objects_of
from carpipe.steps.session import open_session
from carpipe.storage import ObjectInfo, Store
from tests.conftest import make_config
from tests.plugins import bucket

HTML = b"<html>504 Gateway Time-out</html>"
PHOTOS = 5


@pytest.fixture
def night(proxy, s3, request, monkeypatch):
    """A session on five photos through the proxy, as a function of settings."""
    monkeypatch.setattr(raw, "PAUSE_S", 0.001)

    def open_(**settings):
        url = f"s3://{s3.bucket}/raw-{id(request)}"
        return open_session(make_config(url, store__endpoint=proxy.url, **settings))

    store = open_().store
    for number in range(PHOTOS):
        store.put(f"raw/{bucket.key(number)}", bucket.jpeg(number))
    return open_


def cleaned(session):
    stock = inventory(session)
    done = [clean(session, part["manifest"], inventory=stock.key) for part in stock.partitions]
    photos = pd.concat([results.read_photos(session.store, one) for one in done])
    return photos.set_index("key")[["dropped", "sha256"]]


def always(change, number=3):
    def do(got):
        if got.key == bucket.key(number):
            change(got)

    return do


def cut(got):
    got.body = got.body[:-200]


def page(got):
    got.body, got.headers = HTML, {"Content-Type": "text/html"}


def same_size(got):
    got.body = HTML.ljust(len(got.body))


def empty(got):
    got.body = b""


def absent(got):
    got.status, got.body = 404, b"<Error><Code>NoSuchKey</Code><Message>It is not there.</Message></Error>"


def other_photo(got):
    got.body = bucket.jpeg(7)


@pytest.mark.parametrize("change", [cut, page, same_size, empty, other_photo, absent])
def test_what_comes_otherwise_is_asked_for_again(night, proxy, change):
    seen = []

    def once(got):
        if got.key == bucket.key(3) and not seen:
            seen.append(got.key)
            change(got)

    session = night()
    proxy.change = once
    out = cleaned(session)
    assert out["dropped"].isna().all()
    assert out["sha256"][bucket.key(3)] == hashlib.sha256(bucket.jpeg(3)).hexdigest()
    assert seen


@pytest.mark.parametrize("change", [cut, page, other_photo])
def test_what_goes_on_coming_otherwise_becomes_no_row_unasked(night, proxy, change):
    session = night()
    proxy.change = always(change)
    with pytest.raises(UnavailableError, match="1 photos came otherwise than they lie in the storage") as caught:
        cleaned(session)
    assert bucket.key(3) in str(caught.value)
    assert proxy.got.count(bucket.key(3)) == TRIES + 1

    out = cleaned(night(clean__accept_unreadable=True))
    assert len(out) == PHOTOS
    assert out["dropped"].notna().sum() == (change is not other_photo)
    proxy.change = lambda got: None
    assert cleaned(night()).equals(out), "the commit is reused"


def test_a_photo_that_the_storage_lists_and_says_it_has_not_is_not_missing(night, proxy):
    session = night()
    proxy.change = proxy.change_head = always(absent)
    with pytest.raises(UnavailableError, match="1 photos came otherwise than they lie in the storage"):
        cleaned(session)

    proxy.change = proxy.change_head = lambda got: None
    stock = inventory(session)
    session.store.delete([f"raw/{bucket.key(3)}"])
    done = clean(session, stock.partitions[0]["manifest"], inventory=stock.key)
    out = results.read_photos(session.store, done).set_index("key")["dropped"]
    assert out.dropna().to_dict() == {bucket.key(3): "missing"}


def test_a_storage_that_spoils_everything_is_not_asked_for_ever(night, proxy):
    session = night()
    proxy.change = page
    objects = [ObjectInfo(bucket.key(1), hashlib.md5(bucket.jpeg(1)).hexdigest(), len(bucket.jpeg(1)))] * 500
    with pytest.raises(UnavailableError, match=f"{MAX_OTHERWISE_PHOTOS} photos came otherwise"):
        list(Raw(session, objects))
    assert len(proxy.got) < 500


def test_an_object_that_was_overwritten_since_is_taken_as_it_is_now(night):
    session = night()
    stock = inventory(session)
    session.store.put(f"raw/{bucket.key(3)}", bucket.jpeg(8, comment=b"longer than before"))
    done = clean(session, stock.partitions[0]["manifest"], inventory=stock.key)
    photos = results.read_photos(session.store, done).set_index("key")
    assert photos["dropped"].isna().all()
    assert photos["sha256"][bucket.key(3)] == hashlib.sha256(bucket.jpeg(8, comment=b"longer than before")).hexdigest()


@pytest.mark.parametrize("etag", ["d41d8cd98f00b204e9800998ecf8427e-2", "f" * 32])
def test_etags_that_are_no_md5_say_nothing(night, proxy, etag):
    """Of uploads in parts, and of a server with keys of its own or other etags altogether."""

    def otherwise(got):
        got.headers["ETag"] = f'"{etag}"'
        got.headers["x-amz-server-side-encryption"] = "aws:kms"

    session = night()
    proxy.change = proxy.change_head = otherwise
    objects = [ObjectInfo(bucket.key(number), etag, len(bucket.jpeg(number))) for number in range(PHOTOS)]
    source = Raw(session, objects)
    assert [data for _, data in source] == [bucket.jpeg(number) for number in range(PHOTOS)]
    assert source.otherwise == []


def test_a_store_whose_etags_are_no_md5_is_not_held_to_them(night, proxy, monkeypatch):
    session = night()
    monkeypatch.setattr(Store, "etags_are_md5", property(lambda self: False, lambda self, found: None), raising=False)
    proxy.change = always(same_size)
    assert cleaned(session)["dropped"].dropna().to_dict() == {bucket.key(3): "not_an_image"}


def test_a_photo_listed_as_too_large_is_never_asked_for(night, proxy):
    session = night(clean__max_bytes=5000)
    session.store.put(f"raw/{bucket.key(7)}", b"\xff\xd8" + bytes(5000))
    out = cleaned(session)
    assert out["dropped"][bucket.key(7)] == "bomb"
    assert pd.isna(out["sha256"][bucket.key(7)])
    assert bucket.key(7) not in proxy.got
    assert out["dropped"].notna().sum() == 1


@pytest.mark.parametrize("said", [None, 100])
def test_a_photo_that_has_grown_too_large_is_cut_off(night, proxy, said):
    session = night(clean__max_bytes=5000)
    stock = inventory(session)

    def grow(got):
        got.body, got.said = bytes(50_000_000), said

    proxy.change = always(grow)
    done = clean(session, stock.partitions[0]["manifest"], inventory=stock.key)
    out = results.read_photos(session.store, done).set_index("key")["dropped"]
    assert out[bucket.key(3)] == "bomb"
    assert out.notna().sum() == 1


def test_one_photo_larger_than_the_budget_holds_nothing_up(night, proxy):
    session = night(store__prefetch_mb=1)
    large = [f"vw_golf_2014/large-{number}.jpg" for number in range(4)]
    for name in large:
        session.store.put(f"raw/{name}", bytes(3_000_000))
    names = [bucket.key(1), large[0], large[1], bucket.key(2), *large[2:], bucket.key(3)]
    assert [key for key, _ in Raw(session, objects_named(session, names))] == names


def test_photos_of_which_only_the_names_are_known_are_fetched_once_and_ahead(night, monkeypatch):
    session = night(store__prefetch_mb=10)
    sizes = {f"vw_golf_2014/large-{number}.jpg": 2_000_000 + number for number in range(6)}
    for name, size in sizes.items():
        session.store.put(f"raw/{name}", bytes(size))
    fetched, fetch = [], session.store._fetch
    monkeypatch.setattr(session.store, "_fetch", lambda key, limit: fetched.append(key) or fetch(key, limit))
    names = ["vw_golf_2014/gone.jpg", "vw_golf_2014/a\nb.jpg", *sizes]

    found = iter(Raw(session, objects_named(session, names[:1] + names[2:])))

    assert next(found) == (names[0], None)
    assert {key: len(data) for key, data in found} == sizes
    assert sorted(fetched) == sorted(f"raw/{name}" for name in names[:1] + names[2:])
    assert [info.size for info in objects_named(session, names)] == [0, 0, *sizes.values()]


def test_a_photo_table_says_what_its_objects_are(session):
    photos = pd.DataFrame({"key": ["a"], "etag": ["b"], "size": [3], "model": ["c"]})
    assert list(objects_of(session, photos, partition="p")) == [ObjectInfo("a", "b", 3)]
    assert to_parquet(photos)
