"""Garbage: results of stages that nothing refers to any more.

Mark and sweep. Roots are what people and apps use: every dataset, every published model with its channel's
history, the newest inventory with the results that the next run takes over. What a root's manifest names as input
or file is in use too. The rest under `stages/` and `runs/` is garbage once it is old enough that no running job can be
about to use it; run it when no DAG runs, all the same. Never touched: raw/, labels/, datasets/, models/, channels/,
the logs of inventory and split, and what is not understood: what does not look like a result of a stage that this
version knows, and results of a later form. Any text in a manifest that reads like a key counts as a reference, also in
fields that a later version has added; but for `reused_from` and `tensorboard`, which are needed by nobody.
"""

import contextlib
import logging
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from carpipe import forms, manifest
from carpipe.errors import InputError, MissingError
from carpipe.names import is_odd, shown
from carpipe.progress import Bar
from carpipe.steps import results
from carpipe.steps.bundles import HOME as BUNDLES
from carpipe.steps.data.inventory import FORGOTTEN, GONE, LOG, latest_inventory
from carpipe.steps.data.ledger import LEDGER
from carpipe.steps.data.same_etags import SAME
from carpipe.steps.results import STAGES
from carpipe.steps.session import Session
from carpipe.storage import PROOF, ObjectInfo

log = logging.getLogger(__name__)

KEPT = (f"{LOG}/", f"{FORGOTTEN}/", f"{SAME}/", f"{LEDGER}/", f"{BUNDLES}/")
# The stages whose results may be garbage.
KNOWN = (
    "inventory", *STAGES, "identify", "classes", "split", "validate", "pack", "label_set", "train", "evaluate",
    "export", "answers", results.COMPARISON, results.ADVICE, results.SCORE, results.CURVE, results.SUSPECTS,
    results.NEW_MODELS, results.NEWEST, results.VIEW_SET, "quantize",
)  # fmt: skip
RESULT = re.compile(rf"stages/({'|'.join(KNOWN)})/[^/]+/[0-9a-f]{{20}}/.+")
MANIFEST = re.compile(r"(stages/[^/]+/[^/]+|datasets|models/[^/]+)/[^/]+/manifest\.json")
ENTRY = re.compile(r"channels/[^/]+/(production|(history|decisions)/[^/]+)\.json")
# What a text begins with that may be a key of something that is in use.
HOMES = ("stages/", "datasets/", "models/", "runs/")
# Where logs of a training are: of use to people while they are there, and to nobody else.
NO_REFERENCE = ("tensorboard",)


@dataclass(frozen=True)
class Garbage:
    """What nothing refers to: the objects, and how many others are in use, too young, or not known to this version."""

    objects: list[ObjectInfo]
    in_use: int
    young: int
    unknown: int = 0

    @property
    def bytes(self) -> int:
        return sum(info.size for info in self.objects)


def find_garbage(session: Session, *, older_than: timedelta, now: datetime) -> Garbage:
    """List what `collect` would delete.

    Args:
        older_than: younger objects are left alone: a running job may be about to refer to them.
        now: with time zone.
    """
    with session.progress.bar("look for what is in use", unit="manifests") as bar:
        used = set(_used_keys(session, bar))
    used |= set(_advice(session, used))
    garbage, in_use, young, unknown = [], 0, 0, 0
    for info in _candidates(session):
        if not _is_known(info.key):
            unknown += 1
        elif _is_used(info.key, used):
            in_use += 1
        elif info.modified is None or now - info.modified < older_than:
            young += 1
        else:
            garbage.append(info)
    strange = _not_understood(session, garbage)
    understood = [info for info in garbage if _folder_of(info.key) not in strange]
    return Garbage(understood, in_use, young, unknown + len(garbage) - len(understood))


def collect(session: Session, garbage: Garbage) -> int:
    """Delete it, manifests first, since what has no manifest is not there for any reader; returns how many objects.

    What was written again since it was listed is left alone.
    """
    order = sorted(garbage.objects, key=lambda info: (not info.key.endswith("/manifest.json"), info.key))
    deleted = 0
    with session.progress.bar("delete", total=len(order), unit="objects") as bar:
        for info in bar.each(order):
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
    lines = [f"{info.size:>12,}  {info.modified:%Y-%m-%d}  {shown(info.key)}" for info in garbage.objects if every]
    lines += [f"{name}: {number:,} objects, {size / 1e6:,.1f} MB" for name, (number, size) in sorted(stages.items())]
    total = f"{len(garbage.objects):,} objects, {garbage.bytes / 1e6:,.1f} MB are garbage"
    lines.append(f"{total}; {garbage.in_use:,} are in use, {garbage.young:,} are too young to tell")
    if garbage.unknown:
        lines.append(f"{garbage.unknown:,} are none of this version's and stay")
    return "\n".join(lines)


def _candidates(session: Session) -> Iterator[ObjectInfo]:
    for prefix in ("stages", "runs"):
        for info in session.store.list_objects(prefix):
            if not info.key.startswith(KEPT) and not PROOF.fullmatch(info.key):
                yield info


def _is_known(key: str) -> bool:
    return not is_odd(key) and (key.startswith(("runs/", f"{GONE}/")) or bool(RESULT.fullmatch(key)))


def _is_used(key: str, used: Collection[str]) -> bool:
    """Whether something refers to the key, or to a folder that it lies in."""
    parts = key.split("/")
    shortest = 2 if parts[0] == "runs" else 3
    return any("/".join(parts[:depth]) in used for depth in range(shortest, len(parts) + 1))


def _used_keys(session: Session, bar: Bar) -> Iterator[str]:
    """Keys of all manifests and files that a root reaches, and whatever else their manifests name.

    Raises:
        InputError: a manifest cannot be read; what it refers to is unknown, so nothing may be deleted.
    """
    seen: set[str] = set()
    waiting = [*_roots(session)]
    while waiting:
        key = waiting.pop().rstrip("/")
        if key in seen:
            continue
        seen.add(key)
        if MANIFEST.fullmatch(key):
            waiting += _named_by(session, key)
            bar.advance()
    yield from seen


def _named_by(session: Session, key: str) -> Iterator[str]:
    """What a manifest refers to."""
    try:
        done = manifest.read(session.store, key)
    except MissingError:
        return  # an input that was forgotten with its listing, or a dataset that somebody has deleted
    extra = {name: value for name, value in done.extra.items() if name not in NO_REFERENCE}
    yield from _references([done.inputs, done.files, extra, done.unknown, done.config, done.weights, done.counts])


def _references(value: object) -> Iterator[str]:
    return (text for text in forms.texts(value) if text.startswith(HOMES))


def _roots(session: Session) -> Iterator[str]:
    for prefix in ("datasets", "models"):
        for info in session.store.list_usable(prefix):
            if MANIFEST.fullmatch(info.key):
                yield info.key
    yield from _curves(session)
    yield from _named_by_channels(session)
    yield from _named_by_unknown_stages(session)
    if state := latest_inventory(session):
        yield from _references([state.partitions, state.gone, state.unknown])
        for part in state.partitions:
            yield from _newest_results(session, part)


def _curves(session: Session) -> Iterator[str]:
    """Learning curves of datasets that are there: people look at them."""
    for info in session.store.list_usable(f"stages/{results.CURVE}/{results.WHOLE}"):
        if info.key.endswith("/manifest.json"):
            with contextlib.suppress(MissingError, InputError):
                if session.store.head(manifest.read(session.store, info.key).inputs[0]):
                    yield info.key


def _advice(session: Session, used: Collection[str]) -> Iterator[str]:
    """Folders of advice on evaluations that are in use: people look at it. It keeps no evaluation by itself."""
    for info in session.store.list_usable(f"stages/{results.ADVICE}"):
        if info.key.endswith("/manifest.json"):
            with contextlib.suppress(MissingError, InputError):
                if manifest.read(session.store, info.key).inputs[0] in used:
                    yield _folder_of(info.key)


def _named_by_channels(session: Session) -> Iterator[str]:
    for info in session.store.list_usable("channels"):
        if ENTRY.fullmatch(info.key):
            body = forms.read_object(session.store.get(info.key), key=info.key, what="an entry of a channel")
            yield from _references(body)
        elif info.key.endswith(".json"):
            yield from _named_in_json(session, info.key)


def _named_by_unknown_stages(session: Session) -> Iterator[str]:
    """Their results stay, so what they were made of stays too."""
    for folder in session.store.list_folders("stages"):
        if folder.rpartition("/")[2] not in KNOWN:
            for info in session.store.list_usable(folder):
                if info.key.endswith("/manifest.json"):
                    yield from _named_in_json(session, info.key)


def _named_in_json(session: Session, key: str) -> Iterator[str]:
    """What an object that this version does not know refers to; nothing, where it is no JSON.

    JSON that is refused ends it all: what it names could be in use.
    """
    with contextlib.suppress(forms.NoJsonError, MissingError):
        yield from _references(forms.parse(session.store.get(key), key=key, what="JSON", figures=(forms.ALL,)))


def _folder_of(key: str) -> str:
    """The folder of a result that a key is in."""
    return "/".join(key.split("/")[:4])


def _not_understood(session: Session, garbage: Iterable[ObjectInfo]) -> set[str]:
    """Folders of results that nothing refers to, of a form that this version does not know."""
    keys = (info.key for info in garbage if RESULT.fullmatch(info.key) and MANIFEST.fullmatch(info.key))
    found = set()
    for key, data in session.store.get_many(keys):
        try:
            manifest.from_json(data or b"{}", key=key)
        except forms.LaterFormError:
            found.add(_folder_of(key))
        except InputError:
            continue  # broken: nobody can use it
    return found


def _newest_results(session: Session, part: dict[str, Any]) -> Iterator[str]:
    """Of each stage the partition's newest manifest: the next run starts from it."""
    found = (results.newest_result(session.store, stage, part["partition"]) for stage in (*STAGES, results.SCORE))
    yield from (key for key in found if key)
