"""Clean: decode every photo of a partition; what is broken is dropped, the rest gets a thumbnail."""

import time
from collections.abc import Iterator
from typing import Any

from carpipe import manifest
from carpipe.manifest import Manifest, Work
from carpipe.steps import results
from carpipe.steps.data.inventory import read_inventory
from carpipe.steps.data.outage import check_readable
from carpipe.steps.data.raw import Raw
from carpipe.steps.results import commit_photos
from carpipe.steps.reuse import reused
from carpipe.steps.session import Session


def clean_work(session: Session, inventory_part: str, partition: str) -> Work:
    """What `clean` does with a partition."""
    from carpipe.stages import clean as stage

    settings = session.config.clean.decisive("max_unreadable")
    return Work(stage.STAGE, stage.VERSION, partition, settings, (inventory_part,))


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
    photos = results.read_photos(session.store, before)
    source = Raw(session, table.kept(photos)["key"])
    cleaned = stage.clean(source, config=session.config.clean)
    after = table.add_results(photos, cleaned.results, stage=stage.STAGE)
    check_readable(
        work.partition,
        table.count(after, stage=stage.STAGE),
        limit=session.config.clean.max_unreadable,
        elsewhere=_counts_elsewhere(session, work.partition, inventory=inventory),
    )
    files = {
        results.THUMBNAILS: table.blobs_to_parquet(cleaned.thumbnails),
        results.SIGNATURES: table.blobs_to_parquet(cleaned.signatures),
        results.REPAIRED: table.blobs_to_parquet(cleaned.repaired),
    }
    return commit_photos(session, work, photos, after, files=files, started=started, bytes_read=source.bytes)


def _counts_elsewhere(session: Session, partition: str, *, inventory: str) -> Iterator[dict[str, Any]]:
    """What this step did with the other partitions of the run, as far as it got."""
    for part in read_inventory(session, inventory).partitions:
        if part["partition"] == partition:
            continue
        if done := manifest.find(session.store, clean_work(session, part["manifest"], part["partition"])):
            yield done.counts
