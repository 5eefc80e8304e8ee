"""Garbage: results of stages that nothing refers to any more.

Mark and sweep. Roots are what people and apps use: every dataset, every published model with its channel's
history, the newest inventory with the results that the next run takes over. What a root's manifest names as input
or file is in use too. The rest under `stages/` and `runs/` is garbage once it is old enough that no running job can be
about to use it; run it when no DAG runs, all the same. Never touched: raw/, labels/, datasets/, models/, channels/,
and the logs of inventory and split.
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from carpipe import manifest
from carpipe.errors import MissingError
from carpipe.manifest import Manifest
from carpipe.steps import results
from carpipe.steps.data.inventory import FORGOTTEN, LOG, Inventory, latest_inventory
from carpipe.steps.data.ledger import LEDGER
from carpipe.steps.results import STAGES
from carpipe.steps.session import Session
from carpipe.storage import ObjectInfo

log = logging.getLogger(__name__)

KEPT = (f"{LOG}/", f"{FORGOTTEN}/", f"{LEDGER}/")


@dataclass(frozen=True)
class Garbage:
    """What nothing refers to: the objects, and how many others were looked at and are in use or too young."""

    objects: list[ObjectInfo]
    in_use: int
    young: int

    @property
    def bytes(self) -> int:
        return sum(info.size for info in self.objects)


def find_garbage(session: Session, *, older_than: timedelta, now: datetime) -> Garbage:
    """List what `collect` would delete.

    Args:
        older_than: younger objects are left alone: a running job may be about to refer to them.
        now: with time zone.
    """
    used = set(_used_keys(session))
    garbage, in_use, young = [], 0, 0
    for info in _candidates(session):
        if info.key in used:
            in_use += 1
        elif info.modified is None or now - info.modified < older_than:
            young += 1
        else:
            garbage.append(info)
    return Garbage(garbage, in_use, young)


def collect(session: Session, garbage: Garbage) -> int:
    """Delete it, manifests first, since what has no manifest is not there for any reader; returns how many objects.

    What was written again since it was listed is left alone.
    """
    order = sorted(garbage.objects, key=lambda info: (not info.key.endswith("/manifest.json"), info.key))
    deleted = 0
    for info in order:
        now = session.store.head(info.key)
        if now and now.modified == info.modified:
            session.store.delete([info.key])
            deleted += 1
    log.info("gc: %d objects deleted", deleted)
    return deleted


def render_garbage(garbage: Garbage, *, every: bool) -> str:
    """Objects and megabytes by stage, after the list of every object where asked for."""
    stages: dict[str, list[int]] = {}
    for info in garbage.objects:
        entry = stages.setdefault("/".join(info.key.split("/")[:2]), [0, 0])
        entry[0] += 1
        entry[1] += info.size
    lines = [f"{info.size:>12,}  {info.modified:%Y-%m-%d}  {info.key}" for info in garbage.objects if every]
    lines += [f"{name}: {number:,} objects, {size / 1e6:,.1f} MB" for name, (number, size) in sorted(stages.items())]
    total = f"{len(garbage.objects):,} objects, {garbage.bytes / 1e6:,.1f} MB are garbage"
    return "\n".join([*lines, f"{total}; {garbage.in_use:,} are in use, {garbage.young:,} are too young to tell"])


def _candidates(session: Session) -> Iterator[ObjectInfo]:
    for prefix in ("stages", "runs"):
        for info in session.store.list_objects(prefix):
            if not info.key.startswith(KEPT):
                yield info


def _used_keys(session: Session) -> Iterator[str]:
    """Keys of all manifests and files that a root reaches.

    Raises:
        InputError: a manifest cannot be read; what it refers to is unknown, so nothing may be deleted.
    """
    state = latest_inventory(session)
    seen: set[str] = {state.gone["key"]} if state and state.gone else set()
    waiting = [*_roots(session, state)]
    while waiting:
        key = waiting.pop()
        if key in seen:
            continue
        seen.add(key)
        if not key.endswith("/manifest.json"):
            continue  # an input that users wrote, such as labels
        try:
            done = manifest.read(session.store, key)
        except MissingError:
            continue  # an input that was forgotten with its listing
        seen.update(_files_of(done))
        # Label sets of earlier versions name label files as input: no manifests, and never deleted.
        waiting += [key for key in (*done.inputs, *_named_in(done)) if not key.startswith("labels/")]
    yield from seen


def _files_of(done: Manifest) -> Iterator[str]:
    yield from (entry["key"] for entry in done.files.values())
    yield from (shard["key"] for shard in done.extra.get("shards", ()))
    yield from done.extra.get("docs", {}).values()


def _named_in(done: Manifest) -> Iterator[str]:
    yield from done.extra.get("packed", ())
    if "dataset" in done.extra:
        yield done.extra["dataset"]


def _roots(session: Session, state: Inventory | None) -> Iterator[str]:
    for prefix in ("datasets", "models"):
        for info in session.store.list_objects(prefix):
            if info.key.endswith("/manifest.json"):
                yield info.key
    for info in session.store.list_objects("channels"):
        yield json.loads(session.store.get(info.key))["model"]
    for part in state.partitions if state else ():
        yield part["manifest"]
        yield from _newest_results(session, part)


def _newest_results(session: Session, part: dict[str, Any]) -> Iterator[str]:
    """Of each stage the partition's newest manifest: the next run starts from it."""
    found = (results.newest_result(session.store, stage, part["partition"]) for stage in STAGES)
    yield from (key for key in found if key)
