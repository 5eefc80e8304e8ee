"""Crop: find the vehicles on the photos of a partition, and cut out the largest."""

import time

from carpipe import manifest
from carpipe.manifest import Manifest, Work
from carpipe.steps import given_weights, results
from carpipe.steps.data.raw import Raw, mark_too_large, objects_of
from carpipe.steps.results import commit_photos
from carpipe.steps.reuse import cropped_before, reused
from carpipe.steps.session import Session


def crop_work(session: Session, filtered: str, partition: str, detector_sha256: str) -> Work:
    """What `crop` does with a partition."""
    from carpipe.stages import crop as stage

    settings = session.config.crop.decisive("weights", "batch")
    settings |= session.config.clean.model_dump(include={"max_pixels", "max_damage"})
    return Work(stage.STAGE, stage.VERSION, partition, settings, (filtered,), weights={"detector": detector_sha256})


def crop(session: Session, filtered: str) -> Manifest:
    """Find vehicles and cut out the largest. Photos that an earlier commit of the partition cropped with
    the same settings and weights are taken over from it and not read again, as long as they decode to the same.

    Args:
        filtered: manifest key of the partition after `filter_cars`.

    Raises:
        UnavailableError: photos came otherwise than they lie in the storage.
    """
    from carpipe import photos as table
    from carpipe.pictures.detection import Detector
    from carpipe.stages import crop as stage

    before = manifest.read(session.store, filtered)
    config = session.config.crop
    with given_weights.local_weights(session.store, config.weights) as (weights, sha256):
        work = crop_work(session, filtered, before.partition, sha256)
        if done := manifest.find(session.store, work):
            return reused(done)
        started = time.monotonic()
        photos = results.read_photos(session.store, before)
        kept = table.kept(photos)
        wanted = kept["key"]
        cleaned = manifest.read(session.store, before.inputs[0])
        known = cropped_before(session, work, wanted, cleaned=cleaned)
        todo = wanted[~wanted.isin(known.results["key"])]
        repaired = results.read_blobs(session.store, cleaned, results.REPAIRED)
        source = Raw(session, objects_of(kept[wanted.isin(todo)]), instead=repaired)
        detector = Detector(weights, config=config) if len(todo) else None
        limits = session.config.clean.model_dump(include={"max_pixels", "max_damage", "timeout_s", "memory_mb"})
        found, crops = stage.crop(source, detector=detector, config=config, **limits)
    after = table.add_results(photos, known.joined(mark_too_large(found, source)), stage=stage.STAGE)
    return commit_photos(
        session,
        work,
        photos,
        after,
        files={results.CROPS: table.blobs_to_parquet(dict(sorted({**known.crops, **crops}.items())))},
        started=started,
        bytes_read=source.bytes,
        reused=len(known.results),
        reused_from=known.source,
    )
