"""The start that a run chose first for its training: a retry takes it, whatever is live by then.

Another start is other work. A retry that chose anew would not find the checkpoint of the attempt before it.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from carpipe import forms, manifest
from carpipe.errors import ConflictError, InputError, MissingError
from carpipe.manifest import Manifest
from carpipe.steps.models.class_names import class_map, parts_of
from carpipe.steps.models.start import Start
from carpipe.steps.session import Session
from carpipe.weights import channel

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pinned:
    """A start as it is kept: `live` and `trained` are manifest keys, empty where there is none; see `Start`."""

    why: str
    live: str
    sha256: str
    trained: str
    chain: int
    done: bool
    unknown: dict[str, Any] = field(default_factory=dict)


def pin_start(session: Session, of: object, data: Manifest, choose: Callable[[], Start]) -> Start:
    """The start that was chosen first; what that was is kept as `runs/train/starts/<digest>.json`.

    It is chosen anew where what was kept cannot be read, or names what has been deleted since. The log says so.

    Args:
        of: what it is chosen for, JSON-able: the run, and all that decides the training beside the start.
        data: the dataset.
        choose: chooses one. What it raises ends this too, and nothing is kept.
    """
    key = f"runs/train/starts/{manifest.digest(of)}.json"
    if found := _read(session, key, data):
        return found
    start = choose()
    try:
        session.store.create(key, forms.write(_pinned(start)))
    except ConflictError:  # another attempt was faster, or what is kept is of no use
        return _read(session, key, data) or start
    return start


def _pinned(start: Start) -> Pinned:
    live, trained = (found.key if found else "" for found in (start.live, start.trained))
    return Pinned(start.why, live, start.sha256, trained, start.chain, start.done)


def _read(session: Session, key: str, data: Manifest) -> Start | None:
    """The start that is kept there; None where there is none, or none that can be taken any more."""
    try:
        kept = session.store.get(key)
    except MissingError:
        return None
    try:
        start = _start(session, forms.read(Pinned, kept, key=key, what="the start of a training"), data, key=key)
    except (InputError, MissingError, KeyError) as error:
        log.warning("The start that this run chose before cannot be taken any more, it is chosen anew: %s", error)
        return None
    log.info("train: the start is that of an earlier attempt of this run, kept in %s", key)
    return start


def _start(session: Session, kept: Pinned, data: Manifest, *, key: str) -> Start:
    if kept.chain < 0 or (kept.live and not kept.trained) or bool(kept.chain) != bool(kept.live):
        raise InputError(f"{key} is not the start of a training that carpipe understands: its fields do not agree.")
    trained = manifest.read(session.store, kept.trained) if kept.trained else None
    if trained:
        manifest.read(session.store, trained.extra["dataset"])  # what it has seen must be known
    if not kept.live:
        return Start(kept.why, trained=trained, done=kept.done)
    live = channel.read_known(session.store, kept.live).manifest
    parts = parts_of(live.extra["classes"], data.extra["classes"], class_map(session, live, data))
    start = Start(kept.why, live, trained, parts, chain=kept.chain)
    if start.sha256 != kept.sha256:
        raise InputError(f"{kept.live} has another model than the one that {key} names.")
    return start
