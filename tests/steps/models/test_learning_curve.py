"""A learning curve by real trainings of seconds: what is trained on, what is reused, and what a kill costs."""

import hashlib
import json
import uuid
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from carpipe import manifest
from carpipe.cli import main
from carpipe.errors import InputError, UnavailableError
from carpipe.manifest import Work
from carpipe.photos import from_parquet, to_parquet
from carpipe.stages.learning_curve import choose_photos
from carpipe.steps import results
from carpipe.steps.cache import ResultCache
from carpipe.steps.models import learning_curve as module
from carpipe.steps.models.backbone import backbone_weights
from carpipe.steps.models.learning_curve import check_points, learning_curve, learning_curve_point
from carpipe.steps.models.start import Start
from carpipe.steps.models.train import train_work
from carpipe.steps.models.train_process import TrainingRun
from carpipe.steps.session import open_session
from carpipe.steps.upkeep.garbage import find_garbage
from carpipe.steps.views.curves import newest_curve, read_curve
from carpipe.tfrecord import write_shard
from carpipe.training.model import build
from tests.conftest import make_config
from tests.steps.models.test_train_process import training_children
from tests.training.conftest import CLASSES, OWN, TINY, draw, own_backbone

__all__ = ["own_backbone"]
pytestmark = [pytest.mark.slow]

AT = "2026-01-03T00:00:00Z"
PHOTOS = 2  # of a vehicle
SHARDS = 3  # of the training photos
BRIEF = {**TINY, **OWN, "classifier.head_epochs": 1, "classifier.finetune_epochs": 1}


@pytest.fixture(scope="module")
def url(s3):
    return f"s3://{s3.bucket}/{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="module")
def session(url, own_backbone):
    brief = {name.replace(".", "__"): value for name, value in BRIEF.items()}
    return open_session(make_config(url, **brief, classifier__backbone=str(own_backbone)))


def photos_of(split):
    return pd.DataFrame(
        [
            {
                "key": f"{name}/{split}{vehicle}-{number}.jpg", "vehicle": f"{name}-{split}{vehicle}",
                "listing_uuid": f"{name}-{split}{vehicle}", "model": name, "class_name": name, "split": split,
            }
            for name, size in CLASSES.items() for vehicle in range(size // 2) for number in range(PHOTOS)
        ]
    )  # fmt: skip


@pytest.fixture(scope="module")
def dataset(session, tmp_path_factory):
    """A dataset by hand, its training photos in several shards."""
    folder = tmp_path_factory.mktemp("shards")
    tables = {split: photos_of(split) for split in ("train", "val", "test")}
    files = {}
    for split, table in tables.items():
        order = table.assign(order=[hashlib.sha256(key.encode()).hexdigest() for key in table["key"]])
        rows = order.sort_values("order").reset_index(drop=True)
        for number in range(SHARDS if split == "train" else 1):
            part = rows.iloc[number :: SHARDS if split == "train" else 1]
            path = folder / f"{split}-{number}.tfrecord"
            write_shard(path, ((row.key, row.class_name, draw(row.class_name, split, row.Index))
                               for row in part.itertuples()))  # fmt: skip
            files[path.name] = path.read_bytes()
    packed = manifest.commit(session.store, Work("pack", 1, "p00000-a", {}, ()), files, counts={})
    every = pd.concat(tables.values(), ignore_index=True)
    every[["dropped", "dropped_by"]] = pd.DataFrame(None, every.index, ["dropped", "dropped_by"], "str")
    shards = [{"split": name.split("-")[0], **entry} for name, entry in packed.files.items()]
    extra = {
        "classes": list(CLASSES), "packed": [packed.key], "shards": shards,
        "splits": {split: len(table) for split, table in tables.items()},
    }  # fmt: skip
    work = Work("dataset", 1, "all", {}, ("stages/split/all/x/manifest.json",), home="datasets")
    return manifest.commit(session.store, work, {results.PHOTOS: to_parquet(every)}, counts={}, extra=extra)


class KillingRun(TrainingRun):
    """Kills the training process once its first epoch is safe."""

    def keep(self, checkpoint):
        super().keep(checkpoint)
        for child in training_children():
            child.kill()


def trained_before(session, dataset, folder):
    """A cold training of all photos, as `train` commits it; it has learnt nothing."""
    config = session.config.classifier
    with backbone_weights(session, config) as (file, sha256):
        build(config, classes=len(CLASSES), weights=file).save(folder / results.MODEL)
    work = train_work(config, dataset, model="classifier", backbone=sha256, start=Start("a test."))
    files = {results.MODEL: (folder / results.MODEL).read_bytes(), "history.json": b'[{"epoch": 1}]'}
    return manifest.commit(session.store, work, files, counts={}, extra={"dataset": dataset.key})


@pytest.fixture(scope="module")
def curve(session, dataset, tmp_path_factory):
    """Half of the vehicles and all: the half is killed once, and all were trained on by a night before."""
    trained = trained_before(session, dataset, tmp_path_factory.mktemp("trained"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "TrainingRun", KillingRun)
        with pytest.raises(UnavailableError, match="trying again goes on from its last epoch"):
            learning_curve(session, dataset.key, [1, 0.5], at=AT)
    return trained, learning_curve(session, dataset.key, [1, 0.5], at=AT)


def points_of(session, done):
    return [manifest.read(session.store, key) for key in done.inputs[1:]]


def test_a_point_learns_from_its_share_and_is_judged_on_the_whole_test_split(session, dataset, curve):
    half, _ = points_of(session, curve[1])
    chosen = choose_photos(photos_of("train"), 0.5, seed=session.config.classifier.seed)

    assert (half.extra["photos"], half.extra["vehicles"]) == (len(chosen), 16) == (32, 16)
    assert half.extra["training"] == {"audi_a3": 20, "kia_rio": 12}
    assert (half.extra["epochs"], half.extra["steps"]) == (2, 4)
    answers = from_parquet(manifest.read_file(session.store, half, module.ANSWERS))
    assert sorted(answers["key"]) == sorted(photos_of("test")["key"])
    assert set(half.files) == {"metrics.json", "report_test.csv", module.ANSWERS, "history.json"}, "no weights"


def test_a_killed_point_goes_on_from_its_last_epoch(session, curve):
    half, _ = points_of(session, curve[1])
    history = manifest.read_json(session.store, half, "history.json")

    assert [epoch["epoch"] for epoch in history if epoch.get("resumed")] == [2]
    checkpoints = [info.key for info in session.store.list_objects("runs/train") if info.key.endswith(".tar")]
    assert checkpoints == []


def test_all_photos_are_not_trained_on_twice(session, curve):
    trained, done = curve
    _, whole = points_of(session, done)

    assert (whole.extra["trained"], whole.extra["train_seconds"]) == (trained.key, 0)
    assert whole.extra["photos"] == sum(CLASSES.values())
    theirs = manifest.read_file(session.store, trained, "history.json")
    assert json.loads(theirs) == manifest.read_json(session.store, whole, "history.json")


def test_the_curve_has_figures_a_page_and_a_sentence(session, dataset, curve):
    done = curve[1]
    found = manifest.read_json(session.store, done, module.CURVE)

    assert [point["photos"] for point in found["points"]] == [32, 64]
    assert found["steps"][0]["times"] == 2
    assert found["says"].startswith("The last doubling of photos brought ")
    assert {row["class_name"] for row in found["classes"]} == set(CLASSES)
    page = manifest.read_file(session.store, done, module.PAGE).decode()
    assert found["says"] in page
    assert dataset.key in page
    assert manifest.read_file(session.store, done, module.PLOT).startswith(b"\x89PNG")


def test_what_is_there_is_not_made_again(session, dataset, curve, monkeypatch):
    monkeypatch.setattr(module, "fit", None)

    assert not learning_curve(session, dataset.key, [0.5, 1.0], at=AT).fresh
    assert not learning_curve_point(session, dataset.key, 1).fresh


def test_a_curve_stays_with_its_dataset(session, dataset, curve):
    def garbage():
        found = find_garbage(session, older_than=timedelta(0), now=datetime.now(UTC) + timedelta(seconds=5))
        return {info.key for info in found.objects if info.key.startswith(f"stages/{results.CURVE}/")}

    assert garbage() == set()
    kept = session.store.get(dataset.key)
    session.store.delete([dataset.key])
    assert {curve[1].key, *curve[1].inputs[1:]} <= garbage()
    session.store.put(dataset.key, kept)


def test_the_page_data_finds_it(session, dataset, curve):
    cache = ResultCache(session)
    found = newest_curve(cache, dataset.key.split("/")[1])

    assert f"stages/{results.CURVE}/all/{found.id}/manifest.json" == curve[1].key
    assert b"Would more photos help?" in read_curve(cache, found.id)
    assert newest_curve(cache, "0" * 20) is None
    with pytest.raises(InputError, match="There is no learning curve 0000"):
        read_curve(cache, "0" * 20)


@pytest.mark.parametrize("shares", [["0"], ["1"], ["1.5"], ["0.5", "0.5"], ["1e-9", "1"], ["0.5", "0.51"]])
def test_shares_that_cannot_be_are_refused_before_anything_is_trained(url, dataset, shares, monkeypatch, capsys):
    monkeypatch.setenv("CARPIPE_STORE", url)
    monkeypatch.setattr(module, "learning_curve_point", None)

    assert main(["step", "learning_curve", dataset.key, "--shares", *shares]) == 1

    assert "hare" in capsys.readouterr().err


def test_the_command_writes_the_page_too(session, dataset, curve, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("carpipe.cli.step.session", lambda config: session)
    out = tmp_path / "curve.html"

    assert main(["step", "learning_curve", dataset.key, "--shares", "0.5", "1", "--out", str(out)]) == 0

    assert capsys.readouterr().out.strip() == curve[1].key, "the one that is there"
    assert "Would more photos help?" in out.read_text("utf-8")


def test_only_a_dataset_has_a_curve(session, dataset):
    [packed] = dataset.extra["packed"]

    with pytest.raises(InputError, match=r"needs the manifest key of a dataset; .* is of stage pack"):
        check_points(session, packed, [0.5, 1])
