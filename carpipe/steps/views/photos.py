"""The photos of a dataset, all of them: a page of those that somebody asks for, and what there is to ask for."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from carpipe.errors import InputError
from carpipe.names import match_key
from carpipe.reasons import STAGES
from carpipe.steps.people.rows import short

if TYPE_CHECKING:
    from carpipe.photo_index import PhotoIndex

# What a photo may be asked for by, and the column that says it.
EXACT: Final = {
    "stage": "dropped_by", "reason": "dropped", "split": "split", "class": "class_name", "make": "make",
    "model": "model", "year": "year", "listing": "listing_uuid", "vehicle": "vehicle", "view": "view",
    "partition": "partition", "format": "format", "repaired": "repaired",
}  # fmt: skip
# The columns that they may be sorted by, beside that of the row; see `SORTS`.
COLUMNS: Final = {name: name for name in ("p_car", "box_score", "damage", "size")} | {"key": "place"}
RANGES: Final = ("p_car", "box_score", "damage", "width", "height", "size")
FLAGS: Final = {
    "in": {"yes": "dropped IS NULL", "no": "dropped IS NOT NULL"},
    "corrected": {"yes": "corrected IS NOT NULL"},
    # Which these are, people and other results say: they are parameters.
    "suspect": {"yes": "list_contains(?, listing_uuid)"},
    "disputed": {"yes": "list_contains(?, key)"},
    # What is left behind a stage, as the funnel has it.
    "passed": {
        stage: " AND ".join(f"dropped_by IS DISTINCT FROM '{one}'" for one in STAGES[: place + 1])
        for place, stage in enumerate(STAGES)
    },
}
# Which photos a model was judged on, and what it answered, its evaluation says. Of a photo that was overwritten, it is
# the newer row; others may be out, such as those that the car filter was judged on.
JUDGED: Final = ("judged", "by", "new", "right", "answer")
OF_JUDGED: Final = "dropped IS DISTINCT FROM 'superseded' AND key IN (SELECT unnest(CAST(? AS VARCHAR[])))"
# By what they may be sorted. Equal ones come as they are in the table: the oldest partition first.
SORTS: Final = {
    "oldest": "row", "newest": "row DESC", "p_car": "p_car, row", "-p_car": "p_car DESC NULLS LAST, row",
    "box_score": "box_score, row", "-box_score": "box_score DESC NULLS LAST, row",
    "damage": "damage DESC NULLS LAST, row", "size": "size, row", "-size": "size DESC, row", "key": "place",
}  # fmt: skip
SORTED_AS: Final = {
    "newest": "newest first", "oldest": "oldest first", "-p_car": "surest cars first", "p_car": "least sure cars first",
    "-box_score": "surest boxes first", "box_score": "least sure boxes first", "damage": "most damaged first",
    "-size": "largest files first", "size": "smallest files first", "key": "by name",
}  # fmt: skip
DEFAULT_SORT = "newest"
PER_PAGE = 100
NOBODY: Final[Mapping[str, Sequence[str]]] = {}
_NUMBER = r"\d{1,12}(?:\.\d{1,6})?"
# How some values look, and that in words.
_FORMS: Final = {
    "year": (r"\d{1,4}", "a year such as 2014"),
    "judged": ("[0-9a-f]{20}", "the id of a model, 20 digits"),
    "by": ("[0-9a-f]{20}", "the id of a model, 20 digits"),
    "new": ("yes", "yes"),
    "right": ("yes|no", "yes or no"),
}
_RANGE = re.compile(rf"(?P<low>{_NUMBER})?\.\.(?P<high>{_NUMBER})?")


@dataclass(frozen=True)
class Wanted:
    """Which photos somebody wants to see, and in which order.

    Attributes:
        asked: of `EXACT`, `RANGES`, `FLAGS` and `JUDGED`, as an address has them: `split=test`, `p_car=0.5..0.7`,
            `in=no`.
        text: part of a key; empty: any.
        sort: of `SORTS`.
    """

    asked: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    sort: str = DEFAULT_SORT

    def __post_init__(self) -> None:
        if self.sort not in SORTS:
            raise InputError(f"Photos cannot be sorted by {short(self.sort)}; known are {', '.join(SORTS)}.")
        for name, value in self.asked.items():
            _check(name, value)
        if {"by", "new", "right", "answer"} & self.asked.keys() and "judged" not in self.asked:
            raise InputError("Of which model the answers are is missing; name its id by `judged`.")
        if {"by", "new"} <= self.asked.keys():
            raise InputError("New listings were answered by the live model alone; leave out `by`, or `new`.")

    def parameters(self) -> dict[str, str]:
        """As an address has it."""
        text = {"text": self.text} if self.text else {}
        return {**self.asked, **text, **({"sort": self.sort} if self.sort != DEFAULT_SORT else {})}


@dataclass(frozen=True)
class PhotoPage:
    """Some photos, from number `first` (the first is 0) of all `found`. A photo is a row of the index by column."""

    photos: list[dict[str, Any]]
    first: int
    found: int


@dataclass(frozen=True)
class Choices:
    """What photos of a dataset can be asked for by: (value, photos) by filter, and photos in all."""

    photos: int
    by: Mapping[str, list[tuple[str, int]]]


def find_photos(
    index: "PhotoIndex",
    wanted: Wanted,
    *,
    first: int = 0,
    most: int = PER_PAGE,
    named: Mapping[str, Sequence[str]] = NOBODY,
) -> PhotoPage:
    """A page of the photos that somebody wants.

    Args:
        first: number of the first, from 0; beyond the last one there are none.
        most: so many of them.
        named: of `suspect`, listings that may be in the wrong class; of `disputed`, keys of photos that people gave
            different labels; of `judged`, keys of the photos of `carpipe.steps.views.judged`.
    """
    where, values = _where(wanted, named)
    order = f"ORDER BY {SORTS[wanted.sort]} LIMIT {int(most)} OFFSET {int(first)}"
    if not where:  # what DuckDB keeps of each column tells how many there are, and where the newest lie
        rows = index.select(f"SELECT row FROM photos {order}")  # noqa: S608  # all ours
        return PhotoPage(read_rows(index, [one["row"] for one in rows]), first, _all(index))
    # Rows that are whole would all be moved. So narrow ones are found, counted and sorted, and then a page is read.
    narrow = ", ".join(filter(None, ["row", COLUMNS.get(wanted.sort.removeprefix("-"))]))
    found = f"WITH found AS MATERIALIZED (SELECT {narrow} FROM photos WHERE {where})"  # noqa: S608  # all ours
    page = index.select(f"{found} SELECT row, (SELECT count(*) FROM found) AS number FROM found {order}", values)  # noqa: S608
    number = page[0]["number"] if page else 0
    if not page and first:  # beyond the last one
        number = find_photos(index, wanted, most=1, named=named).found
    return PhotoPage(read_rows(index, [one["row"] for one in page]), first, number)


def read_rows(index: "PhotoIndex", rows: Sequence[int]) -> list[dict[str, Any]]:
    """The photos of these rows, in their order; those that are not there are left out."""
    found = {one["row"]: one for one in index.select("SELECT * FROM photos WHERE row IN (SELECT unnest(?))", [rows])}
    return [found[row] for row in rows if row in found]


def choices(index: "PhotoIndex") -> Choices:
    """What there is to ask for; filters with a value for nearly every photo are left out."""
    named = ("stage", "reason", "split", "class", "make", "year", "view", "format", "repaired")
    by = {name: list(_counts(index, EXACT[name])) for name in named}
    return Choices(_all(index), {name: values for name, values in by.items() if values})


def _all(index: "PhotoIndex") -> int:
    (count,) = index.select("SELECT count(*) AS photos FROM photos")
    return int(count["photos"])


def _counts(index: "PhotoIndex", column: str) -> Iterator[tuple[str, int]]:
    query = f"SELECT {column} AS value, count(*) AS photos FROM photos WHERE {column} IS NOT NULL GROUP BY ALL"  # noqa: S608
    order = "value" if column in ("make", "class_name", "year") else "photos DESC, value"
    for one in index.select(f"{query} ORDER BY {order}"):
        yield str(one["value"]), one["photos"]


def _check(name: str, value: str) -> None:
    if name in RANGES:
        if not _RANGE.fullmatch(value) or value == "..":
            raise InputError(
                f"{name} is asked for as {short(value)}; expected a range such as 0.5..0.7, 0.7.. or ..0.2."
            )
    elif name in FLAGS:
        if value not in FLAGS[name]:
            raise InputError(f"{name} is asked for as {short(value)}; expected {' or '.join(FLAGS[name])}.")
    elif name not in (*EXACT, *JUDGED):
        known = ", ".join([*EXACT, *RANGES, *FLAGS, *JUDGED])
        raise InputError(f"Photos cannot be asked for by {short(name)}; known are {known}.")
    elif name in _FORMS and not re.fullmatch(_FORMS[name][0], value):
        raise InputError(f"{name} is asked for as {short(value)}; expected {_FORMS[name][1]}.")


def _where(wanted: Wanted, named: Mapping[str, Sequence[str]]) -> tuple[str, list[Any]]:
    """SQL and the values of its question marks; empty where any photo will do."""
    conditions: list[str] = []
    values: list[Any] = []
    for name, value in wanted.asked.items():
        if name in EXACT:
            conditions.append(f"{EXACT[name]} = ?")
            values.append(int(value) if name == "year" else value)
        elif name in RANGES:
            low, high = _RANGE.fullmatch(value).groups()  # type: ignore[union-attr]  # it has been checked
            conditions += [f"{name} >= ?"] * bool(low) + [f"{name} <= ?"] * bool(high)
            values += [float(bound) for bound in (low, high) if bound]
        elif name == "judged":
            conditions.append(OF_JUDGED)
            values.append(list(named.get(name, ())))
        elif name in FLAGS:
            conditions.append(FLAGS[name][value])
            values += [list(named.get(name, ()))] if "?" in FLAGS[name][value] else []
    if wanted.text:
        conditions.append("contains(coalesce(text, key), nfc_normalize(lower(?)))")
        values.append(match_key(wanted.text))
    return " AND ".join(conditions), values
