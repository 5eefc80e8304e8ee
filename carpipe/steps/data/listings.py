"""What is known of listings: which there are, which names people may correct them to, and what they have said."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from carpipe import manifest
from carpipe.errors import InputError
from carpipe.names import counted, shown
from carpipe.steps import results
from carpipe.steps.data.inventory import latest_inventory
from carpipe.steps.listings.rows import Correction, Known, known_of
from carpipe.steps.listings.store import conflicts, read_corrections
from carpipe.steps.moves.store import current_taxonomy
from carpipe.steps.people import store
from carpipe.steps.session import Session
from carpipe.taxonomy.words import WORDS

if TYPE_CHECKING:
    from carpipe.taxonomy.rules import Taxonomy

# Of the columns about people: what names a model or a class.
CORRECTED = "corrected"


def known_listings(session: Session) -> Known:
    """What a correction may name: listings of the newest inventory, their models, and the names of the taxonomy.

    Reads the photo tables of all partitions.

    Raises:
        InputError: there is no inventory yet.
        ConfigError: the taxonomy has a fault.
    """
    found = _models_by_listing(session)
    if found is None:
        raise InputError("There is no inventory yet; run `prepare_dataset`, or `carpipe step inventory`.")
    return known_of(found, _names(current_taxonomy(session)))


def names_for(session: Session, listings: Mapping[str, str]) -> Known:
    """What a correction of some listings may name: models of theirs, and the names of the taxonomy.

    For those who know the listings already, and so need not read the photo tables.

    Args:
        listings: by uuid, the model that the seller gave.
    """
    return known_of(listings, _names(current_taxonomy(session)))


def describe_corrections(session: Session) -> str:
    """How many listings were corrected, what fits no longer, by whom, and what people disagree about, as text."""
    said = read_corrections(session)
    if not said:
        return "Nothing was said of any listing; `carpipe listings correct <uuid> <class>` says something."
    current, disputed = store.current(said), conflicts(said)
    words = {word: sum(one.to == word for one in current.values()) for word in WORDS}
    named = len(current) - sum(words.values())
    counts = ", ".join([f"{named:,} {CORRECTED}", *(f"{number:,} {word}" for word, number in words.items())])
    columns = {CORRECTED: partial(_is, ""), **{word: partial(_is, word) for word in WORDS}}
    lines = [f"{counted(len(current), 'listing')}: {counts}", *_fits_no_longer(session, current)]
    lines += ["", *store.describe_people(said, columns)]
    if disputed:
        width = max(len(one.to) for words in disputed.values() for one in words)
        lines += ["", f"People disagree about {len(disputed):,} of them:"]
        lines += store.describe_disputed(disputed, width=width)
    return "\n".join(map(shown, lines))


def _is(word: str, one: Correction) -> bool:
    """Whether it says the word; none: whether it names a model or a class."""
    return one.to == word if word else one.to not in WORDS


def _fits_no_longer(session: Session, current: Mapping[str, Correction]) -> Iterator[str]:
    """Listings that are gone, and names that mean nothing by now."""
    found = _models_by_listing(session)
    if found is None:
        return
    if gone := sum(listing not in found for listing in current):
        yield f"{gone:,} of them are gone: the newest inventory has no photo of them"
    known = known_of(found, _names(current_taxonomy(session)))
    strange = [one for one in current.values() if one.listing in found and not known.meant(one.to)]
    for name in sorted({one.to for one in strange}):
        listings = sum(one.to == name for one in strange)
        yield f"{listings:,} of them were corrected to {name}, which neither the photos nor the taxonomy know"


def _models_by_listing(session: Session) -> dict[str, str] | None:
    """The model that most photos of a listing have; None where there is no inventory."""
    import pandas as pd

    state = latest_inventory(session)
    if state is None:
        return None
    columns = ["listing_uuid", "model", "dropped"]
    parts = [manifest.read(session.store, part["manifest"]) for part in state.partitions]
    photos = pd.concat([results.read_photos(session.store, part, columns=columns) for part in parts])
    photos = photos[photos["listing_uuid"].notna() & (photos["dropped"].astype("str") != "forgotten")]
    sizes = photos.groupby(["listing_uuid", "model"]).size().reset_index(name="photos")
    sizes = sizes.sort_values(["photos", "model"], ascending=[False, True]).drop_duplicates("listing_uuid")
    return dict(zip(sizes["listing_uuid"].tolist(), sizes["model"].tolist(), strict=True))


def _names(taxonomy: "Taxonomy") -> set[str]:
    """Models and classes of the rules."""
    return {*taxonomy.models, *taxonomy.classes}
