"""Cleaning: every photo ends in one row; what is kept is whole."""

import csv
import io
import random

import numpy as np
import pytest
from PIL import Image

from carpipe.config import CleanConfig
from carpipe.pictures import hashes
from carpipe.stages import clean as stage
from carpipe.stages.clean import clean

REASONS = {"empty", "not_an_image", "truncated", "bomb", "too_small", "damaged", "missing"}


def photo(seed=1, size=(320, 200), name="JPEG", **options):
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 255, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8))
    sink = io.BytesIO()
    coarse.resize(size, Image.Resampling.BICUBIC).save(sink, name, **options)
    return sink.getvalue()


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def rows(cleaned):
    return cleaned.results.astype(object).where(cleaned.results.notna(), None).to_dict("records")


def test_a_kept_photo_has_facts_thumbnail_and_signature():
    data = photo()

    cleaned = clean([("a.jpg", data)], config=CleanConfig())

    (row,) = rows(cleaned)
    thumbnail = Image.open(io.BytesIO(cleaned.thumbnails["a.jpg"]))
    assert thumbnail.size == (256, 160)
    assert row == {
        "key": "a.jpg",
        "reason": None,
        "format": "JPEG",
        "width": 320,
        "height": 200,
        "sha256": hashes.sha256(data),
        "dhash": row["dhash"],
        "dhash_inner": row["dhash_inner"],
        "damage": 0.0,
        "repaired": None,
    }
    assert len(row["dhash"]) == len(row["dhash_inner"]) == 16
    shown = np.frombuffer(hashes.look(np.asarray(thumbnail)).signature, np.uint8).astype(int)
    assert np.abs(shown - np.frombuffer(cleaned.signatures["a.jpg"], np.uint8)).mean() < 2
    assert cleaned.repaired == {}


def test_each_way_out_has_its_row_in_the_order_of_the_files():
    data = photo()
    files = [
        ("gone", None),
        ("empty", b""),
        ("page", b"<html>404</html>"),
        ("cut", data[: len(data) // 2]),
        ("no end", data[:-2]),
        ("small", photo(size=(320, 56))),
        ("many pixels", photo(size=(640, 400))),
        ("many bytes", data + bytes(200_000)),
        ("turned", photo(exif=turned())),
        ("png", photo(name="PNG")),
    ]

    cleaned = clean(files, config=CleanConfig(max_pixels=100_000, max_bytes=200_000))

    found = {row["key"]: row["reason"] for row in rows(cleaned)}
    assert cleaned.thumbnails.keys() == cleaned.signatures.keys() == {"no end", "turned", "png"}
    assert cleaned.repaired == {"no end": data}
    assert list(found) == [key for key, _ in files]
    assert found == {
        "gone": "missing",
        "empty": "empty",
        "page": "not_an_image",
        "cut": "truncated",
        "no end": None,
        "small": "too_small",
        "many pixels": "bomb",
        "many bytes": "bomb",
        "turned": None,
        "png": None,
    }


def test_damage_within_the_limit_is_kept_and_marked():
    data = photo(size=(320, 320), quality=90)
    files = [("cut", data[: len(data) * 95 // 100])]

    strict = clean(files, config=CleanConfig())
    lenient = clean(files, config=CleanConfig(max_damage=0.1))

    (dropped,), (kept,) = rows(strict), rows(lenient)
    assert (dropped["reason"], kept["reason"]) == ("truncated", None)
    assert 0 < dropped["damage"] == kept["damage"] < 0.1


def test_the_same_picture_looks_the_same_under_every_name_and_turn():
    exif = Image.Exif()
    exif[0x0112] = 8
    image = Image.open(io.BytesIO(photo()))
    sink = io.BytesIO()
    image.transpose(Image.Transpose.ROTATE_270).save(sink, "PNG", exif=exif)

    cleaned = clean([("a.jpg", photo()), ("b.jpg", sink.getvalue())], config=CleanConfig())

    first, second = rows(cleaned)
    assert (second["width"], second["height"], second["format"]) == (320, 200, "PNG")
    assert first["dhash"] == second["dhash"]


def mutate(data, rng):
    """One of: flipped bits, a cut, a piece of the file over or into another place, an edited header."""
    data, kind = bytearray(data), rng.randrange(5)
    here, there = sorted(rng.randrange(len(data)) for _ in range(2))
    size = rng.randrange(1, 2000)
    if kind == 0:
        for _ in range(rng.randrange(1, 20)):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == 1:
        del data[here:]
    elif kind == 2:
        data[here : here + size] = data[there : there + size]
    elif kind == 3:
        data[here:there] = b""
    else:
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(min(700, len(data)))] = rng.choice((0, 1, 2, 127, 128, 254, 255))
    return bytes(data)


def test_no_mutation_of_a_photo_ends_its_process(caplog):
    rng = random.Random(7)
    seeds = [
        photo(progressive=True),
        photo(exif=turned(), restart_marker_rows=2),
        photo(name="PNG"),
        photo(name="WEBP"),
        photo(name="WEBP", lossless=True),
        photo(name="GIF"),
        photo(name="BMP"),
    ]
    files = [(f"{i}.jpg", mutate(seeds[i % len(seeds)], rng)) for i in range(700)]

    cleaned = clean(files, config=CleanConfig(timeout_s=10))

    assert cleaned.results["key"].tolist() == [key for key, _ in files]
    for row in rows(cleaned):
        kept = row["reason"] is None
        assert kept or row["reason"] in REASONS, row
        assert kept == (row["dhash"] is not None) == (row["key"] in cleaned.thumbnails), row
    assert cleaned.results["reason"].nunique() > 3
    assert not caplog.records


@pytest.mark.parametrize("folder", ["broken", "interior_web"])
def test_odd_files_of_the_world_end_in_rows(data, folder, caplog):
    files = [(path.name, path.read_bytes()) for path in sorted((data / folder).iterdir())]

    cleaned = clean(files, config=CleanConfig())

    reasons = cleaned.results.set_index("key")["reason"]
    assert reasons.index.tolist() == [key for key, _ in files]
    assert set(reasons.dropna()) <= REASONS
    assert folder == "broken" or set(reasons.dropna()) <= {"too_small"}
    assert not caplog.records


def test_cases_of_other_cameras_and_transfers_come_out_as_they_should(data):
    expected = {
        "scan_header_of_a_phone.jpg": None,
        "two_bytes_before_dqt_whole.jpg": None,
        "zero_padding_then_preview.jpg": None,
        "png_long_history.jpg": None,
        "two_bytes_before_dqt_half_grey.jpg": "damaged",
        "zero_sector_purple.jpg": "damaged",
        "webp_rest_zero.jpg": "damaged",
    }
    files = [(name, (data / "cases" / name).read_bytes()) for name in expected]

    found = rows(clean(files, config=CleanConfig()))

    assert {row["key"]: row["reason"] for row in found} == expected
    assert all((row["damage"] > 0) == (row["reason"] is not None) for row in found)


def read_truth(data):
    with (data / "truth.csv").open(encoding="utf-8") as file:
        return {row["key"]: row for row in csv.DictReader(file)}


def judged(data, keys):
    cleaned = clean(((key, (data / "raw" / key).read_bytes()) for key in keys), config=CleanConfig())
    return {row["key"]: row for row in rows(cleaned)}


def test_every_fault_of_real_photos_is_told(data):
    truth = {key: row for key, row in read_truth(data).items() if row["fault"]}

    for key, row in judged(data, truth).items():
        expect, fault = truth[key]["expect"], truth[key]["fault"]
        if expect == "drop":
            assert row["reason"], fault
        elif expect == "keep_or_repair":
            assert row["reason"] is None, fault
            assert (row["repaired"] == "end_marker") == (fault == "no_eoi"), fault
        elif expect == "repair_or_drop":
            assert row["reason"] or row["repaired"], fault
            assert row["damage"] > 0, fault


@pytest.mark.slow
def test_no_sound_photo_is_lost(data):
    sound = [key for key, row in read_truth(data).items() if row["expect"] == "keep"]

    lost = [key for key, row in judged(data, sound).items() if row["reason"] or row["repaired"]]

    assert lost == []


def test_mended_files_are_kept_up_to_a_limit(monkeypatch):
    cut = photo()[:-2]
    monkeypatch.setattr(stage, "MAX_REPAIRED_BYTES", 2 * len(cut) + 100)

    cleaned = clean([(str(number), cut) for number in range(4)], config=CleanConfig())

    assert cleaned.results["repaired"].tolist() == ["end_marker"] * 4
    assert cleaned.repaired.keys() == {"0", "1"}
    assert len(cleaned.thumbnails) == 4
