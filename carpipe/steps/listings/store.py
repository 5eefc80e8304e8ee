"""Corrections: which class a listing is really of, by people, kept append-only under `labels/classes/`.

Each import is one object of `carpipe.steps.people.store`: columns `listing,from,to,by,at`. They are an overlay: the
stage `classes` applies them, and `raw/` stays as it is.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from carpipe.errors import InputError
from carpipe.steps.listings.files import parse_corrections, to_csv
from carpipe.steps.listings.rows import Correction, Known, check_row
from carpipe.steps.people import store
from carpipe.steps.people.files import refuse_existing, write_new
from carpipe.steps.people.rows import check_name, parse_time, write_time
from carpipe.steps.session import Session
from carpipe.taxonomy.words import SELLER_IS_RIGHT, WORDS

FOLDER = "labels/classes"
# The corrections of an object by its key and etag.
Parsings = store.Parsings[Correction]


def correct_listing(
    session: Session,
    listing: str,
    to: str,
    *,
    known: Known,
    at: str,
    by: str = "",
    read: Parsings | None = None,
) -> Correction:
    """Keep what somebody says of one listing.

    Args:
        listing: its uuid.
        to: a model or a class, or one of `words.WORDS`.
        known: what it may name.
        at: now, UTC, ISO 8601.
        by: who says it.
        read: see `read_corrections`.

    Returns:
        What counts: what somebody else has said before, where this is the same.

    Raises:
        InputError: there is no such listing, or nothing of that name; says the nearest names.
    """
    store.check_free(session, KIND)
    cells = {"listing": listing, "from": "", "to": to, "by": by, "at": at}
    found = check_row(cells, "The correction", known=known)
    if found is None:
        raise InputError(f"The correction says nothing; name a model or a class, or one of {', '.join(WORDS)}.")
    [said] = _with_before(session, [found], known, read=read)
    moment = parse_time(at, "The correction")
    added = store.add(session, KIND, [said], source=to_csv([said]), moment=moment, by=said.by, known=read)
    return said if added.added else store.current(read_corrections(session, read=read))[said.listing]


def import_corrections(
    session: Session, data: bytes, *, known: Known, at: str, by: str = "", read: Parsings | None = None
) -> store.Imported:
    """Keep the corrections of a CSV; all of them or none.

    The same file twice is one, and so is what `listings export` wrote. What counts already is not added, whoever
    said it.

    Args:
        known: what they may name.
        at: time of the import, UTC, ISO 8601.
        by: who gave the corrections of which the file does not say it.
        read: see `read_corrections`.

    Raises:
        InputError: the file cannot be read, a row of it cannot be right, or no row says anything.
    """
    store.check_free(session, KIND)
    moment, by = parse_time(at, "The import of the corrections"), check_name(by, "The import of the corrections")
    parsed = parse_corrections(data, known=known, latest=moment + store.MAX_CLOCK_AHEAD)
    if not parsed.said:
        raise InputError("The corrections are empty: no row has anything in the column `to`.")
    given = _with_before(session, parsed.said, known)
    added = store.add(session, KIND, given, source=data, moment=moment, by=by, known=read)
    return store.Imported(added.key, added.added, parsed.undecided)


def read_corrections(session: Session, *, read: Parsings | None = None) -> list[Correction]:
    """Everything that was ever said of listings, with its time; of what was said of one the last counts.

    Args:
        read: what was read before, for those who ask often; what is new is added to it.

    Raises:
        InputError: an object among the corrections cannot be read; names it.
    """
    return store.read_if_free(session, KIND, known=read)


def current_corrections(session: Session) -> dict[str, Correction]:
    """What counts, by listing: also that the seller is right. Listings that are gone are among them."""
    return store.current(read_corrections(session))


def effective(corrections: Mapping[str, Correction]) -> dict[str, str]:
    """What changes a dataset: model, class or word by listing, sorted."""
    return {listing: one.to for listing, one in sorted(corrections.items()) if one.to != SELLER_IS_RIGHT}


def export_corrections(session: Session, path: Path) -> int:
    """Write what counts to a new CSV; returns of how many listings.

    Raises:
        InputError: another suffix, the file exists, or there are none.
    """
    if path.suffix.lower() != ".csv":
        raise InputError(f"{path} is no format known; name a file that ends in .csv.")
    refuse_existing(path, "corrections")
    said = [one for _, one in sorted(current_corrections(session).items())]
    if not said:
        raise InputError(f"There are no corrections under {FOLDER}/; `carpipe listings correct` adds one.")
    write_new(path, to_csv(said))
    return len(said)


def conflicts(said: list[Correction]) -> dict[str, list[Correction]]:
    """What was said of listings about which two people disagree, by the last word of each."""
    return dict(store.disputed(said))


def told(one: Correction) -> str:
    """A correction as a line for people."""
    was = f"was {one.was}, " if one.was else ""
    return f"{one.to} ({was}by {one.by or '(unknown)'}, {write_time(one.at)})"


def _read(data: bytes, key: str) -> list[Correction]:
    return parse_corrections(data, committed=key).said


KIND = store.Kind(FOLDER, _read, to_csv, "corrections of listings")


def _with_before(
    session: Session, given: list[Correction], known: Known, *, read: Parsings | None = None
) -> list[Correction]:
    """With what each listing was taken for until now, where it does not say so."""
    current = store.current(read_corrections(session, read=read))
    names = {listing: one.to for listing, one in current.items() if one.to not in WORDS}
    return [
        one if one.was else replace(one, was=names.get(one.listing, known.listings.get(one.listing, "")))
        for one in given
    ]
