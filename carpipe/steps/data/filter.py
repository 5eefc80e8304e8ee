"""Filter: keep the photos of a partition that show a car from outside."""

import time

from carpipe import manifest
from carpipe.manifest import Manifest, Work
from carpipe.spent import Spent
from carpipe.steps import results
from carpipe.steps.data.filter_network import CarFilter, find_car_filter, load_car_score
from carpipe.steps.results import commit_photos
from carpipe.steps.reuse import reused, scored_before
from carpipe.steps.session import Session
from carpipe.weights.channel import read_known
from carpipe.weights.contract import VIEWS


def filter_work(session: Session, cleaned: str, partition: str, network: CarFilter) -> Work:
    """What `filter_cars` does with a partition.

    Of the settings only the threshold decides: channel and runtime were resolved to weights, the batch is about speed.
    """
    from carpipe.stages import filter as stage

    weights = {"car_filter": network.sha256}
    if VIEWS in network.model.files:  # it names the head
        weights["views"] = network.model.files[VIEWS]["sha256"]
    settings = {"threshold": session.config.filter.threshold}
    inputs = (cleaned, network.int8.key) if network.int8 else (cleaned,)
    return Work(stage.STAGE, stage.VERSION, partition, settings, inputs, weights=weights)


def filter_cars(session: Session, cleaned: str, *, weights: str) -> Manifest:
    """Score every thumbnail; drops what is not a car. Thumbnails that these weights have scored are not scored again.

    Args:
        cleaned: manifest key of the partition after `clean`.
        weights: manifest key of the car filter to use; `plan` names one for the whole run.
    """
    from carpipe import photos as table
    from carpipe.stages import filter as stage

    before, model = manifest.read(session.store, cleaned), read_known(session.store, weights).manifest
    network = find_car_filter(session, model)
    work = filter_work(session, cleaned, before.partition, network)
    if done := manifest.find(session.store, work):
        return reused(done)
    started, spent = time.monotonic(), Spent()
    with spent.on("fetching"):
        photos = results.read_photos(session.store, before)
        thumbnails = results.read_blobs(session.store, before, results.THUMBNAILS)
        known = scored_before(session, work, thumbnails)
    score = load_car_score(session, network, spent) if len(known) < len(thumbnails) else None
    with session.progress.bar(f"filter {work.partition}", total=len(thumbnails), unit="photos") as bar:
        found = stage.filter_cars(
            bar.each(thumbnails.items()), score=score, known=known, config=session.config.filter,
            views="views" in work.weights,
        )  # fmt: skip
    after = table.add_results(photos, found, stage=stage.STAGE)
    size = sum(map(len, thumbnails.values()))
    told = {"extra": {"views": manifest.read_json(session.store, model, VIEWS)}} if VIEWS in model.files else {}
    return commit_photos(
        session, work, photos, after, started=started, bytes_read=size, reused=len(known), spent=spent, **told
    )
