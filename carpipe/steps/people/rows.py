"""Who said something, and when: what the rows of all files that people hand in have in common.

A row that cannot be right is an InputError that names it; nothing of its file is used then.
"""

import unicodedata
from datetime import datetime

from carpipe.backports import UTC, from_iso
from carpipe.errors import InputError
from carpipe.names import MAX_KEY_BYTES, match_key, normalise_key

NAME_CHARACTERS = 200
WHY_CHARACTERS = 500
# Control characters and halves of surrogate pairs: no name of a photo, a class or a person holds them.
_REFUSED = ("Cc", "Cs")


def check_name(name: str, where: str) -> str:
    """A person's name, trimmed. Raises InputError where it is too long or cannot be printed.

    Args:
        where: how to find the row, as in `Line 7 of the labels`.
    """
    name = name.strip()
    if len(name) > NAME_CHARACTERS or unprintable(name):
        raise InputError(f"{where} is by {short(name)}; expected a name of {NAME_CHARACTERS} characters at most.")
    return name


def check_why(text: str, where: str) -> str:
    """A reason, trimmed and in NFC; may be empty. Raises InputError where it is too long or cannot be printed."""
    why = normalise_key(text.strip())
    if len(why) > WHY_CHARACTERS or unprintable(why):
        raise InputError(f"{where} has {short(why)} as its reason; expected {WHY_CHARACTERS} characters at most.")
    return why


def check_key(text: str, where: str) -> str:
    """A photo's key below raw/, in NFC. Raises InputError where no photo can have it."""
    key = match_key(text)
    if fault := _fault_of(key):
        raise InputError(f"{where} has the key {short(key)}, which {fault}; a key is <folder>/<file name> below raw/.")
    return key


def check_time(text: str, where: str, *, latest: datetime | None = None) -> datetime | None:
    """The time of a row, in UTC; None where it has none. Raises InputError where it is none, or after `latest`."""
    at = parse_time(text, where) if text.strip() else None
    if at and latest and at > latest:
        raise InputError(
            f"{where} is from {write_time(at)}, which is yet to come: it would count for ever; correct it."
        )
    return at


def parse_time(text: str, where: str) -> datetime:
    """A time in ISO 8601, in UTC where it names no zone. Raises InputError where it is none."""
    try:
        moment = from_iso(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InputError(
            f"{where} has the time {short(text)}; expected ISO 8601, such as 2026-01-31T18:05:00Z."
        ) from None


def write_time(moment: datetime | None) -> str:
    """ISO 8601 with a Z, which `parse_time` reads back as it was."""
    return moment.isoformat().replace("+00:00", "Z") if moment else ""


def unprintable(text: str) -> bool:
    """Whether it holds what no name does."""
    return any(unicodedata.category(character) in _REFUSED for character in text)


def short(text: str) -> str:
    """For a message: quoted, without what cannot be printed, not too long."""
    return repr(text) if len(text) <= 80 else f"{text[:80]!r}..."


def _fault_of(key: str) -> str:
    """What is wrong with a key; empty: nothing."""
    if not key:
        return "is empty"
    if unprintable(key):
        return "holds control characters"
    if len(f"raw/{key}".encode()) > MAX_KEY_BYTES:
        return f"is longer than the {MAX_KEY_BYTES:,} bytes that S3 allows"
    if key.startswith("/"):
        return "is absolute"
    if {"", ".", ".."} & set(key.split("/")):
        return "has empty, `.` or `..` parts"
    return ""
