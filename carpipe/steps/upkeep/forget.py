"""Forget: remove a listing and everything made of it, and see to it that it stays away.

Committed files never change, so each partition that holds the listing is replaced by a copy without it (`copies`);
nothing is decoded or detected again. What cannot be copied right is left as it is, and named; so are datasets made
before. What earlier runs wrote about all partitions together (tables, reports) stays until `carpipe gc` takes it.

The record of a forgotten listing says what is to be deleted before anything is. So one that is interrupted can be
run again, and ends as if it had not been.
"""

import json
import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from carpipe import forms, manifest
from carpipe.errors import AccessError, ConflictError, InputError, MissingError, StoreError, UnavailableError
from carpipe.manifest import Manifest
from carpipe.names import UUID, is_odd
from carpipe.steps import results
from carpipe.steps.bundles import HOME as BUNDLES
from carpipe.steps.data.inventory import ATTEMPTS, FORGOTTEN, LOG, Inventory, latest_inventory, record
from carpipe.steps.data.same_etags import forget_same
from carpipe.steps.session import Session
from carpipe.steps.upkeep.copies import OURS, SHARDS, Copy, copy_without, folders_of
from carpipe.steps.upkeep.garbage import KNOWN

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

RECORD = re.compile(rf"{FORGOTTEN}/{UUID.pattern}\.json")
PARTITION = re.compile(r"p\d{5}-[0-9a-f]+")
# Stages whose results name listings in a file, and can be made anew.
NAMING = (
    (results.COMPARISON, results.COMPARED),
    (results.SUSPECTS, results.SUSPECTED),
    (results.NEW_MODELS, results.PROPOSED),
    (results.NEWEST, results.NEWEST_PHOTOS),
)


@dataclass(frozen=True)
class Forgotten:
    """What was removed: objects under raw/, rows of partitions, label sets and view sets of the car filter.

    `datasets` are the manifests of datasets that were made before: their tables, reports and shards still hold it.
    `left` are folders of other results that may hold it, because this version could not rewrite them.
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
    still finish a dataset that holds the listing.

    Args:
        listing: its uuid.
        at: now, UTC, ISO 8601, for the record.

    Raises:
        StoreError: objects have names that no request can be made for; names each, and all else is done.
        InputError: that is no uuid, the listing is neither under raw/ nor in a partition, or the forgetting of
            another listing was interrupted and has to end first.
    """
    listing = listing.strip().lower()
    if not UUID.fullmatch(listing):
        raise InputError(f"{listing!r} is no listing uuid, such as 0b9b1b0e-52f8-4e7c-9a80-0d3b2f9a4c11.")
    _check_nothing_is_unfinished(session, listing)
    raw = [info.key for info in session.store.list_objects("raw") if f"_{listing}_" in info.key.lower()]
    begun = _read_record(session, listing)
    if not raw and not begun and not _holders(session, latest_inventory(session), listing):
        raise InputError(f"There is no photo of listing {listing} in {session.store.url}.")
    # The record first: an inventory from now on takes nothing of it in.
    _write_record(session, {"listing": listing, "at": at, "raw": len(raw), "photos": 0, "partitions": [], **begun})
    session.store.delete(key for key in raw if not is_odd(key))
    _replace_partitions(session, listing)
    done = _finish(session, listing, at)
    # Last, since a server may refuse them: all else is then done.
    _delete_odd(session, filter(is_odd, raw))
    return done


def _delete_odd(session: Session, keys: Iterable[str]) -> None:
    """Delete those that can be, then name the others."""
    left = []
    for key in keys:
        try:
            session.store.delete([key])
        except (AccessError, UnavailableError):
            raise  # the next key would fare no better
        except StoreError as error:
            left.append(str(error))
    if left:
        raise StoreError("All is forgotten but what could not be deleted:\n- " + "\n- ".join(left))


def _finish(session: Session, listing: str, at: str) -> Forgotten:
    """Delete what the record says, and say what is left."""
    noted = _read_record(session, listing)
    for folder in noted.get("folders") or _folders_of_0_1_0(session, noted["partitions"]):
        # The manifest first: what has none is there for nobody.
        session.store.delete([f"{folder}/manifest.json"])
        session.store.delete(info.key for info in session.store.list_objects(folder))
    forget_same(session, listing)
    session.store.delete([info.key for info in session.store.list_usable(BUNDLES)])
    label_sets, unread = _drop_label_sets(session, listing)
    for stage, file in NAMING:
        unread += _drop_naming(session, listing, stage=stage, file=file)
    left = [
        folder
        for partition in noted["partitions"]
        for stage, folder in folders_of(session, partition)
        if stage != SHARDS and _has_objects(session, folder)
    ]
    done = Forgotten(
        listing,
        at,
        raw=noted["raw"],
        photos=noted["photos"],
        label_sets=label_sets,
        datasets=_datasets_with(session, listing),
        left=sorted({*left, *unread, *_unknown_folders(session)}),
    )
    _write_record(session, {**noted, **asdict(done)})
    return done


def _key_of(listing: str) -> str:
    return f"{FORGOTTEN}/{listing}.json"


def _read_record(session: Session, listing: str) -> dict[str, Any]:
    """The record of the listing, empty before the first attempt."""
    key = _key_of(listing)
    try:
        return forms.read_object(session.store.get(key), key=key, what="a record of what was forgotten")
    except MissingError:
        return {}


def _write_record(session: Session, body: dict[str, Any]) -> None:
    session.store.put(_key_of(body["listing"]), json.dumps(body, indent=1).encode())


def _check_nothing_is_unfinished(session: Session, listing: str) -> None:
    """Two that are interrupted could each bring back what the other has removed."""
    keys = [info.key for info in session.store.list_objects(FORGOTTEN) if RECORD.fullmatch(info.key)]
    for key, data in session.store.get_many(key for key in keys if key != _key_of(listing)):
        body = forms.read_object(data or b"", key=key, what="a record of what was forgotten")
        if "datasets" not in body:
            other = key.rpartition("/")[2].removesuffix(".json")
            raise InputError(
                f"Forgetting listing {other} was interrupted. Run `carpipe forget --listing {other}` again first."
            )


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


def _replace_partitions(session: Session, listing: str) -> None:
    """Make the newest inventory one without the listing."""
    for _ in range(ATTEMPTS):
        state = latest_inventory(session)
        held = _holders(session, state, listing)
        if state is None or not held:
            return
        copies = {
            part["partition"]: copy_without(session, part, held[part["partition"]], listing=listing)
            for part in state.partitions
            if part["partition"] in held
        }
        photos = sum(len(keys) for keys in held.values())
        _note(session, listing, copies, photos)
        entries = [copies[part["partition"]].entry if part["partition"] in held else part for part in state.partitions]
        try:
            record(session, _without(state, [entry for entry in entries if entry], photos))
        except ConflictError:
            log.warning("an inventory was faster; looking again")
            continue
        return
    raise UnavailableError(f"{ATTEMPTS} inventories were faster; run it again when no DAG runs.")


def _without(state: Inventory, partitions: list[dict[str, Any]], photos: int) -> Inventory:
    """The next state, with so many photos fewer."""
    number = state.generation + 1
    return replace(
        state,
        key=f"{LOG}/{number:06d}.json",
        generation=number,
        partitions=partitions,
        photos=state.photos - photos,
        new_photos=0,
    )


def _note(session: Session, listing: str, copies: dict[str, Copy], photos: int) -> None:
    """Add to the record which partitions are about to be replaced, and which folders to be deleted."""
    found = _read_record(session, listing)
    if not {*copies} <= {*found["partitions"]}:
        found["photos"] += photos
    found["partitions"] = sorted({*found["partitions"], *copies})
    folders = {folder for copy in copies.values() for folder in copy.folders}
    found["folders"] = sorted({*found.get("folders", ()), *folders})
    _write_record(session, found)


def _folders_of_0_1_0(session: Session, partitions: list[str]) -> list[str]:
    """What carpipe 0.1.0 deleted, whose records name partitions alone."""
    found = ((stage, folder) for partition in partitions for stage, folder in folders_of(session, partition))
    return [folder for stage, folder in found if stage in OURS]


def _unknown_folders(session: Session) -> Iterator[str]:
    """Results of stages that are not known, over all partitions."""
    for stage in session.store.list_folders("stages"):
        if stage.rpartition("/")[2] not in KNOWN:
            for folder in session.store.list_folders(stage):
                if not PARTITION.fullmatch(folder.rpartition("/")[2]) and _has_objects(session, folder):
                    yield folder


def _has_objects(session: Session, folder: str) -> bool:
    """Some servers go on listing a folder when everything in it is deleted."""
    return next(session.store.list_objects(folder), None) is not None


def _committed_in(session: Session, home: str) -> Iterator[tuple[str, Manifest | None]]:
    """(folder, manifest) of each result right in a folder; None for one that cannot be read."""
    for folder in session.store.list_folders(home):
        try:
            yield folder, manifest.read(session.store, f"{folder}/manifest.json")
        except MissingError:
            continue
        except InputError:
            yield folder, None


def _holds(session: Session, done: Manifest, listing: str) -> bool:
    photos: pd.DataFrame = results.read_photos(session.store, done, columns=["listing_uuid"])
    return bool((photos["listing_uuid"] == listing).any())


def _drop_label_sets(session: Session, listing: str) -> tuple[int, list[str]]:
    """Remove the label sets and view sets that hold a thumbnail of the listing; they are made anew when asked for.

    Returns how many, and the folders of those that cannot be read.
    """
    dropped, unread = 0, []
    sets = ("label_set", results.VIEW_SET)
    for folder, done in chain.from_iterable(_committed_in(session, f"stages/{stage}/all") for stage in sets):
        if done is None:
            unread.append(folder)
        elif _holds(session, done, listing):
            session.store.delete(info.key for info in session.store.list_objects(folder))
            dropped += 1
    return dropped, unread


def _drop_naming(session: Session, listing: str, *, stage: str, file: str) -> list[str]:
    """Remove the results of a stage whose file names the listing, such as lists of suspects.

    They are made anew when asked for. Returns the folders of those that cannot be read.
    """
    unread = []
    for home in session.store.list_folders(f"stages/{stage}"):
        for folder, done in _committed_in(session, home):
            if done is None:
                unread.append(folder)
            elif _names(session, done, listing, file=file):
                session.store.delete([f"{folder}/manifest.json"])
                session.store.delete(info.key for info in session.store.list_objects(folder))
    return unread


def _names(session: Session, done: Manifest, listing: str, *, file: str) -> bool:
    """Whether a file of a result names the listing, or has been lost."""
    try:
        return listing.encode() in manifest.read_file(session.store, done, file).lower()
    except (InputError, MissingError):
        return True


def _datasets_with(session: Session, listing: str) -> list[str]:
    """Datasets that hold the listing, and those of later versions of carpipe, which may."""
    return [
        f"{folder}/manifest.json"
        for folder, done in _committed_in(session, "datasets")
        if done is None or _holds(session, done, listing)
    ]
