"""Forget: remove a listing and everything made of it, and see to it that it stays away.

Committed files never change, so each partition that holds the listing is replaced by a copy without it, stage
by stage; nothing is decoded or detected again. Results of stages that this version does not know are copied too, if
they are made of tables with a column `key`. What cannot be read or copied right is left as it is, and named; so are
datasets made before. What earlier runs wrote about all partitions together (tables, reports) stays until `carpipe gc`
takes it.
"""

import json
import logging
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from carpipe import forms, manifest
from carpipe.errors import ConflictError, InputError, MissingError, UnavailableError
from carpipe.manifest import Manifest, Work
from carpipe.steps import results
from carpipe.steps.data.inventory import ATTEMPTS, FORGOTTEN, LOG, Inventory, commit_partition, latest_inventory, record
from carpipe.steps.results import STAGES
from carpipe.steps.session import Session

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

# What a copy of a result says as the original did.
COPIED = ("seconds", "bytes_read", "reused", "reused_from", "extra", "unknown")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Forgotten:
    """What was removed: objects under raw/, rows of partitions, files of the car filter's label sets.

    `datasets` are the manifests of datasets that were made before: their tables, reports and shards still hold it.
    `left` are manifests of other results that may hold it: a newer carpipe wrote them, and can forget them.
    """

    listing: str
    at: str
    raw: int
    photos: int
    label_sets: int
    datasets: list[str]
    left: list[str]


def forget(session: Session, listing: str, *, at: str) -> Forgotten:
    """Remove a listing from raw/ and from the results of all stages, so that no later dataset holds it.

    Uploaded again, its photos are dropped as `forgotten`. To be run when no DAG runs: a run under way may fail, or
    still finish a dataset that holds the listing. Interrupted, it can be run again.

    Args:
        listing: its uuid.
        at: now, UTC, ISO 8601, for the record.

    Raises:
        InputError: that is no uuid, or the listing is neither under raw/ nor in a partition.
    """
    listing = listing.strip().lower()
    if not UUID.fullmatch(listing):
        raise InputError(f"{listing!r} is no listing uuid, such as 0b9b1b0e-52f8-4e7c-9a80-0d3b2f9a4c11.")
    raw = [info.key for info in session.store.list_objects("raw") if f"_{listing}_" in info.key.lower()]
    key = f"{FORGOTTEN}/{listing}.json"
    begun = _begun(session, key)
    if not raw and not begun and not _holders(session, latest_inventory(session), listing):
        raise InputError(f"There is no photo of listing {listing} in {session.store.url}.")
    # The record first: an inventory from now on takes nothing of it in. Partitions to remove are written down
    # before they are replaced, so that one that is interrupted can be run again.
    record_of = {"listing": listing, "at": at, "raw": len(raw), "photos": 0, "partitions": [], **begun}
    session.store.put(key, json.dumps(record_of).encode())
    session.store.delete(raw)
    _replace_partitions(session, listing, lambda partitions, photos: _note(session, key, partitions, photos))
    noted = _begun(session, key)
    left = [key for partition in noted["partitions"] for key in _drop_partition(session, partition)]
    label_sets, unread = _drop_label_sets(session, listing)
    done = Forgotten(
        listing,
        at,
        raw=noted["raw"],
        photos=noted["photos"],
        label_sets=label_sets,
        datasets=_datasets_with(session, listing),
        left=[*left, *unread],
    )
    session.store.put(key, json.dumps({**noted, **asdict(done)}, indent=1).encode())
    return done


def _begun(session: Session, key: str) -> dict[str, Any]:
    """The record of the listing, empty before the first attempt."""
    try:
        return forms.read_object(session.store.get(key), key=key, what="a record of what was forgotten")
    except MissingError:
        return {}


def _note(session: Session, key: str, partitions: list[str], photos: int) -> None:
    """Add partitions to the record that are about to be replaced."""
    found = _begun(session, key)
    found["partitions"] = sorted({*found["partitions"], *partitions})
    found["photos"] += photos
    session.store.put(key, json.dumps(found).encode())


def _holders(session: Session, state: Inventory | None, listing: str) -> dict[str, list[str]]:
    """Photo keys of the listing, by the partition that holds them."""
    held = {}
    for part in state.partitions if state else ():
        source = manifest.read(session.store, part["manifest"])
        photos = results.read_photos(session.store, source, columns=["key", "listing_uuid"])
        keys = photos["key"][photos["listing_uuid"] == listing].tolist()
        if keys:
            held[part["partition"]] = keys
    return held


def _replace_partitions(session: Session, listing: str, note: Callable[[list[str], int], None]) -> None:
    """Make the newest inventory one without the listing; `note` is told before which partitions that replaces."""
    for _ in range(ATTEMPTS):
        state = latest_inventory(session)
        held = _holders(session, state, listing)
        if state is None or not held:
            return
        copies = [_copy_without(session, part, held.get(part["partition"], ())) for part in state.partitions]
        photos = sum(len(keys) for keys in held.values())
        number = state.generation + 1
        parts = [part for part in copies if part]
        note(list(held), photos)
        try:
            record(
                session,
                replace(
                    state,
                    key=f"{LOG}/{number:06d}.json",
                    generation=number,
                    partitions=parts,
                    photos=state.photos - photos,
                    new_photos=0,
                ),
            )
        except ConflictError:
            log.warning("an inventory was faster; looking again")
            continue
        return
    raise UnavailableError(f"{ATTEMPTS} inventories were faster; run it again when no DAG runs.")


def _copy_without(session: Session, part: dict[str, Any], keys: Collection[str]) -> dict[str, Any] | None:
    """Commit all results of a partition anew, rid of photos; returns the new inventory entry, None when empty."""
    if not keys:
        return part
    from carpipe.stages.inventory import name_partition

    source = manifest.read(session.store, part["manifest"])
    photos = results.read_photos(session.store, source)
    photos = photos[~photos["key"].isin(keys)].reset_index(drop=True)
    if photos.empty:
        return None
    name = name_partition(int(part["partition"][1:6]), photos)
    entry = commit_partition(session, name, photos, extra=source.extra, unknown=source.unknown)
    copies = {source.key: entry["manifest"]}
    waiting = [done for stage in _stages(session) for done in manifest.commits(session.store, stage, part["partition"])]
    # Again and again, since results of stages that are not known come in no order.
    while ready := [done for done in waiting if copies.keys() & {*done.inputs}]:
        waiting = [done for done in waiting if done not in ready]
        for done in ready:
            if copy := _commit_without(session, done, name, copies, keys):
                copies[done.key] = copy.key
    return {**part, **entry}


def _stages(session: Session) -> list[str]:
    """Every stage that may have results of a partition, those that are known first."""
    there = (folder.rpartition("/")[2] for folder in session.store.list_folders("stages"))
    return [*STAGES, *sorted({*there} - {"inventory", *STAGES})]


def _commit_without(
    session: Session, done: Manifest, partition: str, copies: Mapping[str, str], keys: Collection[str]
) -> Manifest | None:
    """Commit a result for another partition, rid of photos; None where it is more than tables with a column `key`."""
    from carpipe import photos as table

    if not _is_of_tables(session, done):
        log.warning("%s is not copied without the listing: it holds more than tables with a column `key`", done.key)
        return None
    files = {name: table.without(manifest.read_file(session.store, done, name), keys) for name in done.files}
    inputs = tuple(copies.get(source, source) for source in done.inputs)
    work = Work(done.stage, done.version, partition, done.config, inputs, weights=done.weights)
    counts = done.counts
    if results.PHOTOS in files:
        counts = counts | table.count(table.from_parquet(files[results.PHOTOS]), stage=done.stage)
    facts = {
        name: getattr(done, name) for name in ("seconds", "bytes_read", "reused", "reused_from", "extra", "unknown")
    }
    log.info("%s %s: copied without %d photos", done.stage, partition, len(keys))
    return manifest.commit(session.store, work, files, counts=counts, **facts)


def _drop_partition(session: Session, partition: str) -> Iterator[str]:
    """Delete all that was made of a partition, its inventory too; yields manifests of what had to be left."""
    for stage in ("inventory", *_stages(session)):
        for folder in session.store.list_folders(f"stages/{stage}/{partition}"):
            key = f"{folder}/manifest.json"
            if _is_ours(session, key, partition):
                session.store.delete(info.key for info in session.store.list_objects(folder))
            elif stage != "pack":  # shards are a dataset's
                yield key


def _is_ours(session: Session, key: str, partition: str) -> bool:
    """Whether a result of a partition may be deleted: made of it, and understood, so that there is a copy of it."""
    try:
        done = manifest.read(session.store, key)
    except MissingError:  # what a crash has left
        return True
    except InputError:
        return False
    ours = done.stage in ("inventory", *STAGES) or any(one.split("/")[2:3] == [partition] for one in done.inputs)
    return ours and _is_of_tables(session, done)


def _is_of_tables(session: Session, done: Manifest) -> bool:
    from carpipe import photos as table

    return all(table.has_keys(manifest.read_file(session.store, done, name)) for name in done.files)


def _drop_label_sets(session: Session, listing: str) -> tuple[int, list[str]]:
    """Remove the label sets that hold a thumbnail of the listing; they are made anew when asked for.

    Returns how many, and the manifests of those that cannot be read.
    """
    dropped, unread = 0, []
    for folder in session.store.list_folders("stages/label_set/all"):
        try:
            done = manifest.read(session.store, f"{folder}/manifest.json")
        except MissingError:
            continue
        except InputError:
            unread.append(f"{folder}/manifest.json")
            continue
        if (results.read_photos(session.store, done, columns=["listing_uuid"])["listing_uuid"] == listing).any():
            session.store.delete(info.key for info in session.store.list_objects(folder))
            dropped += 1
    return dropped, unread


def _datasets_with(session: Session, listing: str) -> list[str]:
    """Datasets that hold the listing, and those of other versions of carpipe, which may."""
    found = []
    for folder in session.store.list_folders("datasets"):
        try:
            done = manifest.read(session.store, f"{folder}/manifest.json")
        except MissingError:
            continue
        except InputError:
            found.append(f"{folder}/manifest.json")
            continue
        photos: pd.DataFrame = results.read_photos(session.store, done, columns=["listing_uuid"])
        if (photos["listing_uuid"] == listing).any():
            found.append(done.key)
    return found
