"""What one correction says: which listing, which class it is of, by whom, when. All rows of files are judged here.

A row that cannot be right is an InputError that names it; nothing of its file is used then.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from functools import cached_property

from carpipe.errors import InputError
from carpipe.names import UUID, is_printable, model_name, normalise_key
from carpipe.steps.people.rows import NAME_CHARACTERS, check_name, check_time, short, unprintable
from carpipe.taxonomy.words import WORDS


@dataclass(frozen=True)
class Correction:
    """What somebody said of a listing.

    Attributes:
        listing: its uuid.
        was: what it was taken for then, for people; empty where the file does not say.
        to: a model or a class, or one of `words.WORDS`.
        by: empty where the file does not say.
        at: UTC; null where the file does not say.
    """

    listing: str
    was: str
    to: str
    by: str = ""
    at: datetime | None = None

    @property
    def about(self) -> str:
        """The listing."""
        return self.listing

    @property
    def word(self) -> str:
        """What is said of it."""
        return self.to


@dataclass(frozen=True)
class Known:
    """What a correction may name.

    Attributes:
        listings: by uuid, the model that sellers gave most of its photos.
        names: models and classes, as they are spelled.
    """

    listings: Mapping[str, str]
    names: frozenset[str]

    @cached_property
    def spelling(self) -> dict[str, str]:
        """The name that is meant, by what its spellings have in common; words, then models, come before classes."""
        names = sorted(self.names, key=lambda name: (name == model_name(name), name))
        return {model_name(name): name for name in (*names, *WORDS)}

    def meant(self, text: str) -> str:
        """The name that somebody has written, as it is spelled; empty where there is none like it."""
        return text if text in self.names else self.spelling.get(model_name(text), "")

    def nearest(self, text: str) -> list[str]:
        """Names that look like it, the likeliest first."""
        return [self.spelling[name] for name in get_close_matches(model_name(text), self.spelling, n=3, cutoff=0.6)]


def check_row(
    cells: Mapping[str, str], where: str, *, known: Known | None = None, latest: datetime | None = None
) -> Correction | None:
    """The correction of a row, None where nobody decided. Raises InputError that names the row.

    Args:
        cells: `listing`, `from`, `to`, `by`, `at`, as a file has them.
        where: how to find the row, as in `Line 7 of the corrections`.
        known: what it may name; None takes any, as for what was said long ago.
        latest: a correction from after it is refused.
    """
    to = normalise_key(cells["to"].strip())
    if not to:
        return None
    listing = check_listing(cells["listing"], where, known=known.listings if known else None)
    was = _check_text(cells["from"], where, "from")
    by, at = check_name(cells["by"], where), check_time(cells["at"], where, latest=latest)
    return Correction(listing, was, _check_name(_check_text(to, where, "to"), where, known), by, at)


def check_listing(text: str, where: str, *, known: Collection[str] | None = None) -> str:
    """A listing's uuid. Raises InputError where it is none, or the bucket has no such listing."""
    listing = text.strip().lower()
    if not UUID.fullmatch(listing):
        raise InputError(
            f"{where} has the listing {short(text.strip())}; expected its uuid, which is the first of the two in the "
            "names of its photos, such as 0b9b1b0e-52f8-4e7c-9a80-0d3b2f9a4c11."
        )
    if known is not None and listing not in known:
        raise InputError(
            f"{where} has the listing {listing}, of which the inventory has no photo; one that was uploaded since is "
            "known after the next run."
        )
    return listing


def known_of(listings: Mapping[str, str], names: Iterable[str]) -> Known:
    """What a correction may name: listings with their models, and the names of a taxonomy beside these models."""
    return Known(listings, frozenset({*names, *listings.values()}))


def _check_name(to: str, where: str, known: Known | None) -> str:
    if "/" in to or not is_printable(to):  # no folder and no class has such a name
        raise InputError(f"{where} says {short(to)}, which is no name of a model or a class.")
    if known is None:
        return to if to in WORDS else _spelled(to)
    if meant := known.meant(to):
        return meant
    nearest = known.nearest(to)
    hint = f"Did you mean {' or '.join(map(repr, nearest))}?" if nearest else "`carpipe classes show` prints names."
    raise InputError(
        f"{where} says {short(to)}, which is neither a model of the photos nor a class or model of the taxonomy, nor "
        f"{', '.join(WORDS)}. {hint}"
    )


def _spelled(to: str) -> str:
    """A word in other letters is the word; a name stays as it is."""
    return model_name(to) if model_name(to) in WORDS else to


def _check_text(text: str, where: str, column: str) -> str:
    text = normalise_key(text.strip())
    if len(text) > NAME_CHARACTERS or unprintable(text):
        raise InputError(
            f"{where} has {short(text)} in the column `{column}`; expected a name of {NAME_CHARACTERS} characters at "
            "most."
        )
    return text
