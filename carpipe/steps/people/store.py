"""What people say of things, kept append-only: each import is one object that never changes.

Its name is `<time of import>-<digest>.csv`. Of several words about one thing the latest counts: by the row's `at`, or
the time of import where the row has none; of two at the same time the one in the later object, and in it the one
further down. Files that were put there by hand are read alike.

Words can be taken back by who said them, where their kind knows that. A taking back is a row more, which says no word
and when the word was said: what counts about the thing is then what counted before. carpipe 0.1.0 passes over such
rows, so the word goes on to count there.
"""

import hashlib
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from carpipe.backports import UTC
from carpipe.errors import InputError
from carpipe.forms import LaterFormError
from carpipe.names import counted
from carpipe.steps import bundles
from carpipe.steps.people import files
from carpipe.steps.people.rows import parse_time, write_time
from carpipe.steps.session import Session
from carpipe.storage import ObjectInfo

log = logging.getLogger(__name__)

_IMPORTED_AT = re.compile(r"(\d{8}T\d{6}Z)-")
# Clocks differ, and a time without a zone may be the speaker's own. Later ones would count for ever.
MAX_CLOCK_AHEAD = timedelta(days=1)


class Said(Protocol):
    """One thing that somebody said: a frozen dataclass. `by` is empty and `at` (UTC) null where nobody knows."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def about(self) -> str:
        """The thing that it is about."""

    @property
    def word(self) -> str:
        """What is said of it."""

    @property
    def by(self) -> str:
        """Who said it."""

    @property
    def at(self) -> datetime | None:
        """When."""


class TakesBack(Said, Protocol):
    """Something said that may be no word, but one that is taken back."""

    @property
    def taken_back(self) -> datetime | None:
        """When the word was said, by the same person of the same thing. None where this is a word itself."""


T = TypeVar("T", bound=Said)
# What an object says, by its key and etag.
Parsings = dict[tuple[str, str], list[T]]


@dataclass(frozen=True)
class Kind(Generic[T]):
    """One kind of what people say.

    Attributes:
        folder: where it lies in the bucket.
        read: what a committed object says, of its bytes and key.
        write: the CSV of it.
        what: it for messages, in the plural, such as `corrections of listings`.
    """

    folder: str
    read: Callable[[bytes, str], list[T]]
    write: Callable[[Iterable[T]], bytes]
    what: str


@dataclass(frozen=True)
class Added:
    """Where an import lies and how many words it added. None where the file, or all it says, was there already."""

    key: str
    added: int


@dataclass(frozen=True)
class Imported(Added):
    """As `Added`; and of how many things of a file nobody has decided."""

    undecided: int


def add(
    session: Session,
    kind: Kind[T],
    given: Sequence[T],
    *,
    source: bytes,
    moment: datetime,
    by: str,
    known: Parsings[T] | None = None,
) -> Added:
    """Keep what somebody has handed in, all of it. The same file twice is one, whoever hands it in.

    What counts already is not added, whoever said it: nobody's name is overruled by a repetition.

    Args:
        source: the file that it was read from.
        moment: the time of what has none.
        by: who said what has no name.
        known: see `read_all`.
    """
    there = {info.key.rpartition("-")[2]: info.key for info in session.store.list_usable(kind.folder)}
    said = _read_everything(session, kind, known=known)
    name, *others = _file_names(source, [by, *sorted({"", *(one.by for one in said)})])
    for one in (name, *others):
        if one in there:
            return Added(there[one], 0)
    stamped = [_stamped(one, by=one.by or by, at=one.at or moment) for one in given]
    new = _unknown(stamped, said)
    key = f"{kind.folder}/{moment:%Y%m%dT%H%M%SZ}-{name}"
    if new:
        session.store.create(key, kind.write(new))
    return Added(key if new else "", len(new))


def describe_import(done: Imported, one: str, *, of: str) -> str:
    """What an import came to, as a line of text.

    Args:
        one: what its rows are, such as `label`, and `of` what they are about, such as `photo`.
    """
    if done.added:
        said = f"{counted(done.added, one)} added as {done.key}"
    else:
        said = f"nothing added: {f'the file is there already as {done.key}' if done.key else 'all is known'}"
    if done.undecided:
        said += f"; {counted(done.undecided, of)} {'is' if done.undecided == 1 else 'are'} not decided"
    return said


def read_all(
    session: Session, kind: Kind[T], *, known: Parsings[T] | None = None, until: datetime | None = None
) -> list[T]:
    """What was said and not taken back, with its time, in the order in which it counts: the last about a thing does.

    Args:
        known: what was read before, for those who ask often; what is new is added to it.
        until: UTC; what was handed in then or later is left out. None: nothing is.

    Raises:
        InputError: an object cannot be read; names it.
    """
    return standing(_read_everything(session, kind, known=known, until=until))


def standing(said: Iterable[T]) -> list[T]:
    """The words that nobody has taken back, in their order."""
    said = list(said)
    gone = {(one.about, one.by, back) for one in said if (back := _taken_back(one))}
    if not gone:
        return said
    return [one for one in said if not _taken_back(one) and (one.about, one.by, one.at) not in gone]


def _read_everything(
    session: Session, kind: Kind[T], *, known: Parsings[T] | None = None, until: datetime | None = None
) -> list[T]:
    """As `read_all`, with what was taken back, and the rows that say so."""
    folder = kind.folder
    # Right below the folder: candidates of a channel of that name lie deeper.
    there = [info for info in session.store.list_usable(folder) if "/" not in info.key.removeprefix(f"{folder}/")]
    there = [info for info in there if until is None or _imported_at(info) < until]
    known = {} if known is None else known
    versions = {info.key: (info.key, info.etag) for info in sorted(there, key=lambda info: info.key)}
    times = {info.key: _imported_at(info) for info in there}
    new = [info for info in sorted(there, key=lambda info: info.key) if versions[info.key] not in known]
    for key, data in bundles.read_objects(session, folder, new, max_bytes=files.MAX_BYTES):
        try:
            found = kind.read(data or b"", key)
        except LaterFormError:
            raise
        except InputError as error:
            raise InputError(f"{key} cannot be used, correct it or delete it: {error}") from None
        known[versions[key]] = [_stamped(one, by=one.by, at=one.at or times[key]) for one in found]
    said = [one for version in versions.values() for one in known[version]]
    return sorted(said, key=_time)  # stable: equal times stay in the order of objects and lines


def read_if_free(
    session: Session, kind: Kind[T], *, known: Parsings[T] | None = None, until: datetime | None = None
) -> list[T]:
    """As `read_all`; nothing, and a warning, where the folder is the car filter's. Raises as `read_all` does."""
    if _is_taken(session, kind):
        log.warning("%s/ is the car filter's (`car_filter.labels`): no %s are read", kind.folder, kind.what)
        return []
    return read_all(session, kind, known=known, until=until)


def check_free(session: Session, kind: Kind[T]) -> None:
    """Raise InputError where what lies in the folder are labels of the car filter."""
    if _is_taken(session, kind):
        raise InputError(
            f"{kind.folder}/ holds labels of the car filter, since `car_filter.labels` names it: {kind.what} need that "
            "place. Move the labels to another folder of labels/, and set `car_filter.labels` to its name."
        )


def current(said: Iterable[T]) -> dict[str, T]:
    """What counts, by the thing that it is about."""
    return {one.about: one for one in said}


def disputed(said: Iterable[T]) -> Mapping[str, list[T]]:
    """All that was said of the things about which people disagree, by the last word of each, in its order.

    Who has changed their mind disagrees with nobody. Each word without a name may be another person's.
    """
    given: dict[str, list[T]] = {}
    for one in said:
        words = given.setdefault(one.about, [])
        if one in words:
            words.remove(one)
        words.append(one)
    return {about: words for about, words in sorted(given.items()) if len(_last_words(words)) > 1}


def describe_disputed(found: Mapping[str, Sequence[T]], *, width: int) -> list[str]:
    """For each thing, a line per word about it: what, when, by whom, and which counts."""
    lines = []
    for about, words in found.items():
        lines.append(about)
        lines += [f"  {one.word:<{width}} {write_time(one.at)}  {one.by or '(unknown)'}" for one in words]
        lines[-1] += "  (counts)"
    return lines


def describe_people(said: Iterable[T], columns: Mapping[str, Callable[[T], bool]]) -> list[str]:
    """A table: by person, how many of the words that count are of each column, how many were overruled, and when.

    Args:
        columns: of a name, whether a word belongs there.
    """
    said = list(said)
    counts = {*current(said).values()}
    people: dict[str, list[T]] = {}
    for one in said:
        people.setdefault(one.by, []).append(one)
    widths = {name: max(9, len(name)) for name in (*columns, "overruled")}
    head = " ".join(f"{name:>{width}}" for name, width in widths.items())
    return [
        f"{head}   first                last                 by",
        *(_describe(by, people[by], counts, columns, widths) for by in sorted(people)),
    ]


def _describe(
    by: str, mine: list[T], counts: set[T], columns: Mapping[str, Callable[[T], bool]], widths: Mapping[str, int]
) -> str:
    counting = {*mine} & counts
    numbers = [*(sum(map(belongs, counting)) for belongs in columns.values()), len({*mine} - counts)]
    shown = " ".join(f"{number:>{width},}" for number, width in zip(numbers, widths.values(), strict=True))
    times = sorted(map(_time, mine))
    first, last = (write_time(moment.replace(microsecond=0)) for moment in (times[0], times[-1]))
    return f"{shown}   {first} {last} {by or '(unknown)'}"


def _last_words(words: Iterable[Said]) -> set[str]:
    last = {one.by or place: one.word for place, one in enumerate(words)}
    return {*last.values()}


def _taken_back(one: Said) -> datetime | None:
    """See `TakesBack`; None of kinds that do not know it."""
    return getattr(one, "taken_back", None)


def _file_names(source: bytes, people: Iterable[str]) -> list[str]:
    """What the object of a file is called after its time, by who hands it in."""
    names, content = [], hashlib.sha256(source)
    for by in people:
        digest = content.copy()
        digest.update(f"{chr(0)}{by}".encode() if by else b"")
        names.append(f"{digest.hexdigest()[:12]}.csv")
    return names


def _unknown(given: Iterable[T], known: list[T]) -> list[T]:
    """What says something new, in the order of its times: not what counts already, nor what has been overruled since.

    Who has last said something else thinks again. That is new, also where it is what counts. Words are taken back that
    are there, once.
    """
    stand = standing(known)
    counting, seen = current(stand), set(known)
    last = {(one.about, one.by): one.word for one in stand}
    there = {(one.about, one.by, one.at) for one in stand}
    new = []
    for one in sorted(given, key=_time):  # a file need not be sorted, and what is left out must not change what counts
        if back := _taken_back(one):
            if (one.about, one.by, back) in there:
                new.append(one)
            continue
        counts = counting.get(one.about)
        if counts and (_repeats(one, counts, last) or (one in seen and _time(one) < _time(counts))):
            continue
        new.append(one)
        last[one.about, one.by] = one.word
        if counts is None or _time(one) >= _time(counts):
            counting[one.about] = one
    return new


def _repeats(one: Said, counts: Said, last: Mapping[tuple[str, str], str]) -> bool:
    """Whether it says what counts, and is no change of mind.

    Args:
        last: what somebody has last said of a thing.
    """
    return one.word == counts.word and (not one.by or last.get((one.about, one.by), one.word) == one.word)


def _is_taken(session: Session, kind: Kind[T]) -> bool:
    """Whether somebody has called the car filter's label set as the folder is called."""
    return f"labels/{session.config.car_filter.labels}" == kind.folder


def _stamped(one: T, **facts: Any) -> T:
    return replace(one, **facts)


def _imported_at(info: ObjectInfo) -> datetime:
    """The time in an object's name, or when it was written: people may put files there by hand."""
    match = _IMPORTED_AT.match(info.key.rpartition("/")[2])
    if match:
        return parse_time(match[1], info.key)
    return info.modified or datetime.min.replace(tzinfo=UTC)


def _time(one: Said) -> datetime:
    return one.at or datetime.min.replace(tzinfo=UTC)
