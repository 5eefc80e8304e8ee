"""Label files: what people hand in, a CSV or Label Studio's JSON, told apart by content. Bytes in, labels out.

A CSV has the columns `key` and `label`, and `by` and `at` if it likes; others are ignored. The separator may also be
a semicolon or a tab, as spreadsheets write them in some countries.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from carpipe import forms
from carpipe.errors import InputError
from carpipe.spreadsheet import inert, plain
from carpipe.steps.labels import label_studio
from carpipe.steps.labels.rows import Label, Row, check_row, write_time

COLUMNS = ("key", "label", "by", "at")
SEPARATORS = ",;\t"


@dataclass(frozen=True)
class Parsed:
    """The labels of a file, in its order, and how many of its photos nobody has decided."""

    labels: list[Label]
    undecided: int


def parse_labels(data: bytes, *, latest: datetime | None = None, committed: str = "") -> Parsed:
    """The labels of a file.

    Args:
        latest: a label from after it cannot be right.
        committed: the key of a file that lies in the bucket, where a column `carpipe_form` says of which form it is.

    Raises:
        LaterFormError: a committed row is of a later form.
        InputError: it is neither of the formats, or a row cannot be right; names the line or task.
    """
    try:
        text = data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = len(data[: error.start + 1].splitlines())
        raise InputError(
            f"The labels are not in UTF-8 (byte {error.start}) in line {line}; spreadsheets can save a file as `CSV "
            "UTF-8`."
        ) from None
    rows = label_studio.read_tasks(text) if text.lstrip()[:1] in ("[", "{") else _read_csv(text, committed)
    checked = [check_row(row, latest=latest) for row in rows]
    labels = [label for label in checked if label]
    return Parsed(labels, len(checked) - len(labels))


def to_csv(labels: Iterable[Label]) -> bytes:
    """A CSV that `parse_labels` reads back as it was, with nothing in it that a spreadsheet would run."""
    rows = ((label.key, label.label, label.by, write_time(label.at)) for label in labels)
    return _csv(COLUMNS, rows)


def blank_csv(keys: Iterable[str]) -> bytes:
    """A CSV of photos with the label left to fill in."""
    return _csv(COLUMNS[:2], ((key, "") for key in keys))


def _read_csv(text: str, committed: str) -> Iterator[Row]:
    header = text.lstrip().partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(SEPARATORS, key=header.count))
    try:
        lines = filter(None, reader)
        columns = [name.strip() for name in next(lines, ())]
        if columns and not {"key", "label"} <= set(columns):
            raise InputError(f"The labels need the columns key and label; found {', '.join(columns)[:200]}.")
        for fields in lines:
            if committed:
                _check_form(dict(zip(columns, fields, strict=False)).get(forms.TABLE_FORM, ""), committed)
            yield _row(fields, columns, f"Line {reader.line_num}")
    except csv.Error as error:
        raise InputError(f"The labels are not CSV: line {reader.line_num}, {error}.") from None


def _check_form(number: str, key: str) -> None:
    forms.check_text(number.strip(), key=key, what="a label")


def _row(fields: Sequence[str], columns: Sequence[str], where: str) -> Row:
    if any(fields[len(columns) :]):
        raise InputError(
            f"{where} of the labels has more fields than there are columns; put a key with commas in quotes."
        )
    named = dict(zip(columns, fields, strict=False))
    return Row(where, **{name: plain(named.get(name, "")) for name in COLUMNS})


def _csv(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([columns, *(map(inert, row) for row in rows)])
    return text.getvalue().encode()
