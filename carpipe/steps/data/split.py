"""Split: put every vehicle into train, val or test."""

import logging
import time

from carpipe import manifest
from carpipe.manifest import Manifest, Work
from carpipe.steps import results
from carpipe.steps.data.datasets import newest_datasets
from carpipe.steps.data.ledger import append_ledger, read_ledger
from carpipe.steps.results import commit_photos
from carpipe.steps.reuse import reused
from carpipe.steps.session import Session

log = logging.getLogger(__name__)


def split_work(session: Session, classed: str) -> Work:
    """What `split` does. The ledger of sides is no input: who splits first decides, and all later splits agree."""
    from carpipe.stages import split as stage

    return Work(stage.STAGE, stage.VERSION, "all", session.config.split.decisive(), (classed,))


def split(session: Session, classed: str) -> Manifest:
    """Put every vehicle into train, val or test, where it stays for ever; writes the three tables."""
    from carpipe.spreadsheet import to_csv
    from carpipe.stages import split as stage

    work = split_work(session, classed)
    if done := manifest.find(session.store, work):
        return reused(done)
    started = time.monotonic()
    source = manifest.read(session.store, classed)
    before = results.read_photos(session.store, source)
    newest = next(newest_datasets(session), None)
    generation, sides = read_ledger(session, at_least=newest.extra["ledger"] if newest else 0)
    after, entries = stage.split(before, config=session.config.split, ledger=sides)
    if len(entries):
        generation = append_ledger(session, generation, entries)
    files = {f"table_for_{name}.csv": to_csv(table).encode() for name, table in stage.tables(after).items()}
    files[results.TAXONOMY] = manifest.read_file(session.store, source, results.TAXONOMY)
    log.info("split: %d listings had a side, %d got one", len(sides), len(entries))
    return commit_photos(session, work, before, after, files=files, started=started, extra={"ledger": generation})
