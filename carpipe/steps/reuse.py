"""Taking over what earlier runs have done: whole results, and results photo by photo."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from carpipe import manifest
from carpipe.manifest import Manifest, Work
from carpipe.steps import results
from carpipe.steps.session import Session

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


def reused(done: Manifest) -> Manifest:
    """Say that nothing had to be done."""
    log.info("%s %s: unchanged, reused %s", done.stage, done.partition, done.key)
    return done


@dataclass(frozen=True)
class Known:
    """Results and crops taken over from an earlier commit."""

    results: "pd.DataFrame"
    crops: Mapping[str, bytes] = field(default_factory=dict)
    source: str = ""

    def joined(self, results: "pd.DataFrame") -> "pd.DataFrame":
        import pandas as pd

        return pd.concat([self.results, results], ignore_index=True) if len(self.results) else results


def cropped_before(session: Session, work: Work, wanted: "pd.Series[str]") -> Known:
    """Of the earlier commits that qualify, the one that knows most of the wanted photos."""
    from carpipe import photos as table
    from carpipe.stages import crop as stage

    best = Known(stage.as_results([]))
    for done in manifest.earlier(session.store, work):
        found = stage.results_from(results.read_photos(session.store, done), wanted)
        if len(found) > len(best.results):
            best = Known(found, source=done.key)
    if not best.source:
        return best
    blobs = manifest.read_file(session.store, manifest.read(session.store, best.source), results.CROPS)
    keys = set(best.results["key"])
    return Known(best.results, {key: jpeg for key, jpeg in table.blobs_from_parquet(blobs) if key in keys}, best.source)
