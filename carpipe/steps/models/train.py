"""Train: from a dataset to a model, in a process of its own."""

import contextlib
import json
import logging
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from carpipe import manifest
from carpipe.config import ClassifierConfig, TrainingConfig
from carpipe.manifest import Manifest, Work
from carpipe.names import counted, shown
from carpipe.steps import results
from carpipe.steps.models.backbone import backbone_weights, identified, private_copy
from carpipe.steps.models.pinned_start import pin_start
from carpipe.steps.models.progress import progress_key
from carpipe.steps.models.seen import seen_files
from carpipe.steps.models.start import SILENT, Start, choose_start, record_of
from carpipe.steps.models.train_process import TrainingRun, most_epochs, train_in_process
from carpipe.steps.reuse import reused
from carpipe.steps.session import Session

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

VERSION = 2
# The sections of the configuration that describe a training.
Model = Literal["car_filter", "classifier"]


def train(session: Session, dataset: str, *, model: Model, run: str = "") -> Manifest:
    """Train on a dataset; the same dataset, settings and weights to start from are trained once.

    Runs in a process of its own. Killed at any moment, the next attempt goes on from the last epoch.

    Args:
        dataset: manifest key of a dataset, or of a label set.
        model: which section of the configuration to train by.
        run: id of the run: its attempts start alike, whatever goes live meanwhile, and tell how far they are. Empty:
            each chooses by what is live.
    """
    config: TrainingConfig = getattr(session.config, model)
    source = manifest.read(session.store, dataset)
    with backbone_weights(session, config) as (weights, sha256):
        start = start_of(session, config, source, backbone=sha256, run=run)
        work = train_work(config, source, model=model, backbone=sha256, start=start)
        if done := start.trained if start.done else manifest.find(session.store, work):
            return reused(done)
        log.info("train %s: %s", model, describe(config, source, start, weights=weights))
        log.info("train %s: %s", model, start)
        started = time.monotonic()
        seen = seen_files(session, start, source)  # first: a dataset that is deleted meanwhile costs no training
        told = progress_key(model, run) if run else ""
        kept = TrainingRun(session.store, f"runs/train/{work.fingerprint}", progress=session.progress, told_at=told)
        trained, history = fit(session, source, kept, model=model, weights=weights, sha256=sha256, start=start)
    files = {results.MODEL: trained, "history.json": results.to_json(history), **seen}
    done = session.commit(
        work,
        files,
        counts={"in": source.extra["splits"]["train"], "epochs": len(history)},
        seconds=round(time.monotonic() - started, 3),
        extra={
            "classes": source.extra["classes"],
            "dataset": dataset,
            "tensorboard": f"{kept.prefix}/tensorboard",
            "start": record_of(start),
            **({"backbone_file": weights.name} if config.own_backbone else {}),
        },
    )
    kept.forget_checkpoint()
    return done


def describe(config: TrainingConfig, source: Manifest, start: Start, *, weights: Path | None) -> str:
    """What is trained, on how much, and for how long at most."""
    network = weights.name if weights and config.own_backbone else config.backbone
    epochs = most_epochs(config, warm=start.live is not None)
    return (
        f"{shown(network)} at {config.image_size} px, on {counted(source.extra['splits']['train'], 'photo')} of "
        f"{counted(len(source.extra['classes']), 'class', 'classes')}, {counted(epochs, 'epoch')} at most"
    )


def fit(
    session: Session,
    source: Manifest,
    run: TrainingRun,
    *,
    model: Model,
    weights: Path | None,
    sha256: str,
    start: Start,
    only: "pd.DataFrame | None" = None,
) -> tuple[bytes, list[dict[str, Any]]]:
    """The model that a training came to, a `.keras` file, and its history, an entry per epoch.

    Args:
        run: where its checkpoints are: it goes on from the last one.
        weights: of the backbone, as `backbone_weights` has them, and their `sha256`.
        only: `key` and `class_name` of the photos to train on; None: all training photos.
    """
    config: TrainingConfig = getattr(session.config, model)
    with (
        results.local_shards(session.store, source, "train", "val", progress=session.progress) as shards,
        tempfile.TemporaryDirectory(prefix="carpipe-train-") as folder,
        _earlier_model(session, start) as warm,
    ):
        spec: dict[str, Any] = {
            "classes": count_photos(source, only) if only is not None else count_training_photos(session, source),
            "shards": {name: [[str(path) for path in paths], source.extra["splits"].get(name, 0)]
                       for name, paths in shards.items()},
            "weights": str(private_copy(config, weights, Path(folder), sha256=sha256) or ""),
            "warm": warm,
        }  # fmt: skip
        if only is not None:
            spec["only"] = str(_write_keys(only, Path(folder) / "only.json"))
            spec["shards"]["train"][1] = len(only)
        history = train_in_process(run, section=model, config=config, spec=spec, folder=Path(folder))
        return (Path(folder) / results.MODEL).read_bytes(), history


def _write_keys(photos: "pd.DataFrame", path: Path) -> Path:
    path.write_text(json.dumps(photos["key"].tolist()), encoding="utf-8")
    return path


def train_work(config: TrainingConfig, dataset: Manifest, *, model: Model, backbone: str, start: Start) -> Work:
    """What a training does; how long it may take and how fast it computes are no part of it."""
    silent: tuple[str, ...] = SILENT
    if isinstance(config, ClassifierConfig):
        silent += config.STARTS if start.live else (*config.STARTS, *config.WARM)
    weights = {"backbone": backbone, **({"start": start.sha256} if start.live else {})}
    settings = identified(config, backbone).decisive(*silent)
    return Work("train", VERSION, model, settings, content_of(dataset), weights=weights)


def start_of(session: Session, config: TrainingConfig, data: Manifest, *, backbone: str, run: str = "") -> Start:
    """How a training on a dataset starts; in a run, as its first attempt chose.

    Raises:
        InputError: it is to be warm and cannot.
    """
    settings, content = identified(config, backbone), content_of(data)

    def choose() -> Start:
        return choose_start(session, settings, data, version=VERSION, backbone=backbone, content=content)

    if not run or not isinstance(config, ClassifierConfig):
        return choose()
    of = [run, "classifier", content, VERSION, backbone, settings.decisive(*SILENT)]
    return pin_start(session, of, data, choose)


@contextlib.contextmanager
def _earlier_model(session: Session, start: Start) -> Iterator[dict[str, Any] | None]:
    """What `carpipe.training.child` wants to know of the model that a training starts from."""
    if start.live is None:
        yield None
        return
    with results.local_file(session.store, start.live, results.MODEL) as path:
        yield {"model": str(path), "classes": start.live.extra["classes"], "parts": start.parts, "chain": start.chain}


def content_of(dataset: Manifest) -> tuple[str, ...]:
    """Manifests that say all of what is trained on and judged on.

    Not the dataset itself: it also depends on how it was validated, and other tolerances are no reason to train anew.
    """
    return (dataset.inputs[0], *dataset.extra["packed"]) if "packed" in dataset.extra else (dataset.key,)


def count_training_photos(session: Session, source: Manifest) -> dict[str, int]:
    """Photos to train on, by class, in the order of the labels."""
    return count_photos(source, training_photos(session, source, "class_name"))


def training_photos(session: Session, source: Manifest, *columns: str) -> "pd.DataFrame":
    """These columns of the photos to train on."""
    from carpipe.photos import kept

    photos = kept(results.read_photos(session.store, source, columns=list({*columns, "split", "dropped"})))
    return photos.loc[photos["split"] == "train", list(columns)]


def count_photos(source: Manifest, photos: "pd.DataFrame") -> dict[str, int]:
    """Photos by class, in the order of the labels."""
    counts = photos["class_name"].value_counts()
    return {name: int(counts.get(name, 0)) for name in source.extra["classes"]}
