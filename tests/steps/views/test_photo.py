"""`carpipe photo` finds a photo however its key is written."""

import unicodedata

import pytest

from carpipe import manifest
from carpipe.manifest import Work
from carpipe.photos import to_parquet
from carpipe.stages.inventory import list_photos
from carpipe.steps import results
from carpipe.steps.views.photo import describe_photos
from carpipe.storage import ObjectInfo

NFD = "citroe\u0308n_c4_2010/1_1_5fc9cb47-d64b-553f-810d-f507f91ab358_03692661-416f-5d2f-8729-50ae7622740b.jpg"
NFC = unicodedata.normalize("NFC", NFD)


def add_dataset(session, *keys):
    photos = list_photos(ObjectInfo(key, "e", 1) for key in keys).assign(split="train")
    work = Work("dataset", 3, "all", {}, ("a", "b"), home="datasets")
    files = {results.PHOTOS: to_parquet(photos)}
    return manifest.commit(session.store, work, files, counts={"in": len(photos), "kept": len(photos)}, extra={})


@pytest.mark.parametrize("stored", [NFD, NFC])
@pytest.mark.parametrize("asked", [NFD, NFC, f"raw/{NFD}", f" raw/{NFC} ", NFC.split("/")[0], NFD[:14]])
def test_composed_or_not_the_photo_is_found(session, stored, asked):
    done = add_dataset(session, stored, "fiat_500_2011/x.jpg")
    text = describe_photos(session, asked, done.key)
    assert text.startswith(f"{stored}\n  in: train")
    assert "fiat" not in text


def test_the_key_of_the_field_is_found(session, data):
    key = (data / "cases" / "nfd_key.txt").read_text("utf-8").strip()
    done = add_dataset(session, key)
    assert describe_photos(session, unicodedata.normalize("NFC", key), done.key) == describe_photos(
        session, key, done.key
    )


@pytest.mark.parametrize("asked", ["a\nb.jpg", r"a\nb.jpg", "/x.jpg", "c\udcff.jpg", r"\xff"])
def test_an_odd_name_is_found_and_shown_in_one_line(session, asked):
    done = add_dataset(session, "a\nb.jpg", "/x.jpg", "c\udcff.jpg")
    text = describe_photos(session, asked, done.key)
    assert "name_not_understood" in text
    assert text.splitlines()[0] in (r"a\nb.jpg", "/x.jpg", r"c\xff.jpg")


def test_what_turns_the_reading_direction_is_escaped(session):
    done = add_dataset(session, "\u202egpj.exe_a_2001/1.jpg")
    assert describe_photos(session, "a_2001", done.key).startswith(r"\u202egpj.exe")


def test_it_says_who_corrected_what_also_since_the_dataset(session):
    done = add_dataset(session, NFC, "fiat_500_2011/x.jpg")
    listing = NFC.split("_")[4]
    assert "said" not in describe_photos(session, NFC, done.key)
    rows = f"listing,from,to,by,at\n{listing},citroën_c4,fiat_500,ann,2026-01-01\n{listing},,not-a-car,,2026-01-02\n"
    session.store.put("labels/classes/x.csv", rows.encode())
    text = describe_photos(session, NFC, done.key)
    assert "said        fiat_500 (was citroën_c4, by ann, 2026-01-01T00:00:00Z)" in text
    assert text.index("fiat_500 (was") < text.index("not-a-car (by (unknown), 2026-01-02T00:00:00Z)")
    assert "said" not in describe_photos(session, "fiat_500_2011", done.key)
