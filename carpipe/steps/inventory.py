"""Steps at the start of a run: what is new in `raw/`, and what the run will do with it.

`stages/inventory/log/<generation>.json` is the inventory's history, one entry per change, created with
put-if-absent. An entry names every partition there is, so that a run works on one fixed state.
"""

import json
import logging
import time
from dataclasses import asdict, dataclass
from typing import Any

from carpipe import manifest
from carpipe.errors import ConflictError, InputError, UnavailableError
from carpipe.manifest import Work
from carpipe.steps import artefacts
from carpipe.steps.session import Session
from carpipe.weights.channel import read_channel

log = logging.getLogger(__name__)

LOG = "stages/inventory/log"
# Another inventory that wins the race has made this one's work worthless, not wrong: look again.
ATTEMPTS = 5


@dataclass(frozen=True)
class Inventory:
    """One state of `raw/`. `partitions` lists `partition`, `manifest` and `photos` of each, oldest first."""

    key: str
    generation: int
    partitions: list[dict[str, Any]]
    photos: int
    new_photos: int


def inventory(session: Session) -> Inventory:
    """List `raw/`, cut what is new into partitions, and record the new state; unchanged: the last one.

    Raises:
        InputError: there are no photos, or no name follows the layout.
    """
    for _ in range(ATTEMPTS):
        try:
            return _take_stock(session)
        except ConflictError:
            log.warning("another inventory was faster; looking again")
    raise UnavailableError(f"{ATTEMPTS} other inventories were faster than this one; try again later.")


def read_inventory(session: Session, key: str) -> Inventory:
    """An inventory by its key."""
    return Inventory(key=key, **json.loads(session.store.get(key)))


def latest_inventory(session: Session) -> Inventory | None:
    """The newest state, or None before the first."""
    keys = [info.key for info in session.store.list_objects(LOG)]
    return read_inventory(session, max(keys)) if keys else None


@dataclass(frozen=True)
class Plan:
    """What a run works on, fixed before it starts. `car_filter` is the manifest key of the weights."""

    inventory: str
    car_filter: str
    partitions: list[dict[str, Any]]


def plan(session: Session, inventory_key: str) -> Plan:
    """Fix weights and partitions of a run, and find out now what would fail it hours later.

    Raises:
        InputError: the car filter was never published, or the detector's weights are missing.
        ConfigError: the taxonomy has a fault.
    """
    from carpipe.stages.taxonomy import load

    state = read_inventory(session, inventory_key)
    name = session.config.filter.channel
    release = read_channel(session.store, name)
    if release is None:
        raise InputError(f"The channel {name} has no weights yet; run `train_filter` first.")
    with artefacts.local_weights(session.store, session.config.crop.weights):
        pass
    load(session.config.classes.taxonomy)
    return Plan(state.key, release.model, state.partitions)


def _take_stock(session: Session) -> Inventory:
    from carpipe import photos as table
    from carpipe.stages import inventory as stage

    started = time.monotonic()
    last = latest_inventory(session)
    known = last.partitions if last else []
    found = stage.list_photos(_raw_objects(session))
    _check_names(session, found)
    seen = [
        artefacts.read_photos(session.store, manifest.read(session.store, part["manifest"]), columns=["key", "etag"])
        for part in known
    ]
    new = stage.subtract(found, seen)
    if last and new.empty:
        log.info("inventory: nothing new among %d photos", len(found))
        return last
    parts = list(known)
    for partition, photos in stage.cut(
        new, first=len(known), partition_photos=session.config.inventory.partition_photos
    ):
        work = Work("inventory", stage.VERSION, partition, {}, ())
        counts = table.count(photos, stage="inventory")
        done = manifest.find(session.store, work) or manifest.commit(
            session.store, work, {artefacts.PHOTOS: table.to_parquet(photos)}, counts=counts
        )
        parts.append({"partition": partition, "manifest": done.key, "photos": len(photos)})
    log.info("inventory: %d photos, %d new, %.1f s", len(found), len(new), time.monotonic() - started)
    generation = last.generation + 1 if last else 1
    state = Inventory(f"{LOG}/{generation:06d}.json", generation, parts, len(found), len(new))
    body = {name: value for name, value in asdict(state).items() if name != "key"}
    session.store.create(state.key, json.dumps(body, indent=1).encode())
    return state


def _raw_objects(session: Session) -> Any:
    from dataclasses import replace

    for info in session.store.list_objects("raw"):
        yield replace(info, key=info.key.removeprefix("raw/"))


def _check_names(session: Session, found: Any) -> None:
    from carpipe.stages.inventory import LAYOUT

    if found.empty:
        raise InputError(f"There are no photos under raw/ in {session.store.url}; upload them as raw/{LAYOUT}.")
    if found["dropped"].notna().all():
        raise InputError(
            f"None of the {len(found)} names under raw/ in {session.store.url} is understood, {found['key'][0]!r} "
            f"for one; expected raw/{LAYOUT}."
        )
