"""Steps over one partition: clean, filter, crop."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.manifest import Manifest, Work
from carpipe.steps import artefacts
from carpipe.steps.session import Session

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


def clean(session: Session, inventory_part: str) -> Manifest:
    """Decode every photo of the partition; writes the photo table and the thumbnails.

    Args:
        inventory_part: manifest key of the partition, as inventory cut it.
    """
    from carpipe import photos as table
    from carpipe.stages import clean as stage

    before = manifest.read(session.store, inventory_part)
    config = session.config.clean
    work = Work(stage.STAGE, stage.VERSION, before.partition, config.model_dump(), (before.key,))
    if done := manifest.find(session.store, work):
        return reused(done)
    started = time.monotonic()
    photos = artefacts.read_photos(session.store, before)
    source = Raw(session, table.kept(photos)["key"])
    results, thumbnails = stage.clean(source, config=config)
    after = table.add_results(photos, results, stage=stage.STAGE)
    files = {"thumbnails.parquet": table.blobs_to_parquet(thumbnails)}
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
    config = session.config.filter
    # Of the settings only the threshold decides: the channel was resolved to weights, the batch is about speed.
    work = Work(
        stage.STAGE,
        stage.VERSION,
        before.partition,
        {"threshold": config.threshold},
        (before.key,),
        weights={"car_filter": model.files[artefacts.MODEL]["sha256"]},
    )
    if done := manifest.find(session.store, work):
        return reused(done)
    started = time.monotonic()
    photos = artefacts.read_photos(session.store, before)
    thumbnails = manifest.read_file(session.store, before, "thumbnails.parquet")
    score = artefacts.load_car_score(session.store, model)
    results = stage.filter_cars(table.blobs_from_parquet(thumbnails), score=score, config=config)
    after = table.add_results(photos, results, stage=stage.STAGE)
    return commit_photos(session, work, photos, after, started=started, bytes_read=len(thumbnails))


def crop(session: Session, filtered: str) -> Manifest:
    """Find vehicles and cut out the largest. Photos that an earlier commit of the partition cropped with
    the same settings and weights are taken over from it and not read again.

    Args:
        filtered: manifest key of the partition after `filter_cars`.
    """
    from carpipe import photos as table
    from carpipe.stages import crop as stage

    before = manifest.read(session.store, filtered)
    config, max_pixels = session.config.crop, session.config.clean.max_pixels
    settings = config.model_dump(exclude={"weights", "batch"}) | {"max_pixels": max_pixels}
    with artefacts.local_weights(session.store, config.weights) as (weights, sha256):
        work = Work(
            stage.STAGE,
            stage.VERSION,
            before.partition,
            settings,
            (before.key,),
            weights={"detector": sha256},
        )
        if done := manifest.find(session.store, work):
            return reused(done)
        started = time.monotonic()
        photos = artefacts.read_photos(session.store, before)
        wanted = table.kept(photos)["key"]
        known = _cropped_before(session, work, wanted)
        todo = wanted[~wanted.isin(known.results["key"])]
        source = Raw(session, todo)
        detector = stage.Detector(weights, config=config) if len(todo) else None
        results, crops = stage.crop(source, detector=detector, config=config, max_pixels=max_pixels)
    after = table.add_results(photos, known.joined(results), stage=stage.STAGE)
    return commit_photos(
        session,
        work,
        photos,
        after,
        files={"crops.parquet": table.blobs_to_parquet(dict(sorted({**known.crops, **crops}.items())))},
        started=started,
        bytes_read=source.bytes,
        reused=len(known.results),
        reused_from=known.source,
    )


class Raw:
    """(photo key, bytes) of photos under `raw/`, fetched ahead; counts the bytes that went through."""

    def __init__(self, session: Session, keys: Iterable[str]):
        self.bytes = 0
        self._files = session.store.get_many(f"raw/{key}" for key in keys)

    def __iter__(self) -> Iterator[tuple[str, bytes | None]]:
        for key, data in self._files:
            self.bytes += len(data or b"")
            yield key.removeprefix("raw/"), data


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
    return manifest.commit(session.store, work, files, counts=counts, seconds=round(seconds, 3), **facts)


def reused(done: Manifest) -> Manifest:
    """Say that nothing had to be done."""
    log.info("%s %s: unchanged, reused %s", done.stage, done.partition, done.key)
    return done


@dataclass(frozen=True)
class _Known:
    """Results and crops taken over from an earlier commit."""

    results: "pd.DataFrame"
    crops: Mapping[str, bytes] = field(default_factory=dict)
    source: str = ""

    def joined(self, results: "pd.DataFrame") -> "pd.DataFrame":
        import pandas as pd

        return pd.concat([self.results, results], ignore_index=True) if len(self.results) else results


def _cropped_before(session: Session, work: Work, wanted: "pd.Series[str]") -> _Known:
    """Of the earlier commits that qualify, the one that knows most of the wanted photos."""
    from carpipe import photos as table
    from carpipe.stages import crop as stage

    best = _Known(stage.as_results([]))
    for done in manifest.earlier(session.store, work):
        found = stage.results_from(artefacts.read_photos(session.store, done), wanted)
        if len(found) > len(best.results):
            best = _Known(found, source=done.key)
    if not best.source:
        return best
    blobs = manifest.read_file(session.store, manifest.read(session.store, best.source), "crops.parquet")
    keys = set(best.results["key"])
    return _Known(
        best.results, {key: jpeg for key, jpeg in table.blobs_from_parquet(blobs) if key in keys}, best.source
    )
