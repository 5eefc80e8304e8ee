"""The network that judges a run's photos: the published car filter, or what was made of it in 8-bit numbers."""

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from carpipe import manifest
from carpipe.errors import InputError
from carpipe.manifest import Manifest, Work
from carpipe.spent import Spent
from carpipe.steps import results
from carpipe.steps.session import Session
from carpipe.weights.contract import CAR, NETWORK

if TYPE_CHECKING:
    from carpipe.pictures.model_input import Pixels
    from carpipe.stages.filter import Score, Seen
    from carpipe.weights.model import Model

_DECODED = 8  # thumbnails that a thread decodes at a time
_CAR_FILTER = "car_filter"
JUDGED = "judged.json"  # what both have said of photos


class CarFilter(NamedTuple):
    """A published car filter, and what was made of it.

    Attributes:
        sha256: of what judges photos; of a network that has yet to be made, a name.
        int8: what made the network of 8-bit numbers; None: the published one is used, or there is none yet.
        is_there: whether it can judge.
    """

    model: Manifest
    sha256: str
    int8: Manifest | None = None
    is_there: bool = True


def find_car_filter(session: Session, model: Manifest) -> CarFilter:
    """Which network judges photos by the settings.

    Args:
        model: a published car filter.

    Raises:
        InputError: in 8-bit numbers it decides otherwise.
    """
    sha256 = model.files[results.MODEL]["sha256"]
    if session.config.filter.runtime != "int8":
        return CarFilter(model, sha256)
    done = manifest.find(session.store, quantize_filter_work(model))
    if done is None:
        return CarFilter(model, f"int8 of {sha256}", is_there=False)
    from carpipe.stages import quantize as stage

    judged = [stage.Judged(tuple(p), tuple(view)) for p, view in manifest.read_json(session.store, done, JUDGED)]
    stage.check_filter(judged, threshold=session.config.filter.threshold, made=done.key)
    return CarFilter(model, done.files[NETWORK[1]]["sha256"], done)


def quantize_filter_work(model: Manifest) -> Work:
    """What `quantize` does with a car filter."""
    from carpipe.stages import quantize as stage

    weights = {"car_filter": model.files[results.MODEL]["sha256"]}
    return Work(stage.STAGE, stage.VERSION, _CAR_FILTER, {}, (), weights=weights)


def load_car_score(session: Session, network: CarFilter, spent: Spent) -> "Score":
    """JPEGs in, what a car filter sees on each: whether it shows a car from outside, and from where.

    Runs its portable export: several times as fast as Keras on a processor, and up in a second.
    """
    model = load_car_filter(session, network.model)
    if not network.is_there:
        raise InputError("There is no car filter in 8-bit numbers for these weights yet; run the step `quantize`.")
    if network.int8:
        with tempfile.TemporaryDirectory(prefix="carpipe-filter-") as folder:
            for name in NETWORK:
                (Path(folder) / name).write_bytes(manifest.read_file(session.store, network.int8, name))
            model = model.run_by(Path(folder) / NETWORK[0])
    return scores_of(model, spent)


def load_car_filter(session: Session, model: Manifest, *, cache: Path | None = None) -> "Model":
    """A published car filter, verified; its files stay in the cache, if there is one. Raises InputError: it is none."""
    from carpipe.weights.client import load

    if CAR not in model.extra["classes"]:
        raise InputError(
            f"{model.key} is no car filter: it knows {', '.join(model.extra['classes'][:5])}, not {CAR!r}."
        )
    with tempfile.TemporaryDirectory(prefix="carpipe-filter-") as folder:
        return load(session.store, model.key, cache=cache or Path(folder), makers=session.config.signing)


def scores_of(model: "Model", spent: Spent) -> "Score":
    """As `load_car_score`, of a car filter that is loaded."""
    from carpipe.stages.filter import Seen

    column, told = model.classes.index(CAR), model.views

    def score(jpegs: list[bytes]) -> "list[Seen]":
        with spent.on("decoding"):
            pictures = decode_thumbnails(jpegs, model.side)
        with spent.on("network"):
            p, views = model.look_round(pictures)
        p_car = p[:, column].tolist()
        if told is None or views is None:
            return [Seen(one) for one in p_car]
        best, sure = views.argmax(axis=1).tolist(), views.max(axis=1).tolist()
        return [Seen(p, told.names[at], how) for p, at, how in zip(p_car, best, sure, strict=True)]

    return score


def decode_thumbnails(jpegs: list[bytes], side: int) -> "Pixels":
    """As `to_batch`, on all cores that this process may use."""
    import numpy as np

    from carpipe.pictures.model_input import to_batch

    chunks = [jpegs[at : at + _DECODED] for at in range(0, len(jpegs), _DECODED)]
    with ThreadPoolExecutor(min(len(chunks), len(os.sched_getaffinity(0)))) as threads:
        return np.concatenate(list(threads.map(partial(to_batch, side=side), chunks)))
