"""What a trained model answers: on JPEGs, on the shards of a dataset, and on the test split of another one."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.manifest import Manifest, Work
from carpipe.steps import results
from carpipe.steps.models.train import content_of
from carpipe.steps.reuse import reused
from carpipe.steps.session import Session
from carpipe.storage import Store

if TYPE_CHECKING:
    import pandas as pd

PREDICTIONS = "predictions.parquet"


def load_trained(
    store: Store, trained: Manifest, *, energy: bool = False, features: bool = False
) -> Callable[[list[bytes]], Any]:
    """JPEGs in, probabilities (n, classes) out, by a model as it came out of training.

    Args:
        energy, features: more columns, see `carpipe.training.predict.load_predictor`.
    """
    from carpipe.training.predict import load_predictor

    with results.local_file(store, trained, results.MODEL) as path:
        return load_predictor(path, energy=energy, features=features)


def answer_shards(session: Session, data: Manifest, shards: Sequence[Path], predict: Any) -> tuple["pd.DataFrame", Any]:
    """The photos of the shards, as `carpipe.evaluation` wants them, and the model's probabilities for each.

    `model` is that which a photo counts with, as people have corrected it.
    """
    from carpipe.evaluation.predictions import COLUMNS
    from carpipe.photos import CORRECTED, counted_models
    from carpipe.training.data import iter_records
    from carpipe.training.predict import predict_records

    keys, p = predict_records(iter_records(shards), predict=predict)
    columns = [*COLUMNS, "split", "dropped"]
    photos = results.read_photos(session.store, data, columns=columns, also=CORRECTED)
    photos = photos.assign(model=counted_models(photos))
    # A photo that was overwritten has two rows, the old one dropped.
    photos = photos[photos["dropped"].isna() & photos["split"].notna()].set_index("key")
    return photos.loc[keys].reset_index()[list(COLUMNS)], p


def answer_test(session: Session, model: str, dataset: str) -> Manifest:
    """What a packaged model that was trained on another dataset answers on this one's test split; for the gate.

    Commits a row per photo: `key`, `vehicle`, `class_name` (the truth here) and `answer` (by its own classes).
    """
    source, data = manifest.read(session.store, model), manifest.read(session.store, dataset)
    work = answer_work(source, data)
    if done := manifest.find(session.store, work):
        return reused(done)
    import numpy as np

    from carpipe.photos import to_parquet

    started = time.monotonic()
    with results.local_shards(session.store, data, "test") as shards:
        photos, p = answer_shards(session, data, shards["test"], load_trained(session.store, source))
    names = np.array(source.extra["classes"], dtype=object)
    table = photos[["key", "vehicle", "class_name"]].assign(answer=names[p.argmax(axis=1)])
    files = {PREDICTIONS: to_parquet(table)}
    seconds = round(time.monotonic() - started, 3)
    return session.commit(work, files, counts={"in": len(table)}, seconds=seconds)


def answer_work(model: Manifest, data: Manifest) -> Work:
    """What `answer_test` does."""
    return Work("answers", 1, model.partition, {}, (model.key, *content_of(data)))


def read_answers(session: Session, done: Manifest) -> "pd.DataFrame":
    """The rows that `evaluate` or `answer_test` committed."""
    from carpipe.photos import from_parquet

    return from_parquet(manifest.read_file(session.store, done, PREDICTIONS))
