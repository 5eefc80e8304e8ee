"""From photos and labels to a car filter and a dataset, on some 250 real photos held against their truth."""

import csv
import itertools
import uuid
from pathlib import Path

import pytest

from carpipe.config import load_config
from carpipe.steps import chain, results
from carpipe.steps.data.upload import upload
from carpipe.steps.labels.store import import_labels
from carpipe.steps.session import open_session
from carpipe.weights import channel

pytestmark = [pytest.mark.slow]

# Folders of the most frequent models, of each kind of relisted car, and with broken photos.
COMMON, RELISTED, BROKEN = 11, 7, 4
RELISTS = ("relist_exact", "relist_near")


@pytest.fixture(scope="module")
def truth(data):
    with (data / "truth.csv").open(encoding="utf-8", newline="") as file:
        return {row["key"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def raw(data, truth, tmp_path_factory) -> Path:
    """Folders of the models with most photos, of cars that are offered twice, and with broken photos."""
    folder = tmp_path_factory.mktemp("real") / "raw"
    sizes = {path.name: len(list(path.iterdir())) for path in (data / "raw").iterdir()}
    models: dict[str, int] = {}
    for name, size in sizes.items():
        models[name.rpartition("_")[0]] = models.get(name.rpartition("_")[0], 0) + size
    common = sorted(sizes, key=lambda name: (-models[name.rpartition("_")[0]], name))[:COMMON]
    relisted = [_folders(truth, kind=kind)[:RELISTED] for kind in RELISTS]
    for name in {*common, *itertools.chain(*relisted), *_folders(truth, expect="drop")[:BROKEN]}:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(data / "raw" / name, target_is_directory=True)
    return folder


def _folders(truth, **wanted):
    return sorted({key.split("/")[0] for key, row in truth.items() if wanted.items() <= row.items()})


@pytest.fixture(scope="module")
def session(s3, data):
    backbone = str(data / "weights" / "mobilenet_v2_0.35_224_no_top.weights.h5")
    settings = {
        "store.url": f"s3://{s3.bucket}/{uuid.uuid4().hex[:12]}",
        "inventory.partition_photos": 300,
        "classes.min_photos": 8,
        "crop.weights": str(data / "weights" / "yolov8n_int8.tflite"),
        "crop.image_size": 640,
        "car_filter.alpha": 0.35,
        "car_filter.weights": backbone,
        "car_filter.head_epochs": 4,
        "car_filter.rotation": 20,  # degrees: some of these photos are tilted
        "gate.min_vehicles": 10,
    }
    return open_session(load_config(overrides=settings))


@pytest.fixture(scope="module")
def outcome(session, data, raw):
    upload(session, raw)
    import_labels(session, (data / "truth.csv").read_bytes(), at="20260101T000000Z")
    told = {"now": lambda: "2026-01-01T00:00:00Z", "progress": lambda stage, done: None}
    verdict = chain.train_filter(session, run="real", **told)
    return verdict, chain.prepare_dataset(session, **told)


@pytest.fixture(scope="module")
def photos(session, outcome, raw):
    table = results.read_photos(session.store, outcome[1]).set_index("key")
    assert len(table) == sum(len(list(folder.iterdir())) for folder in raw.iterdir())
    return table


def test_whole_photos_stay_and_broken_ones_go(photos, truth):
    """The stages' own tests look at every fault of every real photo."""
    fate = photos["dropped_by"] == "clean"

    assert not [key for key, gone in fate.items() if gone and truth[key]["expect"] in ("keep", "keep_or_repair")]
    assert [key for key, gone in fate.items() if gone and truth[key]["expect"] == "drop"]


def test_the_filter_is_right_about_cars_and_interiors(photos, truth):
    views = {key: truth[key] for key in photos.index if truth[key]["view"] not in ("d", "banner")}
    judged = photos[photos["p_car"].notna() & photos.index.isin(views)]
    right = [(p >= 0.7) == (views[key]["label"] == "auto") for key, p in judged["p_car"].items() if views[key]["label"]]

    assert len(right) > 150
    assert sum(right) / len(right) > 0.95


def test_cars_are_found_in_nearly_all_exteriors(photos, truth):
    seen = photos[photos["p_car"].fillna(0) >= 0.7]
    exteriors = [key for key in seen.index if truth[key]["label"] == "auto" and truth[key]["kind"] == "original"]
    found = [key for key in exteriors if photos["box_label"][key] in ("car", "truck")]

    assert len(found) / len(exteriors) > 0.9


def test_no_vehicle_of_the_truth_is_on_two_sides(photos, truth):
    alive = photos[photos["split"].notna()]
    assert {truth[key]["kind"] for key in photos.index} >= {"original", *RELISTS}
    sides = alive.groupby(alive.index.map(lambda key: truth[key]["vehicle"]))["split"].nunique()

    assert sides.max() == 1


def test_the_filter_was_published(session, outcome):
    verdict, _ = outcome
    assert verdict.outcome == "publish"
    assert channel.read_channel(session.store, "car-filter").model == verdict.model
