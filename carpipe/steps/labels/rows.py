"""What one label says: which photo, which label, by whom, when. Every file format's rows are judged here.

A row that cannot be right is an InputError that names it; nothing of its file is used then.
"""

from dataclasses import dataclass
from datetime import datetime

from carpipe.errors import InputError
from carpipe.steps.people.rows import check_key, check_name, check_time, short
from carpipe.weights.contract import CAR, NOT_CAR

LABELS = (CAR, NOT_CAR)


@dataclass(frozen=True)
class Label:
    """What somebody said of a photo.

    `key` is below raw/, in NFC; `by` is empty and `at` (UTC) null where the file does not say. Where `label` is empty,
    they take back the label that they gave it at `taken_back`.
    """

    key: str
    label: str
    by: str = ""
    at: datetime | None = None
    taken_back: datetime | None = None

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
    """A label as a file writes it, unchecked. `where` is how to find it (`Line 7`).

    No label: nobody decided, or the label of `taken_back` is taken back.
    """

    where: str
    key: str
    label: str
    by: str = ""
    at: str = ""
    taken_back: str = ""


def check_row(row: Row, *, latest: datetime | None = None) -> Label | None:
    """The label of a row, None where nobody decided. Raises InputError that names the row.

    Args:
        latest: a label from after it is refused.
    """
    label = row.label.strip().lower()
    if not label and not row.taken_back.strip():
        return None
    if label and label not in LABELS:
        raise InputError(f"{row.where} of the labels says {short(row.label.strip())}; known are {', '.join(LABELS)}.")
    where = f"{row.where} of the labels"
    key = check_key(row.key, where)
    at = check_time(row.at, where, latest=latest)
    taken_back = None if label else check_time(row.taken_back, where, latest=latest)
    return Label(key, label, check_name(row.by, where), at, taken_back)
