"""The photos that a model was judged on, and which it was right on: figures of models lead to those that they count.

An evaluation keeps what the model answered on each test photo, the gate what the live model answered on the same ones,
and the step `score` what it answered on new listings. All lie apart from the models, and may be gone before them.
"""

import contextlib
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from carpipe import manifest
from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest
from carpipe.steps import results
from carpipe.steps.cache import ResultCache
from carpipe.steps.models.answers import PREDICTIONS, answer_work
from carpipe.steps.models.class_names import class_map
from carpipe.steps.models.score_log import JUDGED, parse_score
from carpipe.steps.views.kept import read_all

if TYPE_CHECKING:
    import pandas as pd

COLUMNS: Final = ("key", "class_name", "answer")


def find_judged(cache: ResultCache, asked: Mapping[str, str], *, dataset: str = "") -> list[str]:
    """Keys of the photos that a model was judged on.

    Args:
        asked: `judged`, the id of a packaged model. Beside it perhaps `right`, `yes` or `no`, and `answer`, a class:
            what the model answered. With `by`, the id of another one, it is what that answered on the same photos. With
            `new`, it is what the model answered when it was live, on listings that were new in a dataset.
        dataset: its manifest key.

    Raises:
        InputError: there is no such model, or it was not asked about what was new in the dataset.
        MissingError: its evaluation, or what the other one answered, is gone.
    """
    model = _find_model(cache, asked["judged"])
    if "new" in asked:
        photos = _answers_on_new(cache, model, dataset)
    elif "by" in asked:
        photos = _answers_by(cache, model, _find_model(cache, asked["by"]))
    else:
        photos = _answers(cache, model)
    if "right" in asked:
        photos = photos[photos["correct"] == (asked["right"] == "yes")]
    if "answer" in asked:
        photos = photos[photos["answer"] == asked["answer"]]
    found: list[str] = photos["key"].tolist()
    return found


def judged_photos(cache: ResultCache, model: Manifest, **more: str) -> str:
    """The photos that a model was judged on, as an address of the page Photos has them.

    Args:
        more: further filters.

    Returns:
        Empty where the page cannot show them: the evaluation is of another number of photos than the model says, or
        it or the dataset is gone. Labelled photos are of the newest dataset, so the address names none.
    """
    # What is gone stays so: it is looked for once.
    found: dict[str, str] = cache.get(("judged", model.key), partial(_judged, cache, model))
    return urlencode({**found, **more}) if found else ""


def compared_photos(cache: ResultCache, model: Manifest, other: str, **more: str) -> str:
    """The same with what another model answered when the gate held the model against it.

    Args:
        other: its manifest key; empty: it was held against none.
    """
    found: bool = bool(other) and cache.get(("compared", model.key, other), partial(_compared, cache, model, other))
    return judged_photos(cache, model, by=other.split("/")[2], **more) if found else ""


def newest_photos(cache: ResultCache, entry: Mapping[str, Any], **more: str) -> str:
    """The photos of new listings that a live model was judged on, as an address of the page Photos has them.

    Args:
        entry: as `carpipe.steps.models.score_log` has it.
        more: further filters.

    Returns:
        Empty where nobody has kept which photos these were, or the dataset is gone.
    """
    if not cache.get(("newest", entry.get(JUDGED), entry["dataset"]), partial(_is_kept, cache, entry)):
        return ""
    dataset, model = entry["dataset"].split("/")[1], entry["model"].split("/")[2]
    return urlencode({"dataset": dataset, "judged": model, "new": "yes", **more})


def _is_kept(cache: ResultCache, entry: Mapping[str, Any]) -> bool:
    with contextlib.suppress(MissingError, InputError, KeyError):
        cache.manifest(entry["model"])
        cache.manifest(entry["dataset"])
        return results.NEWEST_PHOTOS in cache.manifest(entry[JUDGED]).files
    return False


def _compared(cache: ResultCache, model: Manifest, other: str) -> bool:
    with contextlib.suppress(MissingError, InputError, KeyError):
        data = cache.manifest(model.extra["dataset"])
        return PREDICTIONS in cache.manifest(answer_work(cache.manifest(other), data).key).files
    return False


def _answers(cache: ResultCache, model: Manifest) -> "pd.DataFrame":
    return _read(cache, cache.manifest(model.inputs[0]))


def _answers_by(cache: ResultCache, model: Manifest, other: Manifest) -> "pd.DataFrame":
    """A class that was renamed or merged since counts as what it became, as for the gate."""
    done = cache.manifest(answer_work(other, cache.manifest(model.extra["dataset"])).key)
    photos, became = _read(cache, done), class_map(cache.session, other, model)
    return _judge(photos.assign(answer=photos["answer"].map(lambda name: became.get(name, name))))


def _answers_on_new(cache: ResultCache, model: Manifest, dataset: str) -> "pd.DataFrame":
    import pandas as pd

    folder = f"channels/{model.key.split('/')[1]}/scores"
    entries = read_all(cache, folder, parse_score, passed_over=InputError)
    asked = (one for one in entries if one and (one["model"], one["dataset"]) == (model.key, dataset))
    if (entry := next(asked, None)) is None or JUDGED not in entry:
        raise InputError("Nobody has kept what this model answered on listings that were new in this dataset.")
    done = cache.manifest(entry[JUDGED])
    kept = manifest.read_json(cache.session.store, done, results.NEWEST_PHOTOS)
    return pd.DataFrame({"key": kept["photos"], "answer": kept["answers"], "correct": kept["correct"]})


def _read(cache: ResultCache, done: Manifest) -> "pd.DataFrame":
    from carpipe.photos import from_parquet

    return _judge(from_parquet(manifest.read_file(cache.session.store, done, PREDICTIONS), columns=list(COLUMNS)))


def _judge(photos: "pd.DataFrame") -> "pd.DataFrame":
    return photos.assign(correct=photos["answer"] == photos["class_name"])


def _judged(cache: ResultCache, model: Manifest) -> dict[str, str]:
    dataset, metrics = model.extra.get("dataset"), model.extra.get("metrics")
    if not isinstance(dataset, str) or not isinstance(metrics, dict):
        return {}
    with contextlib.suppress(MissingError, InputError, IndexError):
        judged, _ = cache.manifest(model.inputs[0]), cache.manifest(dataset)
        if PREDICTIONS in judged.files and judged.counts.get("in") == metrics.get("test_photos"):
            of = {"dataset": dataset.split("/")[1]} if dataset.startswith("datasets/") else {}
            return {**of, "judged": model.key.split("/")[2]}
    return {}


def _find_model(cache: ResultCache, model: str) -> Manifest:
    """A packaged model of any channel by its id."""
    store = cache.session.store
    for folder in store.list_folders("models"):
        key = f"{folder}/{model}/manifest.json"
        if store.head(key):
            return cache.manifest(key)
    raise InputError(f"There is no model {model} in {store.url}.")
