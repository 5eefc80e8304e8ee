"""The network that judges a run's photos: the published car filter, or what was made of it in 8-bit numbers."""

import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from carpipe import manifest
from carpipe.errors import InputError
from carpipe.manifest import Manifest, Work
from carpipe.spent import Spent
from carpipe.steps import results
from carpipe.steps.data.quantize import drawn_first, made_again_without
from carpipe.steps.session import Session
from carpipe.weights.contract import CAR, NETWORK

if TYPE_CHECKING:
    from carpipe.pictures.model_input import Pixels
    from carpipe.stages.filter import Score, Seen
    from carpipe.weights.model import Model

log = logging.getLogger(__name__)

_DECODED = 8  # thumbnails that a thread decodes at a time
_CAR_FILTER, _JUDGED = "car_filter", "judged.json"


class CarFilter(NamedTuple):
    """A published car filter, and what was made of it.

    Attributes:
        sha256: of what judges photos.
        int8: what made the network of 8-bit numbers; None: the published one is used, or there is none yet.
    """

    model: Manifest
    sha256: str
    int8: Manifest | None = None


def find_car_filter(
    session: Session, model: Manifest, *, thumbnails: Callable[[], Mapping[str, bytes]] | None = None
) -> CarFilter:
    """Which network judges photos by the settings.

    Args:
        model: a published car filter.
        thumbnails: JPEGs by photo key, to make the network of 8-bit numbers with where nobody has yet; None: it is not
            made.

    Raises:
        InputError: in 8-bit numbers it decides otherwise, or too few photos tell.
    """
    from carpipe.stages import quantize as stage

    sha256 = model.files[results.MODEL]["sha256"]
    if session.config.filter.runtime != "int8":
        return CarFilter(model, sha256)
    work = Work(stage.STAGE, stage.VERSION, _CAR_FILTER, {}, (), weights={"car_filter": sha256})
    done = manifest.find(session.store, work)
    if done is None and thumbnails is not None:
        done = _quantize(session, work, model, thumbnails())
    if done is None:
        return CarFilter(model, f"int8 of {sha256}")
    judged = [stage.Judged(tuple(p), tuple(view)) for p, view in manifest.read_json(session.store, done, _JUDGED)]
    with made_again_without(done.key):
        stage.check_filter(judged, threshold=session.config.filter.threshold)
    return CarFilter(model, done.files[NETWORK[1]]["sha256"], done)


def load_car_score(session: Session, network: CarFilter, spent: Spent) -> "Score":
    """JPEGs in, what a car filter sees on each: whether it shows a car from outside, and from where.

    Runs its portable export: several times as fast as Keras on a processor, and up in a second.
    """
    model = _load(session, network.model)
    if network.int8:
        with tempfile.TemporaryDirectory(prefix="carpipe-filter-") as folder:
            for name in NETWORK:
                (Path(folder) / name).write_bytes(manifest.read_file(session.store, network.int8, name))
            model = model.run_by(Path(folder) / NETWORK[0])
    return _scores(model, spent)


def _load(session: Session, model: Manifest, *, cache: Path | None = None) -> "Model":
    from carpipe.weights.client import load

    if CAR not in model.extra["classes"]:
        raise InputError(
            f"{model.key} is no car filter: it knows {', '.join(model.extra['classes'][:5])}, not {CAR!r}."
        )
    with tempfile.TemporaryDirectory(prefix="carpipe-filter-") as folder:
        return load(session.store, model.key, cache=cache or Path(folder), makers=session.config.signing)


def _scores(model: "Model", spent: Spent) -> "Score":
    from carpipe.stages.filter import Seen

    column, told = model.classes.index(CAR), model.views

    def score(jpegs: list[bytes]) -> "list[Seen]":
        with spent.on("decoding"):
            pictures = _decode(jpegs, model.side)
        with spent.on("network"):
            p, views = model.look_round(pictures)
        p_car = p[:, column].tolist()
        if told is None or views is None:
            return [Seen(one) for one in p_car]
        best, sure = views.argmax(axis=1).tolist(), views.max(axis=1).tolist()
        return [Seen(p, told.names[at], how) for p, at, how in zip(p_car, best, sure, strict=True)]

    return score


def _decode(jpegs: list[bytes], side: int) -> "Pixels":
    """As `to_batch`, on all cores that this process may use."""
    import numpy as np

    from carpipe.pictures.model_input import to_batch

    chunks = [jpegs[at : at + _DECODED] for at in range(0, len(jpegs), _DECODED)]
    with ThreadPoolExecutor(min(len(chunks), len(os.sched_getaffinity(0)))) as threads:
        return np.concatenate(list(threads.map(partial(to_batch, side=side), chunks)))


def _quantize(session: Session, work: Work, model: Manifest, thumbnails: Mapping[str, bytes]) -> Manifest:
    """Make it of some thumbnails, and keep what both say of others: whether that is the same is asked at each use."""
    from carpipe.pictures.model_input import to_batch
    from carpipe.stages import quantize as stage
    from carpipe.weights import int8

    started = time.monotonic()
    stage.check_enough(len(thumbnails))
    log.info("putting the car filter into 8-bit numbers, once for these weights")
    some = [thumbnails[key] for key in drawn_first(list(thumbnails))[: stage.CALIBRATED + stage.CHECKED_BY_FILTER]]
    with tempfile.TemporaryDirectory(prefix="carpipe-filter-") as folder:
        before = _load(session, model, cache=Path(folder))
        files = int8.quantize(before.folder / NETWORK[0], to_batch(some[: stage.CALIBRATED], before.side))
        for name, data in files.items():
            (Path(folder) / name).write_bytes(data)
        after = before.run_by(Path(folder) / NETWORK[0])
    seen = [_scores(one, Spent())(some[stage.CALIBRATED :]) for one in (before, after)]
    judged = [((one.p_car, other.p_car), (one.view, other.view)) for one, other in zip(*seen, strict=True)]
    return session.commit(
        work, {**files, _JUDGED: json.dumps(judged).encode()}, counts={"in": len(some), "kept": len(judged)},
        seconds=round(time.monotonic() - started, 1),
    )  # fmt: skip
