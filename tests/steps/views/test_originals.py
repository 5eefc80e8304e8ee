"""Which photo stays instead of a copy, of photos that the stage itself has judged, in a bucket."""

import hashlib
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from carpipe import manifest
from carpipe.config import IdentifyConfig
from carpipe.manifest import Work
from carpipe.photos import drop, to_parquet
from carpipe.pictures import encode, hashes
from carpipe.stages.identify import identify
from carpipe.steps import results
from carpipe.steps.views.one_photo import original
from carpipe.steps.views.originals import EDITED, NEAR, OLDER, SAME, Original, find_originals
from carpipe.steps.views.photo import describe_photos
from carpipe.steps.views.photos import read_rows
from tests.indexed import index_of

FOLDER = "audi_a4_2016"


def find_original(session, dataset, key):
    """What commands say of a photo; pages say the same of it, by their index."""
    photos = results.read_photos(session.store, dataset)
    versions = photos[photos["key"] == key].tail(1)
    found = next(iter(find_originals(session, dataset, photos, versions).values()), None)
    for row in read_rows(index_of(session, dataset), [*versions.index]):
        stays = original(index_of(session, dataset), row)
        assert (stays and Original(stays[0].key, stays[1])) == found
    return found


@pytest.fixture(scope="module")
def files(world):
    """A photo, the same file again, encoded anew, cut, and both; and one that was replaced by another car's."""
    photo, other = (Image.open(world.raw / key).convert("RGB") for key in cars_of(world))
    x, y = photo.width // 25, photo.height // 25
    part = photo.crop((x, y, photo.width - x, photo.height - y))
    first = encode.encode_jpeg(photo, quality=90)
    return [
        ("first", "1", first), ("again", "2", first), ("anew", "3", encode.encode_jpeg(photo, quality=45)),
        ("cut", "4", encode.encode_jpeg(part, quality=80)), ("cut-anew", "5", encode.encode_jpeg(part, quality=45)),
        ("replaced", "6", encode.encode_jpeg(other.rotate(90), quality=80)),
        ("replaced", "6", encode.encode_jpeg(other, quality=80)),
    ]  # fmt: skip


def cars_of(world):
    """One photo of the first car, and one of the last."""
    rows = [row for row in world.photos if row.label == "auto" and row.kind == "original"]
    return rows[0].key, rows[-1].key


def row_of(name, listing, data):
    seen = hashes.look(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    return {
        "key": f"{FOLDER}/{name}.jpg", "listing_uuid": listing, "etag": name, "model": "audi_a4", "dhash": seen.dhash,
        "dhash_inner": seen.dhash_inner, "sha256": hashlib.sha256(data).hexdigest(), "dropped": None,
        "dropped_by": None,
    }  # fmt: skip


@pytest.fixture(scope="module")
def judged(files):
    photos = pd.DataFrame([row_of(*one) for one in files])
    texts = dict.fromkeys(photos, "str")
    signatures = [hashes.look(np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))).signature for *_, data in files]

    def of(rows):
        return np.array([list(signatures[number]) for number in rows.index], np.uint8)

    return identify(photos.astype(texts), config=IdentifyConfig(), signatures=of)


@pytest.fixture
def commit(session):
    """The dataset that comes of a photo table, with all that it was made of."""

    def make(photos, pairs):
        made = None
        for stage in ("identify", "classes", "split", "dataset"):
            work = Work(stage, 1, "all", {}, (made.key,) if made else (), home="datasets" if stage == "dataset" else "")
            table = to_parquet(photos.assign(split="train"))
            files = {results.PHOTOS: table, **({} if made else {results.PAIRS: to_parquet(pairs)})}
            made = manifest.commit(session.store, work, files, counts={"in": len(photos)}, extra={})
        return made

    return make


@pytest.mark.parametrize(
    ("name", "how"), [("again", SAME), ("anew", NEAR), ("cut", EDITED), ("cut-anew", EDITED), ("replaced", None)]
)
def test_the_original_is_named_with_what_the_copy_is_to_it(session, commit, judged, name, how):
    done = commit(judged.photos, judged.pairs)
    expected = Original(f"{FOLDER}/first.jpg", how) if how else None
    assert find_original(session, done, f"{FOLDER}/{name}.jpg") == expected


def test_a_photo_that_stays_and_one_that_is_not_there_have_none(session, commit, judged):
    done = commit(judged.photos, judged.pairs)
    assert find_original(session, done, f"{FOLDER}/first.jpg") is None
    assert find_original(session, done, "no/such.jpg") is None


def test_it_is_named_also_where_a_later_stage_has_dropped_it(session, commit, judged):
    rare = drop(judged.photos, judged.photos["dropped"].isna(), stage="classes", reason="too_few_photos")
    done = commit(rare, judged.pairs)
    assert find_original(session, done, f"{FOLDER}/anew.jpg") == Original(f"{FOLDER}/first.jpg", NEAR)


def test_pairs_are_read_for_pictures_alone_that_are_no_equal_files(session, commit, judged):
    done = commit(judged.photos, judged.pairs)
    session.store.delete(info.key for info in session.store.list_objects("stages"))
    assert find_original(session, done, f"{FOLDER}/again.jpg").how == SAME


def test_pairs_of_an_earlier_version_know_no_edited_copies(session, commit, judged):
    done = commit(judged.photos, judged.pairs[~judged.pairs["edited"]].drop(columns="edited"))
    assert find_original(session, done, f"{FOLDER}/anew.jpg").how == NEAR
    assert find_original(session, done, f"{FOLDER}/cut.jpg") is None


def test_the_command_names_it(session, commit, judged):
    done = commit(judged.photos, judged.pairs)
    line = f"  instead     {FOLDER}/first.jpg stays; this is {SAME}"
    assert line in describe_photos(session, "again", done.key).splitlines()
    older, newer = describe_photos(session, "replaced", done.key).split("\n\n")
    assert f"  instead     {FOLDER}/replaced.jpg stays; this is {OLDER}" in older.splitlines()
    assert "instead" not in newer
