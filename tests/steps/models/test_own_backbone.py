"""A backbone of one's own from training to apps, and a live model that another backbone made judged beside it."""

import hashlib
import io
import json
import shutil
import uuid

import keras
import numpy as np
import pandas as pd
import pytest

from carpipe import manifest
from carpipe.errors import InputError
from carpipe.manifest import Work
from carpipe.photos import to_parquet
from carpipe.sample import DETECTOR
from carpipe.steps import results
from carpipe.steps.data.split import split_work
from carpipe.steps.data.validate import validate_work
from carpipe.steps.models.answers import PREDICTIONS, read_answers
from carpipe.steps.models.backbone import backbone_weights, private_copy
from carpipe.steps.models.evaluate import evaluate
from carpipe.steps.models.foresee import describe_backbone
from carpipe.steps.models.gate import find_nothing_new, gate
from carpipe.steps.models.package import package
from carpipe.steps.models.publish import publish
from carpipe.steps.models.train import start_of, train, train_work
from carpipe.steps.session import open_session
from carpipe.tfrecord import write_shard
from carpipe.weights.client import load, pull
from tests.conftest import make_config
from tests.serving.conftest import post, ready, serving
from tests.tiny import crop_files
from tests.training.backbones import saved, small
from tests.training.conftest import CLASSES, NAMED, TINY, draw

pytestmark = [pytest.mark.slow]

AT = "2026-01-01T00:00:00Z"
PHOTOS = {"train": 24, "val": 6, "test": 8}  # of each class
BRIEF = {
    **TINY,
    **NAMED,
    "classifier.head_epochs": 1,
    "classifier.finetune_epochs": 1,
    "classifier.head_learning_rate": 0.01,
}


@pytest.fixture(scope="module")
def url(s3):
    return f"s3://{s3.bucket}/{uuid.uuid4().hex[:12]}"


def opened(url, **settings):
    dotted = {**BRIEF, **{f"classifier.{name}": value for name, value in settings.items()}}
    return open_session(make_config(url, **{name.replace(".", "__"): value for name, value in dotted.items()}))


def owned(url, backbone):
    return opened(url, backbone=str(backbone), weights="imagenet", alpha=1.0)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return saved(small(dropout=0.1), tmp_path_factory.mktemp("given"), "stripes.keras")


@pytest.fixture(scope="module")
def dataset(url, tmp_path_factory):
    """As `dataset` commits one, of drawn pictures."""
    folder = tmp_path_factory.mktemp("shards")
    rows = [
        {
            "key": f"{name}_2001/{side}{number}.jpg",
            "vehicle": f"{name}-{side}-{number}",
            "listing_uuid": f"{side}{number}",
            "model": name,
            "class_name": name,
            "split": side,
            "dropped": None,
        }
        for side, count in PHOTOS.items()
        for number in range(count)
        for name in CLASSES
    ]
    files = {results.PHOTOS: to_parquet(pd.DataFrame(rows)), f"detector/{DETECTOR.name}": DETECTOR.read_bytes()}
    for side in PHOTOS:
        mine = [row for row in rows if row["split"] == side]
        write_shard(
            folder / side, ((row["key"], row["class_name"], draw(row["model"], side, i)) for i, row in enumerate(mine))
        )
        files[f"{side}.tfrecord"] = (folder / side).read_bytes()
    extra = {
        "classes": sorted(CLASSES),
        "splits": {side: count * len(CLASSES) for side, count in PHOTOS.items()},
        "crop": json.loads(crop_files()["crop.json"]),
    }
    session = opened(url)
    work = Work("dataset", 1, "all", {"test": 1}, ())
    return manifest.commit(session.store, work, files, counts={"in": len(rows)}, extra=extra).key


def made(session, dataset):
    """Trained, evaluated, packaged."""
    trained = train(session, dataset, model="classifier")
    judged = evaluate(session, trained.key, dataset, at=AT)
    return trained, judged, package(session, judged.key, model="classifier")


@pytest.fixture(scope="module")
def own(url, backbone, dataset):
    """A model on a backbone of one's own, live."""
    session = owned(url, backbone)
    found = made(session, dataset)
    first = gate(session, found[2].key, model="classifier", run="first", at=AT)
    assert first.outcome == "publish", first.text
    publish(session, first.model, model="classifier", reason="first", run="first", at=AT, expected=first.generation)
    return found


def test_the_model_says_what_it_was_made_of(url, own, backbone):
    trained, judged, packaged = own
    sha256 = hashlib.sha256(backbone.read_bytes()).hexdigest()
    said = f"stripes.keras (sha256:{sha256})"
    store = opened(url).store

    assert trained.config["backbone"] == f"sha256:{sha256}"
    assert trained.weights == {"backbone": sha256}
    assert str(backbone.parent) not in store.get(trained.key).decode(), "where it lay is nobody's business"
    assert f"{said} at 32 px" in manifest.read_file(store, packaged, "README.md").decode()
    assert said in manifest.read_file(store, judged, "evaluation.html").decode()
    assert describe_backbone(owned(url, backbone), owned(url, backbone).config.classifier) == (
        f"stripes.keras, sha256 {sha256}"
    )


def test_what_is_published_holds_the_backbone_and_answers_alike(url, own, tmp_path):
    store = opened(url).store
    (tmp_path / "model.keras").write_bytes(manifest.read_file(store, own[2], results.MODEL))
    network = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    assert network.get_layer("backbone").output_shape == (None, 8)
    golden = np.load(io.BytesIO(manifest.read_file(store, own[2], "golden.npz")))

    app = load(store, own[2].key, cache=tmp_path / "cache")

    assert app.deviation < 1e-4, "without Keras it answers its golden pictures as it did when it was judged"
    np.testing.assert_allclose(network(golden["pictures"]).numpy(), golden["probabilities"], atol=1e-4)


def test_the_api_answers_with_it(url, own, world, tmp_path):
    session = opened(url)
    with serving(session, tmp_path) as client:
        answers = [post(ready(client), path.read_bytes()).json() for path in sorted(world.raw.rglob("*.jpg"))[:12]]

    found = [answer for answer in answers if answer["success"]]
    assert found, answers
    assert {answer["prediction"] for answer in found} <= set(CLASSES)
    assert {answer["model"]["id"] for answer in found} == {own[2].key.split("/")[-2]}


def test_the_same_file_by_another_name_or_place_is_no_reason_to_train_anew(url, own, backbone, dataset, tmp_path):
    other = tmp_path / "renamed.keras"
    shutil.copy(backbone, other)
    opened(url).store.put("weights/ours.keras", backbone.read_bytes())

    for source in (other, "s3:weights/ours.keras"):
        session = owned(url, source)
        data = manifest.read(session.store, dataset)
        again = train(session, dataset, model="classifier")
        assert (again.key, again.fresh) == (own[0].key, False)
        assert start_of(session, session.config.classifier, data, backbone=own[0].weights["backbone"]).done
        eager = session.config.classifier.model_copy(update={"start": "warm", "seed": 3})
        assert start_of(session, eager, data, backbone=own[0].weights["backbone"]).kind == "warm"


def test_another_file_under_the_same_name_is(url, own, dataset, backbone, tmp_path):
    session = owned(url, saved(small(dropout=0.1, seed=2), tmp_path, backbone.name))
    data = manifest.read(session.store, dataset)

    with backbone_weights(session, session.config.classifier) as (_, sha256):
        start = start_of(session, session.config.classifier, data, backbone=sha256)
        work = train_work(session.config.classifier, data, model="classifier", backbone=sha256, start=start)

    assert work.key != own[0].key
    assert "another backbone" in start.why
    assert find_nothing_new(session, dataset, model="classifier", run="next", at=AT) is None
    assert find_nothing_new(owned(url, backbone), dataset, model="classifier", run="next", at=AT)


def test_a_candidate_of_another_backbone_and_size_is_judged_on_the_same_photos(url, own, dataset, tmp_path):
    """The live model gets its own size of each photo."""
    session = opened(url, backbone=str(saved(small(48), tmp_path)), weights="imagenet", alpha=1.0, image_size=48)
    trained, judged, packaged = made(session, dataset)
    assert trained.config["image_size"] == 48

    verdict = gate(session, packaged.key, model="classifier", run="second", at=AT)

    said = json.loads(session.store.get(verdict.key))
    assert said["champion"] == own[2].key
    assert "cannot be judged" not in verdict.text
    assert said["numbers"]["photos"] == PHOTOS["test"] * len(CLASSES)
    live = read_answers(session, own[1]).set_index("key")["correct"]
    new = pd.read_parquet(io.BytesIO(manifest.read_file(session.store, judged, PREDICTIONS))).set_index("key")[
        "correct"
    ]
    assert said["numbers"]["champion"] == pytest.approx(live.mean())
    assert said["numbers"]["candidate"] == pytest.approx(new.mean())
    assert live.index.symmetric_difference(new.index).empty
    assert {check["name"]: check["ok"] for check in said["checks"]}["servable"]
    publish(session, packaged.key, model="classifier", reason="switch", run="second", at=AT, expected=None)
    assert pull(session.store, "classifier", cache=tmp_path).side == 48


def test_no_side_of_the_split_depends_on_the_backbone(url, backbone):
    """Nor does anything else of a dataset: a switch moves no vehicle."""
    before, after = opened(url), owned(url, backbone)
    larger = opened(url, backbone="EfficientNetV2B1", weights="imagenet", image_size=260)
    for session in (after, larger):
        for work in (split_work, validate_work):
            assert work(session, "stages/classes/all/x/manifest.json") == work(
                before, "stages/classes/all/x/manifest.json"
            )


def test_what_is_no_backbone_fails_before_training_and_says_why(url, dataset, tmp_path):
    (tmp_path / "odd.keras").write_bytes(b"oops")
    with pytest.raises(InputError, match=r"odd\.keras is no \.keras file"):
        train(owned(url, tmp_path / "odd.keras"), dataset, model="classifier")
    odd = owned(url, tmp_path / "odd.keras")
    assert "cannot be used from here. odd.keras is no .keras file" in describe_backbone(odd, odd.config.classifier)
    (tmp_path / "folder.keras").mkdir()
    with pytest.raises(InputError, match=r"folder\.keras is a folder, expected a file"):
        train(owned(url, tmp_path / "folder.keras"), dataset, model="classifier")
    missing = owned(url, tmp_path / "none.keras")
    with pytest.raises(InputError, match=r"There are no weights at .*none\.keras"):
        train(missing, dataset, model="classifier")
    assert "cannot be used from here. There are no weights" in describe_backbone(missing, missing.config.classifier)


def test_a_file_that_changes_while_it_is_read_is_refused(url, tmp_path, backbone):
    config = owned(url, backbone).config.classifier
    with pytest.raises(InputError, match=r"stripes\.keras was changed while it was read"):
        private_copy(config, backbone, tmp_path, sha256="0" * 64)
