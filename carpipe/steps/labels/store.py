"""Labels: car / no car, by people, kept append-only under `labels/<name>/`.

Each import is one object that never changes, `<time of import>-<digest>.csv`: columns `key,label,by,at`. Of several
labels for a photo the latest counts: by the row's `at`, or the time of import where the row has none; of two given at
the same time the one in the later object, and in it the one further down. Files that were put there by hand, and
those of earlier versions without `by` and `at`, are read alike.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from carpipe.errors import InputError
from carpipe.forms import LaterFormError
from carpipe.names import match_key, normalise_key
from carpipe.steps.labels import label_studio
from carpipe.steps.labels.files import parse_labels, to_csv
from carpipe.steps.labels.rows import LABELS, Label, check_name, parse_time, write_time
from carpipe.steps.session import Session
from carpipe.storage import ObjectInfo

_IMPORTED_AT = re.compile(r"(\d{8}T\d{6}Z)-")
# Of a file of labels, at most: those of two million photos.
MAX_LABELS_BYTES = 256_000_000
# Clocks differ, and a time without a zone may be the labeller's own. Later ones would count for ever.
MAX_CLOCK_AHEAD = timedelta(days=1)


# The labels of an object by its key and etag.
Parsings = dict[tuple[str, str], list[Label]]


@dataclass(frozen=True)
class Imported:
    """Where an import lies, how many labels it added, and how many photos of the file nobody has decided.

    Nothing was added where the file, or all it says, was there already.
    """

    key: str
    added: int
    undecided: int


def import_labels(session: Session, data: bytes, *, at: str, by: str = "", known: Parsings | None = None) -> Imported:
    """Add the labels of a file, a CSV or Label Studio's JSON, to the label set; all of them or none.

    The same file twice is one, and so is what `labels export` wrote: labels that count already are not added.

    Args:
        at: time of the import, UTC, `YYYYmmddTHHMMSSZ`.
        by: who gave the labels of which the file does not say it.
        known: see `read_labels`.

    Raises:
        InputError: the file cannot be read, a row of it cannot be right, or no row has a label.
    """
    moment, by = parse_time(at, "The import"), check_name(by, "The import")
    parsed = parse_labels(data, latest=moment + MAX_CLOCK_AHEAD)
    if not parsed.labels:
        raise InputError("The labels are empty: no row has a label.")
    name = f"{hashlib.sha256(data + (f'{chr(0)}{by}'.encode() if by else b'')).hexdigest()[:12]}.csv"
    for info in session.store.list_usable(folder_of(session)):
        if info.key.endswith(f"-{name}"):
            return Imported(info.key, 0, parsed.undecided)
    stamped = [replace(label, by=label.by or by, at=label.at or moment) for label in parsed.labels]
    new = _unknown(stamped, read_labels(session, known=known))
    key = f"{folder_of(session)}/{moment:%Y%m%dT%H%M%SZ}-{name}"
    if new:
        session.store.create(key, to_csv(new))
    return Imported(key if new else "", len(new), parsed.undecided)


def read_file(path: Path) -> bytes:
    """A file of labels on this machine. Raises InputError where it is larger than such files are."""
    with path.open("rb") as file:
        data = file.read(MAX_LABELS_BYTES + 1)
    if len(data) > MAX_LABELS_BYTES:
        raise InputError(
            f"{path} has more than {MAX_LABELS_BYTES:,} bytes: import it in several files, if it holds labels."
        )
    return data


def count_missing(session: Session, data: bytes) -> int:
    """How many photos of a labels file are not under `raw/`. Lists the folders that the file names."""
    keys = {label.key for label in parse_labels(data).labels}
    wanted = {key.partition("/")[0] for key in keys}
    # As they are really written: in one name, some letters may be composed and others not.
    folders = [one for one in session.store.list_folders("raw") if _top(one) in wanted]
    there = (info.key for folder in folders for info in session.store.list_objects(folder))
    return len(keys - {match_key(key.removeprefix("raw/")) for key in there})


def read_labels(session: Session, *, known: Parsings | None = None) -> list[Label]:
    """Every label that was ever given, with its time; of those for one photo the last counts.

    Args:
        known: what was read before, for those who ask often; what is new is added to it.

    Raises:
        InputError: an object among the labels cannot be read; names it.
    """
    folder = folder_of(session)
    # Right below the folder: candidates of a channel of that name lie deeper.
    files = [info for info in session.store.list_usable(folder) if "/" not in info.key.removeprefix(f"{folder}/")]
    known = {} if known is None else known
    versions = {info.key: (info.key, info.etag) for info in sorted(files, key=lambda info: info.key)}
    times = {info.key: _imported_at(info) for info in files}
    new = [key for key, version in versions.items() if version not in known]
    for key, data in session.store.get_many(new, max_bytes=MAX_LABELS_BYTES):
        try:
            found = parse_labels(data or b"", committed=key).labels
        except LaterFormError:
            raise
        except InputError as error:
            raise InputError(f"{key} cannot be used, correct it or delete it: {error}") from None
        known[versions[key]] = [replace(label, at=label.at or times[key]) for label in found]
    labels = [label for version in versions.values() for label in known[version]]
    return sorted(labels, key=_time)  # stable: equal times stay in the order of objects and lines


def current_labels(session: Session) -> dict[str, Label]:
    """The label that counts, by photo key. Raises InputError where there are none."""
    return _current(_some_labels(session))


def export_labels(session: Session, path: Path) -> int:
    """Write all labels that count to a new file; returns how many.

    Args:
        path: `.csv`, or `.json` for Label Studio.

    Raises:
        InputError: another suffix, the file exists, or there are no labels.
    """
    if path.suffix.lower() not in (".csv", ".json"):
        raise InputError(f"{path} is no format known; name a file that ends in .csv, or in .json for Label Studio.")
    refuse_existing(path)
    labels = [label for _, label in sorted(current_labels(session).items())]
    tasks = [label_studio.write_task(label.key, image_url(session, label.key), label) for label in labels]
    write_new(path, to_csv(labels) if path.suffix.lower() == ".csv" else label_studio.to_json(tasks))
    return len(labels)


def describe_conflicts(session: Session) -> str:
    """The photos for which different labels were given, as text: which, by whom, when, and which counts."""
    lines = []
    for key, given in _conflicts(read_labels(session)).items():
        lines.append(key)
        lines += [f"  {label.label:<8} {write_time(label.at)}  {label.by or '(unknown)'}" for label in given[:-1]]
        lines.append(f"  {given[-1].label:<8} {write_time(given[-1].at)}  {given[-1].by or '(unknown)'}  (counts)")
    return "\n".join(lines or ["No photo was given different labels."])


def describe_labels(session: Session) -> str:
    """How many photos have which label, and by whom since when, as text; overruled labels are counted apart."""
    given = _some_labels(session)
    current, conflicts = _current(given).values(), len(_conflicts(given))
    counts = ", ".join(f"{sum(one.label == label for one in current):,} {label}" for label in LABELS)
    people: dict[str, list[Label]] = {}
    for label in given:
        people.setdefault(label.by, []).append(label)
    return "\n".join(
        [
            f"{len(current):,} photos are labelled: {counts}",
            f"{conflicts:,} of them were given different labels (see `carpipe labels conflicts`)",
            "",
            " ".join(f"{label:>9}" for label in (*LABELS, "overruled"))
            + "   first                last                 by",
            *(_describe(by, people[by], {*current}) for by in sorted(people)),
        ]
    )


def folder_of(session: Session) -> str:
    """Where the label set lies."""
    return f"labels/{session.config.car_filter.labels}"


def image_url(session: Session, key: str) -> str:
    """A photo's address, for those with access to the bucket."""
    return f"{session.store.url.rstrip('/')}/raw/{key}"


def refuse_existing(path: Path) -> None:
    """Raise InputError where the file exists: it may hold somebody's labels."""
    if path.exists():
        raise InputError(f"{path} exists, and may hold labels; name another file or remove it.")


def write_new(path: Path, data: bytes) -> None:
    """Write a whole file, or none. Raises FileExistsError where there is one already."""
    with path.open("xb") as file:
        try:
            file.write(data)
            file.flush()
        except OSError:
            path.unlink()
            raise


def _some_labels(session: Session) -> list[Label]:
    labels = read_labels(session)
    if not labels:
        raise InputError(
            f"There are no labels under {folder_of(session)}/; add some with `carpipe labels import <file>`."
        )
    return labels


def _unknown(labels: Iterable[Label], known: list[Label]) -> list[Label]:
    """The labels that say something new: not those that count already, or have been overruled since."""
    current, seen = _current(known), set(known)
    return [
        label
        for label in labels
        if label != current.get(label.key) and not (label in seen and _time(label) < _time(current[label.key]))
    ]


def _current(labels: Iterable[Label]) -> dict[str, Label]:
    return {label.key: label for label in labels}


def _conflicts(labels: Iterable[Label]) -> Mapping[str, list[Label]]:
    """All that was said of the photos for which different labels were given, once each, in their order."""
    given: dict[str, list[Label]] = {}
    for label in labels:
        said = given.setdefault(label.key, [])
        if label in said:
            said.remove(label)
        said.append(label)
    return {key: said for key, said in sorted(given.items()) if len({label.label for label in said}) > 1}


def _describe(by: str, labels: list[Label], current: set[Label]) -> str:
    counting = {*labels} & current
    numbers = [*(sum(one.label == label for one in counting) for label in LABELS), len({*labels} - current)]
    counts = " ".join(f"{number:>9,}" for number in numbers)
    times = sorted(_time(label) for label in labels)
    first, last = (write_time(moment.replace(microsecond=0)) for moment in (times[0], times[-1]))
    return f"{counts}   {first} {last} {by or '(unknown)'}"


def _top(folder: str) -> str:
    """A folder right under `raw/` as the keys of labels begin with it."""
    return normalise_key(folder.removeprefix("raw/").lstrip())


def _imported_at(info: ObjectInfo) -> datetime:
    """The time in an object's name, or when it was written: people may put files there by hand."""
    match = _IMPORTED_AT.match(info.key.rpartition("/")[2])
    if match:
        return parse_time(match[1], info.key)
    return info.modified or datetime.min.replace(tzinfo=UTC)


def _time(label: Label) -> datetime:
    return label.at or datetime.min.replace(tzinfo=UTC)
