"""What lies in `raw/`: what is new, what has changed, what has left.

`stages/inventory/log/<generation>.json` is the inventory's history, one entry per change, created with
put-if-absent. An entry names every partition there is, so that a run works on one fixed state.
"""

import hashlib
import logging
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from carpipe import forms, manifest
from carpipe.errors import ConflictError, InputError, UnavailableError
from carpipe.manifest import Work
from carpipe.metrics import Metric, counted
from carpipe.names import is_odd
from carpipe.steps import results
from carpipe.steps.data.same_content import as_known
from carpipe.steps.session import Session
from carpipe.storage import ObjectInfo

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

LOG = "stages/inventory/log"
STATE = re.compile(rf"{LOG}/[0-9]+\.json")
GONE = "stages/inventory/gone"
FORGOTTEN = "stages/inventory/forgotten"
PICTURES = (".jpg", ".jpeg", ".png", ".webp")
# What stands in a listing for what XML does not have, or is no UTF-8.
REPLACED = "\ufffd"
# Another inventory that wins the race has made this one's work worthless, not wrong: look again.
ATTEMPTS = 5


@dataclass(frozen=True)
class Inventory:
    """One state of `raw/`.

    `partitions` lists `partition`, `manifest` and `photos` of each, oldest first. `gone` is the file (`key`,
    `sha256`, `photos`) that lists the photos in partitions that are no longer under raw/, deleted or
    overwritten; null where there are none. `unknown` holds what a later version of carpipe has added.
    """

    key: str
    generation: int
    partitions: list[dict[str, Any]]
    photos: int
    new_photos: int
    gone: dict[str, Any] | None = None
    unknown: dict[str, Any] = field(default_factory=dict)


def inventory(session: Session) -> Inventory:
    """List `raw/`, cut what is new into partitions, and record the new state; unchanged: the last one.

    A run begins here, so here the bucket proves anew that it honours conditional writes.

    Raises:
        AccessError: it does not, or may not be written.
        InputError: there are no photos, or no name follows the layout.
    """
    session.store.prove()
    for _ in range(ATTEMPTS):
        try:
            return _take_stock(session)
        except ConflictError:
            log.warning("another inventory was faster; looking again")
    raise UnavailableError(f"{ATTEMPTS} other inventories were faster than this one; try again later.")


def read_inventory(session: Session, key: str) -> Inventory:
    """An inventory by its key. Raises InputError where it is none, or one of a later form."""
    return forms.read(Inventory, session.store.get(key), key=key, what="an inventory", given={"key": key})


def latest_inventory(session: Session) -> Inventory | None:
    """The newest state, or None before the first."""
    # Other files may lie there one day.
    keys = [info.key for info in session.store.list_objects(LOG) if STATE.fullmatch(info.key)]
    return read_inventory(session, max(keys)) if keys else None


def record(session: Session, state: Inventory) -> Inventory:
    """Make a state the newest. Raises ConflictError where another is that already."""
    session.store.create(state.key, forms.write(state, without=("key",)))
    return state


def commit_partition(session: Session, partition: str, photos: "pd.DataFrame") -> dict[str, Any]:
    """Commit a partition's photo table; returns its entry of the inventory."""
    from carpipe import photos as table
    from carpipe.stages import inventory as stage

    work = Work("inventory", stage.VERSION, partition, {}, ())
    counts = table.count(photos, stage="inventory")
    done = manifest.find(session.store, work) or manifest.commit(
        session.store, work, {results.PHOTOS: table.to_parquet(photos)}, counts=counts
    )
    return {"partition": partition, "manifest": done.key, "photos": len(photos)}


def forgotten_listings(session: Session) -> list[str]:
    """Listing uuids that must never come back."""
    names = (info.key.rpartition("/")[2] for info in session.store.list_usable(FORGOTTEN))
    return sorted(name.removesuffix(".json") for name in names if name.endswith(".json"))


def _take_stock(session: Session) -> Inventory:
    from carpipe import photos as table
    from carpipe.stages import inventory as stage

    started = time.monotonic()
    last = latest_inventory(session)
    parts = list(last.partitions) if last else []
    known = _known_photos(session, parts)
    unaskable: set[str] = set()
    objects = _noting_unaskable(session, _raw_objects(session), known, unaskable)
    found = stage.list_photos(objects, forgotten=forgotten_listings(session), unaskable=unaskable)
    _check_names(session, found)
    found = as_known(session, found, known)
    new, gone = stage.compare(found, known)
    gone_file = _write_gone(session, gone)
    if last and new.empty and gone_file == last.gone:
        log.info("inventory: nothing new among %d photos", len(found))
        return last
    first = max((int(part["partition"][1:6]) for part in parts), default=-1) + 1
    size = session.config.inventory.partition_photos
    parts += [commit_partition(session, *cut) for cut in stage.cut(new, first=first, partition_photos=size)]
    log.info(
        "inventory: %d photos, %d new, %d of earlier ones gone, %.1f s",
        len(found), len(new), len(gone), time.monotonic() - started,
    )  # fmt: skip
    generation = last.generation + 1 if last else 1
    key = f"{LOG}/{generation:06d}.json"
    unknown = last.unknown if last else {}
    state = record(session, Inventory(key, generation, parts, len(found), len(new), gone_file, unknown))
    session.send([Metric("raw_photos", (), len(found)), *counted("inventory", table.count(new, stage="inventory"))])
    return state


def _known_photos(session: Session, parts: list[dict[str, Any]]) -> "pd.DataFrame":
    import pandas as pd

    from carpipe.photos import from_parquet

    done = manifest.read_many(session.store, (part["manifest"] for part in parts))
    files = manifest.read_files(session.store, done, results.PHOTOS)
    tables = [
        from_parquet(data, columns=["key", "etag", "size"]).assign(partition=part["partition"])
        for part, data in zip(parts, files, strict=True)
    ]
    none = pd.DataFrame({"key": [], "etag": [], "size": [], "partition": []}, dtype="str").astype({"size": "int64"})
    return pd.concat(tables, ignore_index=True) if tables else none


def _write_gone(session: Session, gone: "pd.DataFrame") -> dict[str, Any] | None:
    from carpipe.photos import to_parquet

    if gone.empty:
        return None
    data = to_parquet(gone)
    sha256 = hashlib.sha256(data).hexdigest()
    key = f"{GONE}/{sha256[:20]}.parquet"
    session.store.put(key, data)
    return {"key": key, "sha256": sha256, "photos": len(gone)}


def _raw_objects(session: Session) -> Iterator[ObjectInfo]:
    for info in session.store.list_objects("raw"):
        key = info.key.removeprefix("raw/")
        # Markers of uploaders, such as `_complete/2026-01-01`. A picture there is a photo with a bad name all the same.
        if key.startswith("_") and not key.lower().endswith(PICTURES):
            continue
        # Consoles and other tools leave empty objects named like a folder.
        if info.size or ("/" in key and not key.endswith("/")):
            yield replace(info, key=key)


def _noting_unaskable(
    session: Session, objects: Iterable[ObjectInfo], known: "pd.DataFrame", unaskable: set[str]
) -> Iterator[ObjectInfo]:
    """Note the keys in which the server has replaced what a listing cannot hold: nobody can ask for them as they read.

    Some names really hold that character. Those that earlier partitions hold were asked about when they were new.
    """
    before = set(known["key"][known["key"].str.contains(REPLACED, regex=False)])
    for info in objects:
        key = f"raw/{info.key}"
        if REPLACED in info.key and info.key not in before and (is_odd(key) or session.store.head(key) is None):
            unaskable.add(info.key)
        yield info


def _check_names(session: Session, found: Any) -> None:
    from carpipe.stages.inventory import LAYOUT

    if found.empty:
        raise InputError(f"There are no photos under raw/ in {session.store.url}; upload them as raw/{LAYOUT}.")
    if (found["dropped"] == "name_not_understood").all():
        raise InputError(
            f"None of the {len(found)} names under raw/ in {session.store.url} is understood, {found['key'][0]!r} "
            f"for one; expected raw/{LAYOUT}."
        )
