"""Crop: find the vehicles on the photos of a partition, and cut out the largest."""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.manifest import Manifest, Work
from carpipe.spent import Spent
from carpipe.steps import results
from carpipe.steps.data.detector_network import DetectorId, local_detector
from carpipe.steps.data.raw import Raw, mark_too_large, objects_of
from carpipe.steps.results import commit_photos
from carpipe.steps.reuse import cropped_before, reused
from carpipe.steps.session import Session

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd


def crop_work(session: Session, filtered: str, partition: str, detector: DetectorId) -> Work:
    """What `crop` does with a partition."""
    from carpipe.stages import crop as stage

    settings = session.config.crop.decisive("weights", "batch", "runtime", "decoders")
    settings |= session.config.clean.model_dump(include={"max_pixels", "max_damage"})
    inputs = (filtered, detector.made) if detector.made else (filtered,)
    return Work(stage.STAGE, stage.VERSION, partition, settings, inputs, weights={"detector": detector.sha256})


def crop(session: Session, filtered: str) -> Manifest:
    """Find vehicles and cut out the largest. Photos that an earlier commit of the partition cropped with
    the same settings and weights are taken over from it and not read again, as long as they decode to the same.

    Args:
        filtered: manifest key of the partition after `filter_cars`.

    Raises:
        UnavailableError: photos came otherwise than they lie in the storage.
    """
    from carpipe import photos as table
    from carpipe.stages.crop import STAGE

    before = manifest.read(session.store, filtered)
    with local_detector(session) as detector:
        work = crop_work(session, filtered, before.partition, detector.id)
        if done := manifest.find(session.store, work):
            return reused(done)
        started, spent = time.monotonic(), Spent()
        with spent.on("fetching"):
            photos = results.read_photos(session.store, before)
            kept = table.kept(photos)
            cleaned = manifest.read(session.store, before.inputs[0])
            known = cropped_before(session, work, kept["key"], cleaned=cleaned)
            todo = kept[~kept["key"].isin(known.results["key"])]
            repaired = results.read_blobs(session.store, cleaned, results.REPAIRED, keys=todo["key"])
        source = Raw(session, objects_of(session, todo, partition=work.partition), instead=repaired)
        with session.progress.bar(f"crop {work.partition}", total=len(todo), unit="photos") as bar:
            found, crops = _crop(session, bar.each(source), detector.there if len(todo) else None, spent)
    after = table.add_results(photos, known.joined(mark_too_large(found, source)), stage=STAGE)
    crops.update(known.crops)
    files = {results.CROPS: _sorted_blobs(crops)}
    return commit_photos(
        session, work, photos, after, files=files, started=started, bytes_read=source.bytes,
        reused=len(known.results), reused_from=known.source, spent=spent,
    )  # fmt: skip


def _crop(
    session: Session, source: "Iterable[tuple[str, bytes | None]]", weights: "Path | None", spent: Spent
) -> "tuple[pd.DataFrame, dict[str, bytes]]":
    """What the stage finds. Weights: none where there are no photos."""
    from carpipe.pictures.detection.detector import Detector
    from carpipe.stages import crop as stage

    config = session.config.crop
    detector = Detector(weights, config=config) if weights else None
    return stage.crop(source, detector=detector, config=config, spent=spent, **_limits(session))


def _limits(session: Session) -> dict[str, Any]:
    return session.config.clean.model_dump(include={"max_pixels", "max_damage", "timeout_s", "memory_mb"})


def _sorted_blobs(crops: dict[str, bytes]) -> bytes:
    """A file of them, by key; each is let go as soon as it is there."""
    from carpipe.photos import blobs_to_parquet

    return blobs_to_parquet({key: crops.pop(key) for key in sorted(crops)}, let_go=True)
