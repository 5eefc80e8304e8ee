"""Decisions of the gate as they lie in the bucket, `channels/<name>/decisions/`, one object whenever somebody asked."""

import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any

from carpipe import forms
from carpipe.errors import InputError
from carpipe.steps import bundles
from carpipe.steps.session import Session

log = logging.getLogger(__name__)

_MODEL = re.compile(r"models/[^/]+/[^/]+/manifest\.json")
# What is read of a decision.
_FIELDS = {
    "model": str, "champion": str, "run": str, "at": str, "outcome": str, "reasons": list, "checks": list,
    "numbers": dict,
}  # fmt: skip


def decisions(
    session: Session, name: str, *, passed_over: type[InputError] = forms.LaterFormError
) -> list[dict[str, Any]]:
    """Every decision of a channel, oldest first; those of a later form are logged and passed over.

    Args:
        passed_over: what is; InputError: odd ones too. The gate must know all: an odd one may be a refusal.
    """
    found = []
    folder = f"channels/{name}/decisions"
    for key, data in bundles.read_objects(session, folder, bundles.entries(session, folder)):
        if data is None:  # deleted since
            continue
        try:
            found.append(parse_decision(data, key=key))
        except passed_over as error:
            log.warning("%s It is passed over.", error)
    return found


def parse_decision(data: bytes, *, key: str) -> dict[str, Any]:
    """A decision from its JSON. Raises InputError where it is none, or one of a later form."""
    what = "a decision of the gate"
    body = forms.read_object(data, key=key, what=what, figures=("numbers",))
    wrong = [name for name, kind in _FIELDS.items() if not isinstance(body.get(name), kind)] or [*_odd(body)]
    if wrong:
        raise InputError(f"{key} is not {what} that carpipe understands: {', '.join(wrong)} is missing, or odd.")
    return body


def _odd(body: Mapping[str, Any]) -> Iterator[str]:
    """Fields of the right type that hold what nobody can read."""
    if not body["reasons"] or not all(isinstance(reason, str) for reason in body["reasons"]):
        yield "reasons"
    if not all(isinstance(check, dict) and {"name", "ok", "message"} <= {*check} for check in body["checks"]):
        yield "checks"
    tables = [rows for rows in body["numbers"].values() if isinstance(rows, list)]
    if any(isinstance(rows[0], dict) and any(not isinstance(row, dict) for row in rows) for rows in tables if rows):
        yield "numbers"
    if any(name and not _MODEL.fullmatch(name) for name in (body["model"], body["champion"])):
        yield "model"
