"""CSV files that people hand in, out of spreadsheets as a rule: bytes in, cells by column out, and back.

The separator may also be a semicolon or a tab, as spreadsheets write them in some countries. Columns that nobody asked
for are ignored.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from carpipe import forms
from carpipe.errors import InputError
from carpipe.spreadsheet import inert, plain

SEPARATORS = ",;\t"
# The column that says when the word was said that a row takes back.
TAKEN_BACK = "taken_back"
# Of a file of what people say, at most: labels of two million photos.
MAX_BYTES = 256_000_000
T = TypeVar("T")


@dataclass(frozen=True)
class Table:
    """A kind of CSV.

    Attributes:
        what, one: its rows, and one of them, for messages: `labels`, `a label`.
        columns: that are read and written.
        needed: those of them that every file has.
        others: what to do with a file that is of another kind, as a sentence, by a column that tells it.
    """

    what: str
    one: str
    columns: tuple[str, ...]
    needed: tuple[str, ...]
    others: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Parsed(Generic[T]):
    """What a file says, in its order, and of how many things nobody has decided."""

    said: list[T]
    undecided: int


def parsed(rows: Iterable[T | None]) -> Parsed[T]:
    """Of checked rows; None is one of which nobody has decided."""
    rows = list(rows)
    said = [row for row in rows if row is not None]
    return Parsed(said, len(rows) - len(said))


def decode(data: bytes, what: str) -> str:
    """The text of a file. Raises InputError where it is not in UTF-8; says in which line."""
    try:
        return data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = len(data[: error.start + 1].splitlines())
        raise InputError(
            f"The {what} are not in UTF-8 (byte {error.start}) in line {line}; spreadsheets can save a file as `CSV "
            "UTF-8`."
        ) from None


def read_csv(text: str, table: Table, *, committed: str = "") -> Iterator[tuple[str, dict[str, str]]]:
    """(`Line 7`, cell by column) of each row; a cell that is not there is empty.

    Args:
        committed: the key of a file that lies in the bucket, where a column `carpipe_form` says of which form it is.

    Raises:
        LaterFormError: a committed row is of a later form.
        InputError: it is no CSV, lacks a column, or a row has too many cells; names the line.
    """
    header = text.lstrip().partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(SEPARATORS, key=header.count))
    try:
        lines = filter(None, reader)
        columns = [name.strip() for name in next(lines, ())]
        if columns and not set(table.needed) <= set(columns):
            needed = " and ".join(table.needed)
            found = f"The {table.what} need the columns {needed}; found {', '.join(columns)[:200]}."
            raise InputError(" ".join([found, *(table.others[name] for name in columns if name in table.others)]))
        for fields in lines:
            if committed:
                number = dict(zip(columns, fields, strict=False)).get(forms.TABLE_FORM, "")
                forms.check_text(number.strip(), key=committed, what=table.one)
            yield f"Line {reader.line_num}", _cells(fields, columns, table, f"Line {reader.line_num}")
    except csv.Error as error:
        raise InputError(f"The {table.what} are not CSV: line {reader.line_num}, {error}.") from None


def write_csv(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> bytes:
    """A CSV that `read_csv` reads back as it was, with nothing in it that a spreadsheet would run."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([columns, *(map(inert, row) for row in rows)])
    return text.getvalue().encode()


def write_said(columns: Sequence[str], rows: Iterable[tuple[tuple[str, ...], str]]) -> bytes:
    """The same of words that can be taken back: (cells, when the word was said that the row takes back, or nothing).

    Only a file that takes something back has the column for it.
    """
    rows = list(rows)
    if not any(back for _, back in rows):
        return write_csv(columns, (cells for cells, _ in rows))
    return write_csv((*columns, TAKEN_BACK), ((*cells, back) for cells, back in rows))


def read_file(path: Path, what: str) -> bytes:
    """A file on this machine. Raises InputError where it is larger than such files are."""
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise InputError(f"{path} has more than {MAX_BYTES:,} bytes: import it in several files, if it holds {what}.")
    return data


def refuse_existing(path: Path, what: str) -> None:
    """Raise InputError where the file exists: it may hold somebody's work."""
    if path.exists():
        raise InputError(f"{path} exists, and may hold {what}; name another file or remove it.")


def write_new(path: Path, data: bytes) -> None:
    """Write a whole file, or none. Raises FileExistsError where there is one already."""
    with path.open("xb") as file:
        try:
            file.write(data)
            file.flush()
        except OSError:
            path.unlink()
            raise


def _cells(fields: Sequence[str], columns: Sequence[str], table: Table, where: str) -> dict[str, str]:
    if any(fields[len(columns) :]):
        raise InputError(
            f"{where} of the {table.what} has more fields than there are columns; put a cell with commas in quotes."
        )
    named = dict(zip(columns, fields, strict=False))
    return {name: plain(named.get(name, "")) for name in table.columns}
