"""What live models answered on new listings, night by night: `channels/<name>/scores/`, one object each, never changed.

For people and for the gate, and decides nothing: so what cannot be read is logged and passed over.
"""

import contextlib
import json
import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from carpipe import forms, manifest
from carpipe.backports import from_iso
from carpipe.errors import ConflictError, InputError
from carpipe.manifest import Manifest
from carpipe.steps.session import Session
from carpipe.weights import channel

log = logging.getLogger(__name__)

# Manifest key of the result that names the photos, where the entry says so.
JUDGED = "judged"
NEWEST = 400  # entries that are read: a year and more
_TEXTS = ("channel", "model", "dataset", "at")
_COUNTS = ("generation", "photos", "listings", "vehicles", "correct")
_SHARES = ("accuracy", "low", "high", "confidence", "test_accuracy")


def find_score(session: Session, name: str, *, model: str, dataset: str) -> dict[str, Any] | None:
    """What a model of a channel answered on what is new in a dataset, or None; both are manifest keys."""
    end = f"-{_digest(model, dataset)}.json"
    keys = [key for key in channel.entries_in(session.store, _folder(name)) if key.endswith(end)]
    return next(_read(session, keys[:1]), None)


def scores(session: Session, name: str) -> list[dict[str, Any]]:
    """The newest entries of a channel, oldest first."""
    keys = channel.entries_in(session.store, _folder(name))[-NEWEST:]
    return list(_read(session, keys))


def record_score(session: Session, entry: Mapping[str, Any]) -> str:
    """Write an entry, as `scores` reads it; returns its key. Whoever writes the same at the same time wins."""
    name = entry["channel"]
    begin = entry["at"].replace(":", "")
    key = f"{_folder(name)}/{begin}-{_digest(entry['model'], entry['dataset'])}.json"
    with contextlib.suppress(ConflictError):
        session.store.create(key, json.dumps(dict(entry), indent=1, ensure_ascii=False).encode())
    return key


def accuracy_of(model: Manifest) -> float | None:
    """What a model was right on of its own test photos, as an entry has it; None where it does not say."""
    metrics = model.extra.get("metrics")
    found = metrics.get("test_accuracy") if isinstance(metrics, dict) else None
    return found if _is_share(found) else None


def _folder(name: str) -> str:
    return f"channels/{name}/scores"


def _digest(model: str, dataset: str) -> str:
    return manifest.digest([model, dataset])[:12]


def _read(session: Session, keys: Iterable[str]) -> Iterator[dict[str, Any]]:
    for key, data in session.store.get_many(keys):
        if data is None:  # deleted since
            continue
        try:
            yield parse_score(data, key=key)
        except InputError as error:
            log.warning("%s It is passed over.", error)


def parse_score(data: bytes, *, key: str) -> dict[str, Any]:
    """An entry from its JSON. Raises InputError where it is none."""
    what = "what a live model answered on new listings"
    body = forms.read_object(data, key=key, what=what)
    wrong = [name for name in _TEXTS if not isinstance(body.get(name), str)]
    wrong += ["at"] if not _is_time(body.get("at")) else []
    wrong += [name for name in _COUNTS if not _is_count(body.get(name))]
    wrong += [name for name in _SHARES if not _is_share(body.get(name))]
    if body.get("photos") and None in (body.get("accuracy"), body.get("low"), body.get("high")):
        wrong.append("accuracy")
    wrong += [JUDGED] if not isinstance(body.get(JUDGED, ""), str) else []
    apart = body.get("apart")
    if not isinstance(apart, dict) or not all(
        isinstance(one, dict) and _is_count(one.get("photos")) and _is_count(one.get("listings"))
        for one in apart.values()
    ):
        wrong.append("apart")
    if wrong:
        raise InputError(f"{key} is not {what} that carpipe understands: {', '.join(wrong)} is missing, or odd.")
    return body


def _is_time(value: object) -> bool:
    try:
        return from_iso(str(value)).tzinfo is not None
    except ValueError:
        return False


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_share(value: object) -> bool:
    """Null too: of nothing there is no share."""
    return value is None or (isinstance(value, int | float) and math.isfinite(value) and 0 <= value <= 1)
