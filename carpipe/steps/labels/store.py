"""Labels: car / no car, by people, kept append-only under `labels/<name>/`.

Each import is one object of `carpipe.steps.people.store`: columns `key,label,by,at`. Files of earlier versions without
`by` and `at` are read alike.
"""

from datetime import datetime
from functools import partial
from pathlib import Path

from carpipe.errors import InputError
from carpipe.names import counted
from carpipe.steps.labels import label_studio
from carpipe.steps.labels.files import parse_labels, to_csv
from carpipe.steps.labels.rows import LABELS, Label
from carpipe.steps.people import store
from carpipe.steps.people.files import refuse_existing, write_new
from carpipe.steps.people.photos import count_unknown, describe_unknown
from carpipe.steps.people.rows import check_name, parse_time
from carpipe.steps.session import Session

# The labels of an object by its key and etag.
Parsings = store.Parsings[Label]


def import_labels(
    session: Session, data: bytes, *, at: str, by: str = "", known: Parsings | None = None
) -> store.Imported:
    """Add the labels of a file, a CSV or Label Studio's JSON, to the label set; all of them or none.

    The same file twice is one, and so is what `labels export` wrote. What counts already is not added, whoever said
    it.

    Args:
        at: time of the import, UTC, `YYYYmmddTHHMMSSZ`.
        by: who gave the labels of which the file does not say it.
        known: see `read_labels`.

    Raises:
        InputError: the file cannot be read, a row of it cannot be right, or no row has a label.
    """
    moment, by = parse_time(at, "The import of the labels"), check_name(by, "The import of the labels")
    parsed = parse_labels(data, latest=moment + store.MAX_CLOCK_AHEAD)
    if not parsed.said:
        raise InputError("The labels are empty: no row has a label.")
    added = store.add(session, _kind(session), parsed.said, source=data, moment=moment, by=by, known=known)
    return store.Imported(added.key, added.added, parsed.undecided)


def count_missing(session: Session, data: bytes) -> int:
    """How many photos of a labels file are not under `raw/`. Lists the folders that the file names."""
    return count_unknown(session, {label.key for label in parse_labels(data).said})


def read_labels(session: Session, *, known: Parsings | None = None, until: datetime | None = None) -> list[Label]:
    """Every label that was given and not taken back, with its time; of those for one photo the last counts.

    Args:
        known: what was read before, for those who ask often; what is new is added to it.
        until: UTC; what was handed in then or later is left out. None: nothing is.

    Raises:
        InputError: an object among the labels cannot be read; names it.
    """
    return store.read_all(session, _kind(session), known=known, until=until)


def current_labels(session: Session) -> dict[str, Label]:
    """The label that counts, by photo key. Raises InputError where there are none."""
    return store.current(_some_labels(session))


def export_labels(session: Session, path: Path) -> int:
    """Write all labels that count to a new file; returns how many.

    Args:
        path: `.csv`, or `.json` for Label Studio.

    Raises:
        InputError: another suffix, the file exists, or there are no labels.
    """
    if path.suffix.lower() not in (".csv", ".json"):
        raise InputError(f"{path} is no format known; name a file that ends in .csv, or in .json for Label Studio.")
    refuse_existing(path, "labels")
    labels = [label for _, label in sorted(current_labels(session).items())]
    tasks = [label_studio.write_task(label.key, image_url(session, label.key), label) for label in labels]
    write_new(path, to_csv(labels) if path.suffix.lower() == ".csv" else label_studio.to_json(tasks))
    return len(labels)


def describe_conflicts(session: Session) -> str:
    """The photos of which people disagree, as text: which, by whom, when, and which label counts."""
    lines = store.describe_disputed(store.disputed(read_labels(session)), width=8)
    return "\n".join(lines or ["No photo was given different labels."])


def describe_labels(session: Session) -> str:
    """How many photos have which label, and by whom since when, as text; overruled labels are counted apart."""
    given = read_labels(session)
    if not given:
        return _no_labels(session)
    current, conflicts = store.current(given).values(), len(store.disputed(given))
    counts = ", ".join(f"{sum(one.label == label for one in current):,} {label}" for label in LABELS)
    return "\n".join(
        [
            f"{counted(len(current), 'photo')} {'is' if len(current) == 1 else 'are'} labelled: {counts}",
            f"{conflicts:,} of them {'was' if conflicts == 1 else 'were'} given different labels (see `carpipe labels "
            "conflicts`)",
            *describe_unknown(session, {one.key for one in current}),
            "",
            *store.describe_people(given, {label: partial(_is, label) for label in LABELS}),
        ]
    )


def folder_of(session: Session) -> str:
    """Where the label set lies."""
    return f"labels/{session.config.car_filter.labels}"


def image_url(session: Session, key: str) -> str:
    """A photo's address, for those with access to the bucket."""
    return f"{session.store.url.rstrip('/')}/raw/{key}"


def _kind(session: Session) -> store.Kind[Label]:
    return store.Kind(folder_of(session), lambda data, key: parse_labels(data, committed=key).said, to_csv, "labels")


def _is(name: str, label: Label) -> bool:
    return label.label == name


def _some_labels(session: Session) -> list[Label]:
    labels = read_labels(session)
    if not labels:
        raise InputError(_no_labels(session))
    return labels


def _no_labels(session: Session) -> str:
    return f"There are no labels under {folder_of(session)}/; add some with `carpipe labels import <file>`."
