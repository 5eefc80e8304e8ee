"""Train: from a dataset to a model, in a process of its own."""

import contextlib
import logging
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

from carpipe import manifest
from carpipe.config import TrainingConfig
from carpipe.manifest import Manifest, Work
from carpipe.steps import given_weights, results
from carpipe.steps.models.train_process import TrainingRun, train_in_process
from carpipe.steps.reuse import reused
from carpipe.steps.session import Session

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
    with backbone_weights(session, config) as (weights, sha256):
        work = train_work(config, source, model=model, backbone=sha256)
        if done := manifest.find(session.store, work):
            return reused(done)
        started = time.monotonic()
        run = TrainingRun(session.store, f"runs/train/{work.fingerprint}")
        with (
            results.local_shards(session.store, source, "train", "val") as shards,
            tempfile.TemporaryDirectory(prefix="carpipe-train-") as folder,
        ):
            spec = {
                "classes": count_training_photos(session, source),
                "shards": {name: [[str(path) for path in paths], source.extra["splits"].get(name, 0)]
                           for name, paths in shards.items()},
                "weights": str(weights or ""),
            }  # fmt: skip
            history = train_in_process(run, section=model, config=config, spec=spec, folder=Path(folder))
            files = {
                results.MODEL: (Path(folder) / results.MODEL).read_bytes(),
                "history.json": results.to_json(history),
            }
    done = session.commit(
        work,
        files,
        counts={"in": source.extra["splits"]["train"], "epochs": len(history)},
        seconds=round(time.monotonic() - started, 3),
        extra={"classes": source.extra["classes"], "dataset": dataset, "tensorboard": f"{run.prefix}/tensorboard"},
    )
    run.forget_checkpoint()
    return done


def train_work(config: TrainingConfig, dataset: Manifest, *, model: Model, backbone: str) -> Work:
    """What a training does; how long it may take and how fast it computes are no part of it."""
    settings = config.decisive("weights", "labels", "time_limit_h", "xla", "h5")
    return Work("train", VERSION, model, settings, content_of(dataset), weights={"backbone": backbone})


def content_of(dataset: Manifest) -> tuple[str, ...]:
    """Manifests that say all of what is trained on and judged on.

    Not the dataset itself: it also depends on how it was validated, and other tolerances are no reason to train anew.
    """
    return (dataset.inputs[0], *dataset.extra["packed"]) if "packed" in dataset.extra else (dataset.key,)


def count_training_photos(session: Session, source: Manifest) -> dict[str, int]:
    """Photos to train on, by class, in the order of the labels."""
    from carpipe.photos import kept

    photos = kept(results.read_photos(session.store, source, columns=["class_name", "split", "dropped"]))
    counts = photos.loc[photos["split"] == "train", "class_name"].value_counts()
    return {name: int(counts.get(name, 0)) for name in source.extra["classes"]}


def backbone_weights(session: Session, config: TrainingConfig) -> Any:
    """Context of (local path or None, sha256 or name) of the weights that a training starts from."""
    if config.weights in ("imagenet", "none"):
        # No file: the name says it all, and Keras checks the digest of what it downloads.
        return contextlib.nullcontext((None, config.weights))
    return given_weights.local_weights(session.store, config.weights)
