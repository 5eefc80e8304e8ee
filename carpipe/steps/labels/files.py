"""Label files: what people hand in, a CSV or Label Studio's JSON, told apart by content. Bytes in, labels out.

A CSV has the columns `key` and `label`, and `by` and `at` if it likes; others are ignored. A row
without a label takes one back where `taken_back` says when that was given, by the same person.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from carpipe.steps.labels import label_studio
from carpipe.steps.labels.rows import Label, Row, check_row
from carpipe.steps.people.files import TAKEN_BACK, Parsed, Table, decode, parsed, read_csv, write_said
from carpipe.steps.people.rows import write_time

COLUMNS = ("key", "label", "by", "at")
TABLE = Table(
    "labels",
    "a label",
    (*COLUMNS, TAKEN_BACK),
    needed=("key", "label"),
    others={
        "view": "View labels are imported with `carpipe labels import <file> --views`.",
        "listing": "Corrections of listings are imported with `carpipe listings import <file>`.",
    },
)


def parse_labels(data: bytes, *, latest: datetime | None = None, committed: str = "") -> Parsed[Label]:
    """The labels of a file.

    Args:
        latest: a label from after it cannot be right.
        committed: the key of a file that lies in the bucket, where a column `carpipe_form` says of which form it is.

    Raises:
        LaterFormError: a committed row is of a later form.
        InputError: it is neither of the formats, or a row cannot be right; names the line or task.
    """
    text = decode(data, TABLE.what)
    rows = label_studio.read_tasks(text) if text.lstrip()[:1] in ("[", "{") else _read_csv(text, committed)
    return parsed(check_row(row, latest=latest) for row in rows)


def to_csv(labels: Iterable[Label]) -> bytes:
    """A CSV that `parse_labels` reads back as it was, with nothing in it that a spreadsheet would run."""
    rows = (
        ((label.key, label.label, label.by, write_time(label.at)), write_time(label.taken_back)) for label in labels
    )
    return write_said(COLUMNS, rows)


def _read_csv(text: str, committed: str) -> Iterator[Row]:
    return (Row(where, **cells) for where, cells in read_csv(text, TABLE, committed=committed))
