"""What one move says: which model, which class it is in, by whom, when. All rows of files are judged here.

A row that cannot be right is an InputError that names it; nothing of its file is used then.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from carpipe.errors import InputError
from carpipe.names import is_printable, model_name, normalise_key
from carpipe.steps.people.files import Table, decode, read_csv, write_csv
from carpipe.steps.people.rows import NAME_CHARACTERS, check_name, check_time, check_why, short, write_time

# Takes a move back: the taxonomy's file says again what becomes of the model. No class is called so.
BY_TAXONOMY = "by-taxonomy"
TABLE = Table("moves", "a move", ("model", "to", "by", "at", "why"), needed=("model", "to"))


@dataclass(frozen=True)
class Move:
    """What somebody said of a model.

    Attributes:
        model: as `names.model_name` writes it.
        to: a class, or `BY_TAXONOMY`.
        by: empty where the file does not say.
        at: UTC; null where the file does not say.
        why: for people; may be empty.
    """

    model: str
    to: str
    by: str = ""
    at: datetime | None = None
    why: str = ""

    @property
    def about(self) -> str:
        """The model."""
        return self.model

    @property
    def word(self) -> str:
        """What is said of it."""
        return self.to


def parse_moves(data: bytes, *, committed: str) -> list[Move]:
    """The moves of a file in the bucket, in its order.

    Args:
        committed: its key.

    Raises:
        LaterFormError: a row is of a later form.
        InputError: it is no such file, or a row cannot be right; names the line.
    """
    rows = read_csv(decode(data, TABLE.what), TABLE, committed=committed)
    return [check_row(cells, f"{where} of the moves") for where, cells in rows]


def to_csv(moves: Iterable[Move]) -> bytes:
    """A CSV that `parse_moves` reads back as it was, with nothing in it that a spreadsheet would run."""
    return write_csv(TABLE.columns, ((one.model, one.to, one.by, write_time(one.at), one.why) for one in moves))


def check_row(cells: Mapping[str, str], where: str) -> Move:
    """The move of a row. Raises InputError that names the row.

    Args:
        cells: `model`, `to`, `by`, `at`, `why`, as a file has them.
        where: how to find the row, as in `Line 7 of the moves`.
    """
    model = model_name(_check_text(cells["model"], where, "model"))
    to = _check_text(cells["to"], where, "to")
    to = BY_TAXONOMY if model_name(to) == BY_TAXONOMY else to
    by, at, why = check_name(cells["by"], where), check_time(cells["at"], where), check_why(cells["why"], where)
    return Move(model, to, by, at, why)


def _check_text(text: str, where: str, column: str) -> str:
    text = normalise_key(text.strip())
    if not text or len(text) > NAME_CHARACTERS or "/" in text or not is_printable(text):
        raise InputError(f"{where} has {short(text)} in the column `{column}`, which is no name of a model or a class.")
    return text
