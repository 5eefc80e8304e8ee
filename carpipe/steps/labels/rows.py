"""What one label says: which photo, which label, by whom, when. Every file format's rows are judged here.

A row that cannot be right is an InputError that names it; nothing of its file is used then.
"""

from dataclasses import dataclass
from datetime import datetime

from carpipe.errors import InputError
from carpipe.names import MAX_KEY_BYTES, match_key
from carpipe.steps.people.rows import check_name, check_time, short, unprintable
from carpipe.weights.contract import CAR, NOT_CAR

LABELS = (CAR, NOT_CAR)


@dataclass(frozen=True)
class Label:
    """What somebody said of a photo.

    `key` is below raw/, in NFC; `by` is empty and `at` (UTC) null where the file does not say.
    """

    key: str
    label: str
    by: str = ""
    at: datetime | None = None

    @property
    def about(self) -> str:
        """The photo."""
        return self.key

    @property
    def word(self) -> str:
        """The label."""
        return self.label


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
    where = f"{row.where} of the labels"
    at = check_time(row.at, where, latest=latest)
    return Label(key, label, check_name(row.by, where), at)


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
