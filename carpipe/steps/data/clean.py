"""Clean: decode every photo of a partition; what is broken is dropped, the rest gets a thumbnail."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from carpipe import manifest
from carpipe.manifest import Manifest, Work
from carpipe.spent import Spent
from carpipe.steps import results
from carpipe.steps.data.inventory import read_inventory
from carpipe.steps.data.outage import FACTS, check_unless_accepted, find_unreadable, noting_pages
from carpipe.steps.data.raw import Raw, mark_too_large, objects_of
from carpipe.steps.results import commit_photos
from carpipe.steps.reuse import reused
from carpipe.steps.session import Session

if TYPE_CHECKING:
    from carpipe.stages.clean import Cleaned


def clean_work(session: Session, inventory_part: str, partition: str) -> Work:
    """What `clean` does with a partition."""
    from carpipe.stages import clean as stage

    settings = session.config.clean.decisive("max_unreadable", "accept_unreadable")
    return Work(stage.STAGE, stage.VERSION, partition, settings, (inventory_part,))


def clean(session: Session, inventory_part: str, *, inventory: str) -> Manifest:
    """Decode every photo of the partition; writes the photo table, thumbnails, signatures and repaired files.

    Args:
        inventory_part: manifest key of the partition, as inventory cut it.
        inventory: key of the run's inventory: its other partitions tell whether unreadable photos are an outage.

    Raises:
        UnavailableError: the storage must be in trouble, and `clean.accept_unreadable` is off: photos came otherwise
            than they lie there, or too many are unreadable. Nothing is committed.
    """
    from carpipe import photos as table
    from carpipe.stages import clean as stage

    before = manifest.read(session.store, inventory_part)
    work = clean_work(session, inventory_part, before.partition)
    if done := manifest.find(session.store, work):
        return reused(done)
    started, spent = time.monotonic(), Spent()
    with spent.on("fetching"):
        photos = results.read_photos(session.store, before)
    source = Raw(session, objects_of(session, table.kept(photos), partition=work.partition))
    pages: set[str] = set()
    fetched = spent.waiting("fetching", noting_pages(source, pages))
    bar = session.progress.bar(f"clean {work.partition}", total=len(table.kept(photos)), unit="photos")
    with spent.on("decoding"), bar as seen:
        cleaned = stage.clean(seen.each(fetched), config=session.config.clean)
    after = table.add_results(photos, mark_too_large(cleaned.results, source), stage=stage.STAGE)
    unreadable = find_unreadable(after, pages, over_time=cleaned.over_time)
    check_unless_accepted(
        f"photos of partition {work.partition}", unreadable, config=session.config.clean,
        elsewhere=_done_elsewhere(session, work.partition, inventory=inventory),
    )  # fmt: skip
    return commit_photos(
        session, work, photos, after, files=_files(cleaned), started=started, bytes_read=source.bytes,
        extra={FACTS: unreadable.to_json()}, spent=spent,
    )  # fmt: skip


def _files(cleaned: "Cleaned") -> dict[str, bytes]:
    """Thumbnails, signatures and mended files; each is let go as soon as it is in its file."""
    from carpipe.photos import blobs_to_parquet

    return {
        results.THUMBNAILS: blobs_to_parquet(cleaned.thumbnails, let_go=True),
        results.SIGNATURES: blobs_to_parquet(cleaned.signatures, let_go=True),
        results.REPAIRED: blobs_to_parquet(cleaned.repaired, let_go=True),
    }


def _done_elsewhere(session: Session, partition: str, *, inventory: str) -> Iterator[Manifest]:
    """What this step committed for the other partitions of the run, as far as it got."""
    for part in read_inventory(session, inventory).partitions:
        if part["partition"] == partition:
            continue
        if done := manifest.find(session.store, clean_work(session, part["manifest"], part["partition"]), whole=False):
            yield done
