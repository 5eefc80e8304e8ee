"""The whole chain on a few hundred real photos, held against the truth that came with them."""

import csv
import uuid
from pathlib import Path

import pytest

from carpipe.config import load_config
from carpipe.steps import artefacts, chain, labels
from carpipe.steps.session import open_session
from carpipe.steps.upload import upload

pytestmark = [pytest.mark.slow]

FOLDERS = 200
# What the cleaning may say of a file with this fault; None: it may stay.
FATES = {
    "empty": {"empty"},
    "html": {"not_an_image"},
    "tiny": {"too_small", "not_an_image"},
    "bomb": {"bomb"},
    "truncated_10": {"truncated", "not_an_image"},
    "truncated_50": {"truncated"},
    "truncated_97": {"truncated"},
    "png_as_jpg": {None},
    "webp_as_jpg": {None},
    "gray": {None},
    "cmyk": {None},
    "exif_rotated": {None},
    "trailing": {None},
}


@pytest.fixture(scope="module")
def truth(data):
    with (data / "truth.csv").open(encoding="utf-8", newline="") as file:
        return {row["key"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def raw(data, truth, tmp_path_factory) -> Path:
    """The folders with most photos, and every fault."""
    folder = tmp_path_factory.mktemp("real") / "raw"
    sizes = {path.name: len(list(path.iterdir())) for path in (data / "raw").iterdir()}
    models: dict[str, int] = {}
    for name, size in sizes.items():
        models[name.rpartition("_")[0]] = models.get(name.rpartition("_")[0], 0) + size
    common = sorted(sizes, key=lambda name: (-models[name.rpartition("_")[0]], name))[:FOLDERS]
    faulty = {key.split("/")[0] for key, row in truth.items() if row["fault"] or row["kind"] != "original"}
    for name in {*common, *faulty}:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(data / "raw" / name, target_is_directory=True)
    return folder


@pytest.fixture(scope="module")
def session(s3, data):
    backbone = str(data / "weights" / "mobilenet_v2_0.35_224_no_top.weights.h5")
    settings = {
        "store.url": f"s3://{s3.bucket}/{uuid.uuid4().hex[:12]}",
        "inventory.partition_photos": 400,
        "classes.min_photos": 15,
        "crop.weights": str(data / "weights" / "yolov8n_int8.tflite"),
        "crop.image_size": 640,
        "car_filter.alpha": 0.35,
        "car_filter.weights": backbone,
        "car_filter.head_epochs": 4,
        "classifier.backbone": "MobileNetV2",
        "classifier.alpha": 0.35,
        "classifier.weights": backbone,
        "classifier.image_size": 96,
        "classifier.head_epochs": 1,
        "classifier.finetune_epochs": 0,
    }
    return open_session(load_config(overrides=settings))


@pytest.fixture(scope="module")
def outcome(session, data, raw):
    upload(session, raw)
    labels.import_labels(session, (data / "truth.csv").read_bytes(), at="20260101T000000Z")
    return chain.run(session, run_id="real", at="2026-01-01T00:00:00Z", progress=lambda stage, done: None)


@pytest.fixture(scope="module")
def photos(session, outcome, raw):
    table = artefacts.read_photos(session.store, outcome.dataset).set_index("key")
    assert len(table) == sum(len(list(folder.iterdir())) for folder in raw.iterdir())
    return table


@pytest.mark.parametrize("fault", FATES)
def test_each_fault_meets_its_fate(photos, truth, fault):
    keys = [key for key in photos.index if truth[key]["fault"] == fault]
    assert keys
    found = {key: photos["dropped"][key] if photos["dropped_by"][key] == "clean" else None for key in keys}

    assert {key: reason for key, reason in found.items() if reason not in FATES[fault]} == {}


def test_no_sound_photo_is_lost_in_cleaning(photos, truth):
    lost = [key for key in photos.index if photos["dropped_by"][key] == "clean" and truth[key]["expect"] == "keep"]

    assert lost == []


def test_the_filter_is_right_about_cars_and_interiors(photos, truth):
    views = {key: truth[key] for key in photos.index if truth[key]["view"] not in ("d", "banner")}
    judged = photos[photos["p_car"].notna() & photos.index.isin(views)]
    right = [(p >= 0.7) == (views[key]["label"] == "auto") for key, p in judged["p_car"].items() if views[key]["label"]]

    assert len(right) > 300
    assert sum(right) / len(right) > 0.95


def test_cars_are_found_in_nearly_all_exteriors(photos, truth):
    seen = photos[photos["p_car"].fillna(0) >= 0.7]
    exteriors = [key for key in seen.index if truth[key]["label"] == "auto" and truth[key]["kind"] == "original"]
    found = [key for key in exteriors if photos["box_label"][key] in ("car", "truck")]

    assert len(found) / len(exteriors) > 0.9


def test_relisted_cars_are_joined_and_banners_join_nothing(photos, truth):
    # Copies that were re-encoded are not joined yet.
    known = photos[photos["vehicle"].notna() & (photos.index.map(lambda key: truth[key]["kind"]) != "relist_near")]
    exact = known[known.index.map(lambda key: truth[key]["kind"]) == "relist_exact"]
    by_vehicle = known.groupby(known.index.map(lambda key: truth[key]["vehicle"]))["vehicle"].nunique()
    joined = by_vehicle[exact.index.map(lambda key: truth[key]["vehicle"]).unique()]

    assert (joined == 1).all()
    sizes = known.groupby("vehicle")["listing_uuid"].nunique()
    assert sizes.max() <= 3


def test_no_vehicle_of_the_truth_is_on_two_sides(photos, truth):
    alive = photos[photos["split"].notna()]
    known = alive[[truth[key]["kind"] in ("original", "relist_exact") for key in alive.index]]
    sides = known.groupby(known.index.map(lambda key: truth[key]["vehicle"]))["split"].nunique()

    assert sides.max() == 1


def test_weights_were_published(outcome):
    assert outcome.release.generation == 1
    assert outcome.evaluation.extra["metrics"]["test_photos"] > 0
