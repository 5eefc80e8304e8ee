"""Taking over what earlier runs have done: whole results, and results photo by photo."""

import contextlib
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from carpipe import manifest
from carpipe.errors import MissingError
from carpipe.manifest import Manifest, Work
from carpipe.steps import results
from carpipe.steps.session import Session
from carpipe.storage import Store

if TYPE_CHECKING:
    import pandas as pd

    from carpipe.stages.filter import Seen

log = logging.getLogger(__name__)


# How many results of each stage were reused, where they are told of together.
_counted: ContextVar[Counter[str] | None] = ContextVar("counted", default=None)


def reused(done: Manifest) -> Manifest:
    """Say that nothing had to be done."""
    if (counts := _counted.get()) is None:
        log.info("%s %s: unchanged, reused %s", done.stage, done.partition, done.key)
    else:
        counts[done.stage] += 1
    return done


@contextlib.contextmanager
def told_together() -> Iterator[None]:
    """Within it results that are reused are counted, and at its end told of in one line, stage by stage."""
    counts: Counter[str] = Counter()
    before = _counted.set(counts)
    try:
        yield
    finally:
        _counted.reset(before)
        if counts:
            told = (name if number == 1 else f"{name} ({number:,})" for name, number in counts.items())
            log.info("unchanged, and reused: %s", ", ".join(told))


@dataclass(frozen=True)
class Known:
    """Results and crops taken over from an earlier commit."""

    results: "pd.DataFrame"
    crops: Mapping[str, bytes] = field(default_factory=dict)
    source: str = ""

    def joined(self, results: "pd.DataFrame") -> "pd.DataFrame":
        import pandas as pd

        return pd.concat([self.results, results], ignore_index=True) if len(self.results) else results


def scored_before(session: Session, work: Work, thumbnails: Mapping[str, bytes]) -> "dict[str, Seen]":
    """What the same weights have seen on photos, by photo key, where the thumbnail is still the same."""
    from carpipe import photos as table
    from carpipe.stages.filter import Seen

    best: dict[str, Seen] = {}
    for done in scored_with(session.store, work):
        if len(best) == len(thumbnails):
            break
        photos = results.read_photos(session.store, done, columns=["key", "p_car"], also=table.VIEWED)
        photos = photos[photos["p_car"].notna()]
        same = _equal_thumbnails(session, manifest.read(session.store, done.inputs[0]), thumbnails)
        columns = ["key", "p_car", *(name for name in table.VIEWED if name in photos)]
        rows = photos[columns].itertuples(index=False, name=None)
        best = max(best, {key: Seen(*seen) for key, *seen in rows if key in same}, key=len)
    return best


def cropped_before(session: Session, work: Work, wanted: "pd.Series[str]", *, cleaned: Manifest) -> Known:
    """Of the earlier commits that qualify, the one that knows most of the wanted photos.

    Args:
        wanted: keys of photos.
        cleaned: what `clean` says of them now. Where another version of it spoke then, the picture must be the same.
    """
    from carpipe import photos as table
    from carpipe.stages import crop as stage

    best = Known(stage.as_results([]))
    for done in cropped_with(session.store, work):
        found = stage.results_from(results.read_photos(session.store, done), wanted)
        if len(found) > len(best.results):
            found = found[_shows_the_same(session, done, cleaned, found["key"])].reset_index(drop=True)
        if len(found) > len(best.results):
            best = Known(found, source=done.key)
    if not best.source:
        return best
    blobs = manifest.read_file(session.store, manifest.read(session.store, best.source), results.CROPS)
    keys = set(best.results["key"])
    return Known(best.results, {key: jpeg for key, jpeg in table.blobs_from_parquet(blobs) if key in keys}, best.source)


def scored_with(store: Store, work: Work) -> Iterator[Manifest]:
    """Earlier commits whose probabilities a filter may take over, photo by photo."""
    return _with_inputs(store, manifest.earlier(store, work, but={"threshold"}))


def cropped_with(store: Store, work: Work) -> Iterator[Manifest]:
    """Earlier commits whose crops may be taken over, photo by photo."""
    # Which photos are decoded is said by `clean`; here these limits have nothing to decide.
    return _with_inputs(store, manifest.earlier(store, work, but={"max_pixels", "max_damage"}))


def _shows_the_same(
    session: Session, cropped: Manifest, cleaned: Manifest, keys: "pd.Series[str]"
) -> "pd.Series[bool]":
    then = manifest.read(session.store, manifest.read(session.store, cropped.inputs[0]).inputs[0])
    if then.version == cleaned.version:
        return keys.notna()
    now = results.read_blobs(session.store, cleaned, results.THUMBNAILS, keys=keys)
    return keys.isin(_equal_thumbnails(session, then, now))


def _equal_thumbnails(session: Session, cleaned: Manifest, thumbnails: Mapping[str, bytes]) -> set[str]:
    """Keys of the photos whose thumbnail was the same in an earlier result of `clean`."""
    try:
        before = results.read_blobs(session.store, cleaned, results.THUMBNAILS)
    except MissingError:  # it has lost them since: nobody knows
        return set()
    return {key for key, jpeg in thumbnails.items() if before.get(key) == jpeg}


def _with_inputs(store: Store, commits: Iterator[Manifest]) -> Iterator[Manifest]:
    """Those of which is still there what they were made of."""
    for done in commits:
        source: Manifest | None = done
        while source and source.stage != "clean":
            source = _find(store, source.inputs[0])
        if source:
            yield done


def _find(store: Store, key: str) -> Manifest | None:
    try:
        return manifest.read(store, key)
    except MissingError:
        return None
