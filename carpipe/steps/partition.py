"""Steps over one partition: clean, filter, crop.

What a step is about to do is a `Work` of its own, so that `plan` knows the keys of results that are not there yet.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.manifest import Manifest, Work
from carpipe.steps import artefacts, outage
from carpipe.steps.reuse import cropped_before, reused
from carpipe.steps.session import Session

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

STAGES = ("clean", "filter", "crop")


def clean_work(session: Session, inventory_part: str, partition: str) -> Work:
    """What `clean` does with a partition."""
    from carpipe.stages import clean as stage

    settings = session.config.clean.model_dump(exclude={"max_unreadable"})
    return Work(stage.STAGE, stage.VERSION, partition, settings, (inventory_part,))


def filter_work(session: Session, cleaned: str, partition: str, model: Manifest) -> Work:
    """What `filter_cars` does with a partition.

    Of the settings only the threshold decides: the channel was resolved to weights, the batch is about speed.
    """
    from carpipe.stages import filter as stage

    weights = {"car_filter": model.files[artefacts.MODEL]["sha256"]}
    settings = {"threshold": session.config.filter.threshold}
    return Work(stage.STAGE, stage.VERSION, partition, settings, (cleaned,), weights=weights)


def crop_work(session: Session, filtered: str, partition: str, detector_sha256: str) -> Work:
    """What `crop` does with a partition."""
    from carpipe.stages import crop as stage

    settings = session.config.crop.model_dump(exclude={"weights", "batch"})
    settings |= session.config.clean.model_dump(include={"max_pixels", "max_damage"})
    return Work(stage.STAGE, stage.VERSION, partition, settings, (filtered,), weights={"detector": detector_sha256})


def clean(session: Session, inventory_part: str, *, inventory: str) -> Manifest:
    """Decode every photo of the partition; writes the photo table, thumbnails, signatures and repaired files.

    Args:
        inventory_part: manifest key of the partition, as inventory cut it.
        inventory: key of the run's inventory: its other partitions tell whether unreadable photos are an outage.

    Raises:
        UnavailableError: so many are unreadable that the storage must be in trouble; nothing is committed.
    """
    from carpipe import photos as table
    from carpipe.stages import clean as stage

    before = manifest.read(session.store, inventory_part)
    work = clean_work(session, inventory_part, before.partition)
    if done := manifest.find(session.store, work):
        return reused(done)
    started = time.monotonic()
    photos = artefacts.read_photos(session.store, before)
    source = Raw(session, table.kept(photos)["key"])
    cleaned = stage.clean(source, config=session.config.clean)
    after = table.add_results(photos, cleaned.results, stage=stage.STAGE)
    outage.check_readable(session, work, table.count(after, stage=stage.STAGE), inventory=inventory)
    files = {
        artefacts.THUMBNAILS: table.blobs_to_parquet(cleaned.thumbnails),
        artefacts.SIGNATURES: table.blobs_to_parquet(cleaned.signatures),
        artefacts.REPAIRED: table.blobs_to_parquet(cleaned.repaired),
    }
    return commit_photos(session, work, photos, after, files=files, started=started, bytes_read=source.bytes)


def filter_cars(session: Session, cleaned: str, *, weights: str) -> Manifest:
    """Score every thumbnail; drops what is not a car.

    Args:
        cleaned: manifest key of the partition after `clean`.
        weights: manifest key of the car filter to use; `plan` names one for the whole run.
    """
    from carpipe import photos as table
    from carpipe.stages import filter as stage

    before, model = manifest.read(session.store, cleaned), manifest.read(session.store, weights)
    work = filter_work(session, cleaned, before.partition, model)
    if done := manifest.find(session.store, work):
        return reused(done)
    started = time.monotonic()
    photos = artefacts.read_photos(session.store, before)
    thumbnails = manifest.read_file(session.store, before, artefacts.THUMBNAILS)
    score = artefacts.load_car_score(session.store, model)
    results = stage.filter_cars(table.blobs_from_parquet(thumbnails), score=score, config=session.config.filter)
    after = table.add_results(photos, results, stage=stage.STAGE)
    return commit_photos(session, work, photos, after, started=started, bytes_read=len(thumbnails))


def crop(session: Session, filtered: str) -> Manifest:
    """Find vehicles and cut out the largest. Photos that an earlier commit of the partition cropped with
    the same settings and weights are taken over from it and not read again.

    Args:
        filtered: manifest key of the partition after `filter_cars`.
    """
    from carpipe import photos as table
    from carpipe.detection import Detector
    from carpipe.stages import crop as stage

    before = manifest.read(session.store, filtered)
    config = session.config.crop
    with artefacts.local_weights(session.store, config.weights) as (weights, sha256):
        work = crop_work(session, filtered, before.partition, sha256)
        if done := manifest.find(session.store, work):
            return reused(done)
        started = time.monotonic()
        photos = artefacts.read_photos(session.store, before)
        wanted = table.kept(photos)["key"]
        known = cropped_before(session, work, wanted)
        todo = wanted[~wanted.isin(known.results["key"])]
        repaired = artefacts.read_blobs(
            session.store, manifest.read(session.store, before.inputs[0]), artefacts.REPAIRED
        )
        source = Raw(session, todo, instead=repaired)
        detector = Detector(weights, config=config) if len(todo) else None
        limits = session.config.clean.model_dump(include={"max_pixels", "max_damage"})
        results, crops = stage.crop(source, detector=detector, config=config, **limits)
    after = table.add_results(photos, known.joined(results), stage=stage.STAGE)
    return commit_photos(
        session,
        work,
        photos,
        after,
        files={artefacts.CROPS: table.blobs_to_parquet(dict(sorted({**known.crops, **crops}.items())))},
        started=started,
        bytes_read=source.bytes,
        reused=len(known.results),
        reused_from=known.source,
    )


class Raw:
    """(photo key, bytes) of photos under `raw/`, fetched ahead; counts the bytes that went through.

    Args:
        instead: repaired copies, by photo key, that take the place of the originals.
    """

    def __init__(self, session: Session, keys: Iterable[str], *, instead: Mapping[str, bytes] | None = None):
        self.bytes = 0
        self._instead = instead or {}
        self._files = session.store.get_many(f"raw/{key}" for key in keys)

    def __iter__(self) -> Iterator[tuple[str, bytes | None]]:
        for name, data in self._files:
            self.bytes += len(data or b"")
            key = name.removeprefix("raw/")
            yield key, data and self._instead.get(key, data)


def commit_photos(
    session: Session,
    work: Work,
    before: "pd.DataFrame",
    after: "pd.DataFrame",
    *,
    started: float,
    files: Mapping[str, bytes] | None = None,
    **facts: Any,
) -> Manifest:
    """Commit a stage's photo table and files, having checked that rows in = rows out."""
    from carpipe import photos as table

    table.check_balance(before, after, stage=work.stage)
    counts = table.count(after, stage=work.stage)
    seconds = time.monotonic() - started
    log.info("%s %s: %d photos in, %d kept, %.0f photos/s", work.stage, work.partition, counts["in"], counts["kept"],
             counts["in"] / max(seconds, 1e-9))  # fmt: skip
    files = {artefacts.PHOTOS: table.to_parquet(after), **(files or {})}
    return session.commit(work, files, counts=counts, seconds=round(seconds, 3), **facts)
