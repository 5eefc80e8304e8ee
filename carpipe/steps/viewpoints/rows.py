"""What one view label says, and files of them: CSVs with the columns `key` and `view`, and `by` and `at` if they like.

A row without a view takes one back where `taken_back` says when that was given, by the same person.
A row that cannot be right is an InputError that names it; nothing of its file is used then.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from carpipe.errors import InputError
from carpipe.steps.people.files import TAKEN_BACK, Parsed, Table, decode, parsed, read_csv, write_said
from carpipe.steps.people.rows import check_key, check_name, check_time, short, write_time
from carpipe.viewpoints import VIEWS

COLUMNS = ("key", "view", "by", "at")
TABLE = Table(
    "view labels",
    "a view label",
    (*COLUMNS, TAKEN_BACK),
    needed=("key", "view"),
    others={
        "label": "Labels of cars are imported without `--views`.",
        "listing": "Corrections of listings are imported with `carpipe listings import <file>`.",
    },
)
# As the published label sets call the first photo of a listing: it says what the photo is for, and not what it shows.
COVER = "cover"


@dataclass(frozen=True)
class ViewLabel:
    """What somebody said of a photo.

    `key` is below raw/, in NFC; `by` is empty and `at` (UTC) null where the file does not say. Where `view` is empty,
    they take back the view that they gave it at `taken_back`.
    """

    key: str
    view: str
    by: str = ""
    at: datetime | None = None
    taken_back: datetime | None = None

    @property
    def about(self) -> str:
        """The photo."""
        return self.key

    @property
    def word(self) -> str:
        """The view."""
        return self.view


def check_view(cells: Mapping[str, str], where: str, *, latest: datetime | None = None) -> ViewLabel | None:
    """The view label of a row, None where nobody decided, or it says `cover` alone. Raises InputError that names it.

    Args:
        cells: `key`, `view`, `by`, `at`, and `taken_back` or not, as a file has them.
        where: how to find the row, as in `Line 7 of the view labels`.
        latest: a label from after it is refused.
    """
    view, back = cells["view"].strip().lower(), cells.get(TAKEN_BACK, "")
    if view == COVER or not (view or back.strip()):
        return None
    if view and view not in VIEWS:
        raise InputError(f"{where} says {short(cells['view'].strip())}; known are {', '.join(VIEWS)}.")
    key, by, at = check_key(cells["key"], where), check_name(cells["by"], where), cells["at"]
    taken_back = None if view else check_time(back, where, latest=latest)
    return ViewLabel(key, view, by, check_time(at, where, latest=latest), taken_back)


def parse_views(data: bytes, *, latest: datetime | None = None, committed: str = "") -> Parsed[ViewLabel]:
    """The view labels of a file.

    Args:
        latest: a label from after it cannot be right.
        committed: the key of a file that lies in the bucket, where a column `carpipe_form` says of which form it is.

    Raises:
        LaterFormError: a committed row is of a later form.
        InputError: it is no such file, or a row cannot be right; names the line.
    """
    rows = read_csv(decode(data, TABLE.what), TABLE, committed=committed)
    return parsed(check_view(cells, f"{where} of the view labels", latest=latest) for where, cells in rows)


def to_csv(labels: Iterable[ViewLabel]) -> bytes:
    """A CSV that `parse_views` reads back as it was, with nothing in it that a spreadsheet would run."""
    rows = (((one.key, one.view, one.by, write_time(one.at)), write_time(one.taken_back)) for one in labels)
    return write_said(COLUMNS, rows)
