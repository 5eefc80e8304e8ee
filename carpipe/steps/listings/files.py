"""Files of corrections: CSVs with the columns `listing` and `to`, and `from`, `by` and `at` if they like."""

from collections.abc import Iterable
from datetime import datetime

from carpipe.steps.listings.rows import Correction, Known, check_row
from carpipe.steps.people.files import Parsed, Table, decode, parsed, read_csv, write_csv
from carpipe.steps.people.rows import write_time

COLUMNS = ("listing", "from", "to", "by", "at")
TABLE = Table(
    "corrections",
    "a correction",
    COLUMNS,
    needed=("listing", "to"),
    others={
        "label": "Labels of cars are imported with `carpipe labels import <file>`.",
        "view": "View labels are imported with `carpipe labels import <file> --views`.",
    },
)


def parse_corrections(
    data: bytes, *, known: Known | None = None, latest: datetime | None = None, committed: str = ""
) -> Parsed[Correction]:
    """The corrections of a file.

    Args:
        known: what they may name; None takes any, as for files that lie in the bucket.
        latest: a correction from after it cannot be right.
        committed: the key of a file that lies in the bucket, where a column `carpipe_form` says of which form it is.

    Raises:
        LaterFormError: a committed row is of a later form.
        InputError: it is no such file, or a row cannot be right; names the line.
    """
    rows = read_csv(decode(data, TABLE.what), TABLE, committed=committed)
    return parsed(check_row(cells, f"{where} of the corrections", known=known, latest=latest) for where, cells in rows)


def to_csv(corrections: Iterable[Correction]) -> bytes:
    """A CSV that `parse_corrections` reads back as it was, with nothing in it that a spreadsheet would run."""
    return write_csv(COLUMNS, ((one.listing, one.was, one.to, one.by, write_time(one.at)) for one in corrections))
