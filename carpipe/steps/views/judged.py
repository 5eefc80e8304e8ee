"""The photos that a model was judged on, and which it was right on: figures of models lead to those that they count.

An evaluation keeps what the model answered on each test photo. It lies apart from the model, and may be gone before it.
"""

import contextlib
from collections.abc import Mapping
from functools import partial
from typing import Final
from urllib.parse import urlencode

from carpipe import manifest
from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest
from carpipe.steps.cache import ResultCache
from carpipe.steps.models.answers import PREDICTIONS

COLUMNS: Final = ("key", "class_name", "answer")


def find_judged(cache: ResultCache, asked: Mapping[str, str]) -> list[str]:
    """Keys of the photos that a model was judged on.

    Args:
        asked: `judged`, the id of a packaged model. Beside it perhaps `right`, `yes` or `no`, and `answer`, a class:
            what the model answered.

    Raises:
        InputError: there is no such model.
        MissingError: its evaluation is gone.
    """
    from carpipe.photos import from_parquet

    judged = cache.manifest(_find_model(cache, asked["judged"]).inputs[0])
    data = manifest.read_file(cache.session.store, judged, PREDICTIONS)
    photos = from_parquet(data, columns=list(COLUMNS))
    if "right" in asked:
        photos = photos[(photos["answer"] == photos["class_name"]) == (asked["right"] == "yes")]
    if "answer" in asked:
        photos = photos[photos["answer"] == asked["answer"]]
    found: list[str] = photos["key"].tolist()
    return found


def judged_photos(cache: ResultCache, model: Manifest, **more: str) -> str:
    """The photos that a model was judged on, as an address of the page Photos has them.

    Args:
        more: further filters.

    Returns:
        Empty where the page cannot show as many as the model says: they are of no dataset, or the evaluation or the
        dataset is gone.
    """
    # What is gone stays so: it is looked for once.
    found: dict[str, str] = cache.get(("judged", model.key), partial(_judged, cache, model))
    return urlencode({**found, **more}) if found else ""


def _judged(cache: ResultCache, model: Manifest) -> dict[str, str]:
    dataset, metrics = model.extra.get("dataset"), model.extra.get("metrics")
    if not isinstance(dataset, str) or not dataset.startswith("datasets/") or not isinstance(metrics, dict):
        return {}
    with contextlib.suppress(MissingError, InputError, IndexError):
        judged, _ = cache.manifest(model.inputs[0]), cache.manifest(dataset)
        if PREDICTIONS in judged.files and judged.counts.get("in") == metrics.get("test_photos"):
            return {"dataset": dataset.split("/")[1], "judged": model.key.split("/")[2]}
    return {}


def _find_model(cache: ResultCache, model: str) -> Manifest:
    """A packaged model of any channel by its id."""
    store = cache.session.store
    for folder in store.list_folders("models"):
        key = f"{folder}/{model}/manifest.json"
        if store.head(key):
            return cache.manifest(key)
    raise InputError(f"There is no model {model} in {store.url}.")
