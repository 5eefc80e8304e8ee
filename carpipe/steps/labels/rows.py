"""What one label says: which photo, which label, by whom, when. Every file format's rows are judged here.

A row that cannot be right is an InputError that names it; nothing of its file is used then.
"""

import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime

from carpipe.errors import InputError
from carpipe.names import MAX_KEY_BYTES, match_key
from carpipe.weights.contract import CAR, NOT_CAR

LABELS = (CAR, NOT_CAR)
NAME_CHARACTERS = 200
# Control characters and halves of surrogate pairs: no name of a photo or person holds them.
_REFUSED = ("Cc", "Cs")


@dataclass(frozen=True)
class Label:
    """What somebody said of a photo.

    `key` is below raw/, in NFC; `by` is empty and `at` (UTC) null where the file does not say.
    """

    key: str
    label: str
    by: str = ""
    at: datetime | None = None


@dataclass(frozen=True)
class Row:
    """A label as a file writes it, unchecked. `where` is how to find it (`Line 7`); no label: nobody decided."""

    where: str
    key: str
    label: str
    by: str = ""
    at: str = ""


def check_row(row: Row, *, latest: datetime | None = None) -> Label | None:
    """The label of a row, None where nobody decided. Raises InputError that names the row.

    Args:
        latest: a label from after it is refused.
    """
    label = row.label.strip()
    if not label:
        return None
    if label not in LABELS:
        raise InputError(f"{row.where} of the labels says {short(label)}; known are {', '.join(LABELS)}.")
    key = match_key(row.key)
    if fault := _fault_of(key):
        raise InputError(
            f"{row.where} of the labels has the key {short(key)}, which {fault}; a key is <folder>/<file name> below "
            "raw/."
        )
    at = parse_time(row.at, row.where) if row.at.strip() else None
    if at and latest and at > latest:
        raise InputError(
            f"{row.where} of the labels is from {write_time(at)}, which is yet to come: it would count for ever; "
            "correct it."
        )
    return Label(key, label, check_name(row.by, row.where), at)


def check_name(name: str, where: str) -> str:
    """A person's name, trimmed. Raises InputError where it is too long or cannot be printed."""
    name = name.strip()
    if len(name) > NAME_CHARACTERS or _unprintable(name):
        raise InputError(
            f"{where} of the labels is by {short(name)}; expected a name of {NAME_CHARACTERS} characters at most."
        )
    return name


def parse_time(text: str, where: str) -> datetime:
    """A time in ISO 8601, in UTC where it names no zone. Raises InputError where it is none."""
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InputError(
            f"{where} of the labels has the time {short(text)}; expected ISO 8601, such as 2026-01-31T18:05:00Z."
        ) from None


def write_time(moment: datetime | None) -> str:
    """ISO 8601 with a Z, which `parse_time` reads back as it was."""
    return moment.isoformat().replace("+00:00", "Z") if moment else ""


def _fault_of(key: str) -> str:
    """What is wrong with a key; empty: nothing."""
    if not key:
        return "is empty"
    if _unprintable(key):
        return "holds control characters"
    if len(f"raw/{key}".encode()) > MAX_KEY_BYTES:
        return f"is longer than the {MAX_KEY_BYTES:,} bytes that S3 allows"
    if key.startswith("/"):
        return "is absolute"
    if {"", ".", ".."} & set(key.split("/")):
        return "has empty, `.` or `..` parts"
    return ""


def _unprintable(text: str) -> bool:
    return any(unicodedata.category(character) in _REFUSED for character in text)


def short(text: str) -> str:
    """For a message: quoted, without what cannot be printed, not too long."""
    return repr(text) if len(text) <= 80 else f"{text[:80]!r}..."
