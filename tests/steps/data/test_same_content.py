"""A copied bucket has other etags and the same photos: none of them is new, and none has gone."""

import hashlib

import boto3
import pytest

from carpipe.errors import UnavailableError
from carpipe.steps import results
from carpipe.steps.data import raw, same_content
from carpipe.steps.data.clean import clean
from carpipe.steps.data.inventory import inventory, latest_inventory
from carpipe.steps.data.raw import Raw, objects_of
from carpipe.steps.data.same_etags import SAME, read_same
from carpipe.steps.session import open_session
from carpipe.steps.upkeep.forget import forget
from carpipe.steps.upkeep.garbage import find_garbage
from carpipe.storage import Store
from tests.conftest import make_config
from tests.plugins import bucket

PHOTOS = 6


@pytest.fixture
def copy(s3, session):
    """Upload a photo again in parts, as a copy does: its etag is no MD5 then."""
    client = boto3.client("s3", endpoint_url=s3.endpoint)
    home = session.store.url.removeprefix(f"s3://{s3.bucket}/")

    def upload(number, data=None):
        where = {"Bucket": s3.bucket, "Key": f"{home}/raw/{bucket.key(number)}"}
        begun = client.create_multipart_upload(**where)["UploadId"]
        body = bucket.jpeg(number) if data is None else data
        part = client.upload_part(**where, UploadId=begun, PartNumber=1, Body=body)
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        client.complete_multipart_upload(**where, UploadId=begun, MultipartUpload=parts)
        assert session.store.head(f"raw/{bucket.key(number)}").etag.endswith("-1")

    return upload


@pytest.fixture
def first(session):
    """The inventory of photos that were cleaned."""
    for number in range(PHOTOS):
        session.store.put(f"raw/{bucket.key(number)}", bucket.jpeg(number))
    return night(session)


def night(session):
    stock = inventory(session)
    for part in stock.partitions:
        clean(session, part["manifest"], inventory=stock.key)
    return stock


def test_photos_that_were_copied_are_those_that_were_there(session, first, copy, monkeypatch):
    for number in range(PHOTOS):
        copy(number)
    assert night(session) == first
    assert len(read_same(session)) == PHOTOS
    monkeypatch.setattr(same_content, "_equal", lambda *_: pytest.fail("what was compared is not read again"))
    assert inventory(session) == first


def test_what_has_another_content_is_new(session, first, copy):
    copy(1)
    copy(2, bucket.jpeg(9))
    again = night(session)
    assert (again.new_photos, again.gone["photos"], len(again.partitions)) == (1, 1, len(first.partitions) + 1)
    assert read_same(session)["key"].tolist() == [bucket.key(1)]
    assert night(session) == again


def test_a_photo_that_was_copied_twice_is_still_the_one(session, first, copy, monkeypatch):
    monkeypatch.setattr(Store, "etags_are_md5", property(lambda self: False, lambda self, found: None), raising=False)
    copy(1)
    night(session)
    session.store.put(f"raw/{bucket.key(1)}", bucket.jpeg(1))
    assert night(session) == first
    copy(1)
    assert night(session) == first


def test_photos_of_other_sizes_are_other_photos_and_not_read(session, first, monkeypatch):
    session.store.put(f"raw/{bucket.key(1)}", bucket.jpeg(8, comment=b"longer"))
    monkeypatch.setattr(same_content, "_contents", lambda *_: pytest.fail("nothing is to be read"))
    assert inventory(session).new_photos == 1


def test_a_storage_that_spoils_them_says_nothing_of_them(session, first, copy, proxy, monkeypatch):
    """An error page in the place of a photo is no other content."""
    copy(1)
    monkeypatch.setattr(raw, "PAUSE_S", 0.001)

    def spoil(got):
        if got.key == bucket.key(1):
            got.body = b"<html>502 Bad Gateway</html>"

    proxy.change = spoil
    with pytest.raises(UnavailableError, match="came otherwise than they lie in the storage"):
        inventory(open_session(make_config(session.store.url, store__endpoint=proxy.url)))
    proxy.change = lambda got: None
    assert night(session) == first


def test_half_a_copy_is_no_end(session, first, copy):
    """What `clean` has found may be missing where etags are other ones: then photos count as new."""
    copy(1)
    session.store.delete([info.key for info in session.store.list_objects("stages/clean") if "photos" in info.key])
    assert inventory(session).new_photos == 1


def test_later_stages_read_them_as_they_are_now(session, first, copy, monkeypatch):
    copy(3)
    night(session)
    part = latest_inventory(session).partitions[0]
    photos = results.read_photos(session.store, results.manifest.read(session.store, part["manifest"]))
    heads = []
    monkeypatch.setattr(Store, "head", lambda self, key: heads.append(key))
    source = Raw(session, objects_of(session, photos, partition=part["partition"]))
    found = {key: hashlib.sha256(data).hexdigest() for key, data in source}
    assert found == {bucket.key(number): hashlib.sha256(bucket.jpeg(number)).hexdigest() for number in range(PHOTOS)}
    assert (source.otherwise, heads) == ([], [])


def test_without_what_clean_has_found_a_photo_is_new(session, copy):
    session.store.put(f"raw/{bucket.key(1)}", bucket.jpeg(1))
    inventory(session)
    copy(1)
    assert inventory(session).new_photos == 1


def test_it_is_kept_and_forgotten_with_its_listing(session, first, copy):
    from datetime import UTC, datetime, timedelta

    copy(1)
    copy(2)
    night(session)
    garbage = find_garbage(session, older_than=timedelta(0), now=datetime.now(UTC) + timedelta(days=1))
    assert not [info.key for info in garbage.objects if info.key.startswith(SAME)]
    forget(session, bucket.key(1).split("_")[4], at="2026-01-01T00:00:00Z")
    assert read_same(session)["key"].tolist() == [bucket.key(2)]
