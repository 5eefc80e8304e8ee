"""Steps from a dataset to live weights: train, evaluate, publish, promote."""

import contextlib
import json
import logging
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from carpipe import manifest
from carpipe.config import TrainingConfig
from carpipe.manifest import Manifest, Work
from carpipe.steps import artefacts
from carpipe.steps.reuse import reused
from carpipe.steps.session import Session
from carpipe.steps.train_process import TrainingRun, train_in_process
from carpipe.weights import channel
from carpipe.weights.card import model_card
from carpipe.weights.channel import Release

log = logging.getLogger(__name__)

VERSION = 2
# The sections of the configuration that describe a training.
Model = Literal["car_filter", "classifier"]


def train(session: Session, dataset: str, *, model: Model) -> Manifest:
    """Train on a dataset; the same dataset, settings and backbone weights are trained once.

    Runs in a process of its own. Killed at any moment, the next attempt goes on from the last epoch.

    Args:
        dataset: manifest key of a dataset, or of a label set.
        model: which section of the configuration to train by.
    """
    config: TrainingConfig = getattr(session.config, model)
    source = manifest.read(session.store, dataset)
    with _backbone_weights(session, config) as (weights, sha256):
        work = train_work(config, dataset, model=model, backbone=sha256)
        if done := manifest.find(session.store, work):
            return reused(done)
        started = time.monotonic()
        run = TrainingRun(session.store, f"runs/train/{work.fingerprint}")
        with (
            artefacts.local_shards(session.store, source, "train", "val") as shards,
            tempfile.TemporaryDirectory(prefix="carpipe-train-") as folder,
        ):
            spec = {
                "classes": _class_photos(session, source),
                "shards": {name: [[str(path) for path in paths], source.extra["splits"].get(name, 0)]
                           for name, paths in shards.items()},
                "weights": str(weights or ""),
            }  # fmt: skip
            history = train_in_process(run, section=model, config=config, spec=spec, folder=Path(folder))
            files = {artefacts.MODEL: (Path(folder) / artefacts.MODEL).read_bytes(), "history.json": _json(history)}
    done = manifest.commit(
        session.store,
        work,
        files,
        counts={"in": source.extra["splits"]["train"], "epochs": len(history)},
        seconds=round(time.monotonic() - started, 3),
        extra={"classes": source.extra["classes"], "dataset": dataset, "tensorboard": f"{run.prefix}/tensorboard"},
    )
    run.forget_checkpoint()
    return done


def train_work(config: TrainingConfig, dataset: str, *, model: Model, backbone: str) -> Work:
    """What a training does; how long it may take and how fast it computes are no part of it."""
    settings = config.model_dump(exclude={"weights", "labels", "time_limit_h", "xla"})
    return Work("train", VERSION, model, settings, (dataset,), weights={"backbone": backbone})


def _class_photos(session: Session, source: Manifest) -> dict[str, int]:
    """Photos to train on, by class, in the order of the labels."""
    from carpipe.photos import kept

    photos = kept(artefacts.read_photos(session.store, source, columns=["class_name", "split", "dropped"]))
    counts = photos.loc[photos["split"] == "train", "class_name"].value_counts()
    return {name: int(counts.get(name, 0)) for name in source.extra["classes"]}


def evaluate(session: Session, trained: str) -> Manifest:
    """Judge a trained model on the test split it has never seen."""
    source = manifest.read(session.store, trained)
    data = manifest.read(session.store, source.extra["dataset"])
    work = Work("evaluate", VERSION, source.partition, {}, (trained,))
    if done := manifest.find(session.store, work):
        return reused(done)

    from carpipe.training import evaluate as judging
    from carpipe.training.data import iter_records

    started = time.monotonic()
    names = source.extra["classes"]
    with (
        artefacts.local_shards(session.store, data, "test") as shards,
        artefacts.local_file(session.store, source, artefacts.MODEL) as file,
    ):
        predict = judging.load_predictor(file)
        predictions = judging.predict_records(iter_records(shards["test"]), predict=predict, classes=names)
        figures = judging.judge(predictions, classes=names)
        few = [jpeg for _, _, jpeg in islice(iter_records(shards["test"]), GOLDEN)]
        golden = judging.golden(few, predict=predict, side=source.config["image_size"])
    log.info(
        "evaluate %s: %s",
        source.partition,
        ", ".join(f"{name} {value:.4g}" for name, value in figures.items()),
    )
    files = {
        "metrics.json": _json(figures),
        "report_test.csv": judging.report(predictions, classes=names).encode(),
        "golden.npz": golden,
    }
    seconds = round(time.monotonic() - started, 3)
    counts = {"in": len(predictions)}
    extra = {"classes": names, "metrics": figures}
    return manifest.commit(session.store, work, files, counts=counts, seconds=seconds, extra=extra)


# Test photos published with their answers, so that a consumer can check its own installation.
GOLDEN = 8


def publish(session: Session, evaluated: str, *, model: Model, run: str, at: str, reason: str = "trained") -> Release:
    """Commit `models/<channel>/<id>/` and make it the channel's live model, once: a rollback is not undone.

    Args:
        evaluated: manifest key of the evaluation.
        run: id of the run that publishes, for the history.
        at: time of publication, UTC, ISO 8601.

    Raises:
        ConflictError: another publisher was faster; trying again decides anew.
    """
    config: TrainingConfig = getattr(session.config, model)
    judged = manifest.read(session.store, evaluated)
    trained = manifest.read(session.store, judged.inputs[0])
    work = Work("model", VERSION, model, {}, (evaluated,), home=f"models/{config.channel}")
    done = manifest.find(session.store, work)
    if done is None:
        files = _model_files(session, judged, trained)
        extra = {
            "classes": trained.extra["classes"],
            "metrics": judged.extra["metrics"],
            "dataset": trained.extra["dataset"],
        }
        done = manifest.commit(session.store, work, files, counts={}, extra=extra)
    releases = channel.history(session.store, config.channel)
    if releases and any(release.model == done.key for release in releases):
        # It was live before. If it is not now, somebody has rolled back from it, and means it.
        log.info("publish %s: %s was published before, the channel stays as it is", config.channel, done.key)
        return releases[-1]
    return channel.promote(session.store, config.channel, model=done.key, reason=reason, run=run, at=at)


def promote(session: Session, name: str, model_key: str, *, run: str, at: str, reason: str) -> Release:
    """Make any published model the live one of a channel, an older one too: a rollback."""
    manifest.read(session.store, model_key)
    return channel.promote(session.store, name, model=model_key, reason=reason, run=run, at=at)


def _model_files(session: Session, judged: Manifest, trained: Manifest) -> dict[str, bytes]:
    """Everything a consumer needs: model, labels, taxonomy, preprocessing, crop policy, metrics, card, golden."""
    data = manifest.read(session.store, trained.extra["dataset"])
    copied = {
        artefacts.MODEL: trained, "history.json": trained,
        "metrics.json": judged, "report_test.csv": judged, "golden.npz": judged,
        **({artefacts.TAXONOMY: data} if artefacts.TAXONOMY in data.files else {}),
    }  # fmt: skip
    files = {name: manifest.read_file(session.store, source, name) for name, source in copied.items()}
    side = trained.config["image_size"]
    files["labels.json"] = _json(trained.extra["classes"])
    files["preprocessing.json"] = _json(
        {"input": f"uint8 RGB (n, {side}, {side}, 3)", "side": side, "resize": "stretch, bilinear"}
    )
    if "crop" in data.extra:
        files["crop.json"] = _json(data.extra["crop"])
    files["README.md"] = model_card(trained, judged).encode()
    return files


def _backbone_weights(session: Session, config: TrainingConfig) -> Any:
    if config.weights in ("imagenet", "none"):
        # No file: the name says it all, and Keras checks the digest of what it downloads.
        return contextlib.nullcontext((None, config.weights))
    return artefacts.local_weights(session.store, config.weights)


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False, default=list).encode()
