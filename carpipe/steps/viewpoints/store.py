"""View labels: from where photos show a car, by people, kept append-only under `labels/views/`.

Each import is one object of `carpipe.steps.people.store`: columns `key,view,by,at`.
"""

from datetime import datetime
from pathlib import Path

from carpipe.errors import InputError
from carpipe.names import counted
from carpipe.steps.people import store
from carpipe.steps.people.files import refuse_existing, write_new
from carpipe.steps.people.photos import count_unknown, describe_unknown
from carpipe.steps.people.rows import check_name, parse_time
from carpipe.steps.session import Session
from carpipe.steps.viewpoints.rows import ViewLabel, parse_views, to_csv
from carpipe.viewpoints import VIEWS

FOLDER = "labels/views"
_NO_VIEWS = f"There are no view labels under {FOLDER}/; add some with `carpipe labels import <file> --views`."
# The view labels of an object by its key and etag.
Parsings = store.Parsings[ViewLabel]


def import_views(
    session: Session, data: bytes, *, at: str, by: str = "", known: Parsings | None = None
) -> store.Imported:
    """Keep the view labels of a CSV; all of them or none.

    The same file twice is one, and so is what `labels export` wrote. What counts already is not added, whoever said
    it.

    Args:
        at: time of the import, UTC, ISO 8601.
        by: who gave the labels of which the file does not say it.
        known: see `read_views`.

    Raises:
        InputError: the file cannot be read, a row of it cannot be right, or no row has a view.
    """
    store.check_free(session, KIND)
    moment, by = parse_time(at, "The import of the view labels"), check_name(by, "The import of the view labels")
    parsed = parse_views(data, latest=moment + store.MAX_CLOCK_AHEAD)
    if not parsed.said:
        raise InputError("The view labels are empty: no row has a view.")
    added = store.add(session, KIND, parsed.said, source=data, moment=moment, by=by, known=known)
    return store.Imported(added.key, added.added, parsed.undecided)


def count_missing(session: Session, data: bytes) -> int:
    """How many photos of a file are not under `raw/`. Lists the folders that the file names."""
    return count_unknown(session, {label.key for label in parse_views(data).said})


def read_views(session: Session, *, known: Parsings | None = None, until: datetime | None = None) -> list[ViewLabel]:
    """Every view label that was given and not taken back, with its time; of those for one photo the last counts.

    Args:
        known: what was read before, for those who ask often; what is new is added to it.
        until: UTC; what was handed in then or later is left out. None: nothing is.

    Raises:
        InputError: an object among the labels cannot be read; names it.
    """
    return store.read_if_free(session, KIND, known=known, until=until)


def current_views(session: Session) -> dict[str, ViewLabel]:
    """The view label that counts, by photo key; empty where nobody has given one."""
    return store.current(read_views(session))


def export_views(session: Session, path: Path) -> int:
    """Write all view labels that count to a new CSV; returns how many.

    Raises:
        InputError: another suffix, the file exists, or there are no labels.
    """
    if path.suffix.lower() != ".csv":
        raise InputError(f"{path} is no format known for view labels; name a file that ends in .csv.")
    refuse_existing(path, "view labels")
    labels = [label for _, label in sorted(store.current(_some_views(session)).items())]
    write_new(path, to_csv(labels))
    return len(labels)


def describe_conflicts(session: Session) -> str:
    """The photos of which people disagree, as text: which, by whom, when, and which view counts."""
    width = max(map(len, VIEWS))
    lines = store.describe_disputed(store.disputed(read_views(session)), width=width)
    return "\n".join(lines or ["No photo was given different views."])


def describe_views(session: Session) -> str:
    """How many photos have which view, how many it needs, and by whom since when, as text.

    Overruled labels are counted apart.
    """
    from carpipe.evaluation.viewpoints import told_enough

    given = read_views(session)
    if not given:
        return _NO_VIEWS
    current = store.current(given).values()
    counts = [f"{sum(one.view == view for one in current):>9,} {view}" for view in VIEWS]
    people = store.describe_people(given, {"labels": _any})
    unknown = describe_unknown(session, {one.key for one in current})
    head = f"{counted(len(current), 'photo')} {'has' if len(current) == 1 else 'have'} a view:"
    return "\n".join([head, *counts, *unknown, told_enough(), "", *people])


def _read(data: bytes, key: str) -> list[ViewLabel]:
    return parse_views(data, committed=key).said


KIND = store.Kind(FOLDER, _read, to_csv, "view labels")


def _any(label: ViewLabel) -> bool:
    return True


def _some_views(session: Session) -> list[ViewLabel]:
    labels = read_views(session)
    if not labels:
        raise InputError(_NO_VIEWS)
    return labels
