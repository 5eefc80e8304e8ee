"""Forget: remove a listing and everything made of it, and see to it that it stays away.

Committed files never change, so each partition that holds the listing is replaced by a copy without it, stage
by stage; nothing is decoded or detected again. Datasets made before are left as they are, and named. What earlier
runs wrote about all partitions together (tables, reports) stays until `carpipe gc` takes it.
"""

import json
import logging
import re
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.errors import ConflictError, InputError, MissingError, UnavailableError
from carpipe.manifest import Manifest, Work
from carpipe.steps import results
from carpipe.steps.data.inventory import ATTEMPTS, FORGOTTEN, LOG, Inventory, commit_partition, latest_inventory, record
from carpipe.steps.results import STAGES
from carpipe.steps.session import Session

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Forgotten:
    """What was removed: objects under raw/, rows of partitions, files of the car filter's label sets.

    `datasets` are the manifests of datasets that were made before: their tables, reports and shards still hold it.
    """

    listing: str
    at: str
    raw: int
    photos: int
    label_sets: int
    datasets: list[str]


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
    for partition in noted["partitions"]:
        for stage in ("inventory", *STAGES):
            session.store.delete(info.key for info in session.store.list_objects(f"stages/{stage}/{partition}"))
    done = Forgotten(
        listing,
        at,
        raw=noted["raw"],
        photos=noted["photos"],
        label_sets=_drop_label_sets(session, listing),
        datasets=_datasets_with(session, listing),
    )
    session.store.put(key, json.dumps({**noted, **asdict(done)}, indent=1).encode())
    return done


def _begun(session: Session, key: str) -> dict[str, Any]:
    """The record of the listing, empty before the first attempt."""
    try:
        found: dict[str, Any] = json.loads(session.store.get(key))
    except MissingError:
        return {}
    return found


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
            record(session, Inventory(f"{LOG}/{number:06d}.json", number, parts, state.photos - photos, 0, state.gone))
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
    entry = commit_partition(session, name_partition(int(part["partition"][1:6]), photos), photos)
    copies = {source.key: entry["manifest"]}
    for stage in STAGES:
        for done in manifest.commits(session.store, stage, part["partition"]):
            if done.inputs[0] in copies:
                copies[done.key] = _commit_without(session, done, entry["partition"], copies[done.inputs[0]], keys).key
    return entry


def _commit_without(session: Session, done: Manifest, partition: str, source: str, keys: Collection[str]) -> Manifest:
    from carpipe import photos as table

    files = {name: table.without(manifest.read_file(session.store, done, name), keys) for name in done.files}
    work = Work(done.stage, done.version, partition, done.config, (source,), weights=done.weights)
    counts = table.count(table.from_parquet(files[results.PHOTOS]), stage=done.stage)
    facts = {"seconds": done.seconds, "bytes_read": done.bytes_read, "reused": done.reused}
    log.info("%s %s: copied without %d photos", done.stage, partition, len(keys))
    return manifest.commit(session.store, work, files, counts=counts, **facts, reused_from=done.reused_from)


def _drop_label_sets(session: Session, listing: str) -> int:
    """Remove the label sets that hold a thumbnail of the listing; they are made anew when asked for."""
    dropped = 0
    for done in manifest.commits(session.store, "label_set", "all"):
        if (results.read_photos(session.store, done, columns=["listing_uuid"])["listing_uuid"] == listing).any():
            folder = done.key.rpartition("/")[0]
            session.store.delete(info.key for info in session.store.list_objects(folder))
            dropped += 1
    return dropped


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
