"""Filter: keep the photos of a partition that show a car from outside."""

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from carpipe import manifest
from carpipe.errors import InputError
from carpipe.manifest import Manifest, Work
from carpipe.spent import Spent
from carpipe.steps import results
from carpipe.steps.results import commit_photos
from carpipe.steps.reuse import reused, scored_before
from carpipe.steps.session import Session
from carpipe.weights.channel import read_known
from carpipe.weights.contract import CAR, VIEWS

if TYPE_CHECKING:
    from carpipe.stages.filter import Score


def filter_work(session: Session, cleaned: str, partition: str, model: Manifest) -> Work:
    """What `filter_cars` does with a partition.

    Of the settings only the threshold decides: the channel was resolved to weights, the batch is about speed.
    """
    from carpipe.stages import filter as stage

    weights = {"car_filter": model.files[results.MODEL]["sha256"]}
    if VIEWS in model.files:  # it names the head
        weights["views"] = model.files[VIEWS]["sha256"]
    settings = {"threshold": session.config.filter.threshold}
    return Work(stage.STAGE, stage.VERSION, partition, settings, (cleaned,), weights=weights)


def filter_cars(session: Session, cleaned: str, *, weights: str) -> Manifest:
    """Score every thumbnail; drops what is not a car. Thumbnails that these weights have scored are not scored again.

    Args:
        cleaned: manifest key of the partition after `clean`.
        weights: manifest key of the car filter to use; `plan` names one for the whole run.
    """
    from carpipe import photos as table
    from carpipe.stages import filter as stage

    before, model = manifest.read(session.store, cleaned), read_known(session.store, weights).manifest
    work = filter_work(session, cleaned, before.partition, model)
    if done := manifest.find(session.store, work):
        return reused(done)
    started, spent = time.monotonic(), Spent()
    with spent.on("fetching"):
        photos = results.read_photos(session.store, before)
        thumbnails = results.read_blobs(session.store, before, results.THUMBNAILS)
        known = scored_before(session, work, thumbnails)
    score = load_car_score(session, model, spent) if len(known) < len(thumbnails) else None
    found = stage.filter_cars(
        thumbnails.items(), score=score, known=known, config=session.config.filter, views="views" in work.weights
    )
    after = table.add_results(photos, found, stage=stage.STAGE)
    size = sum(map(len, thumbnails.values()))
    told = {"extra": {"views": manifest.read_json(session.store, model, VIEWS)}} if VIEWS in model.files else {}
    return commit_photos(
        session, work, photos, after, started=started, bytes_read=size, reused=len(known), spent=spent, **told
    )


def load_car_score(session: Session, model: Manifest, spent: Spent) -> "Score":
    """JPEGs in, what a published car filter sees on each: whether it shows a car from outside, and from where.

    Runs its portable export: several times as fast as Keras on a processor, and up in a second.
    """
    from carpipe.pictures.model_input import to_batch
    from carpipe.stages.filter import Seen
    from carpipe.weights.client import load

    if CAR not in model.extra["classes"]:
        raise InputError(
            f"{model.key} is no car filter: it knows {', '.join(model.extra['classes'][:5])}, not {CAR!r}."
        )
    with tempfile.TemporaryDirectory(prefix="carpipe-filter-") as folder:
        network = load(session.store, model.key, cache=Path(folder), makers=session.config.signing)
    column, told = network.classes.index(CAR), network.views

    def score(jpegs: list[bytes]) -> list[Seen]:
        with spent.on("decoding"):
            pictures = to_batch(jpegs, network.side)
        with spent.on("network"):
            p, views = network.look_round(pictures)
        p_car = p[:, column].tolist()
        if told is None or views is None:
            return [Seen(one) for one in p_car]
        best, sure = views.argmax(axis=1).tolist(), views.max(axis=1).tolist()
        return [Seen(p, told.names[at], how) for p, at, how in zip(p_car, best, sure, strict=True)]

    return score
