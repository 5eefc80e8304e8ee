"""Listings for a person to decide on: suspects, those that people disagree about, and second opinions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from carpipe.steps.cache import ResultCache
from carpipe.steps.data.listings import names_for
from carpipe.steps.listings.rows import Correction, Known
from carpipe.steps.listings.store import conflicts, read_corrections
from carpipe.steps.people import store
from carpipe.steps.views.one_photo import Picture, pictures
from carpipe.steps.views.suspects import newest_suspects, suspect_rows

if TYPE_CHECKING:
    from carpipe.photo_index import PhotoIndex

Queue = Literal["suspects", "disputed", "second", "mine"]
EXAMPLES = 8  # pictures of a class
SEED = 20  # of their choice


@dataclass(frozen=True)
class Case:
    """A listing to decide on.

    Attributes:
        listing: its uuid.
        model: what the seller said it is; empty where the dataset has no photo of it.
        given, suggested: its class, and the one that it rather is; empty where nothing is suggested.
        why: what speaks for that, a sentence; empty where nothing does.
        photos: all of its photos.
        of_given, of_suggested: examples of both classes, of other cars.
        said: what people have said of it so far; empty where that is not to be seen.
    """

    listing: str
    model: str
    given: str
    suggested: str
    why: str
    photos: Sequence[Picture]
    of_given: Sequence[Picture]
    of_suggested: Sequence[Picture]
    said: Sequence[Correction]


def read_said(cache: ResultCache) -> list[Correction]:
    """All that was said of listings; what was read before is kept."""
    return read_corrections(cache.session, read=cache.get(("corrections",), dict))


def queue(cache: ResultCache, name: Queue, *, by: str) -> list[str]:
    """The listings that wait in a queue, in the order in which they are decided.

    Args:
        by: who asks. Second opinions are of what others have decided; `mine` is what this person has, the newest first.
    """
    said = read_said(cache)
    if name == "disputed":
        return [*conflicts(said)]
    if name == "mine":
        return [*dict.fromkeys(one.listing for one in reversed(said) if one.by == by)]
    if name == "second":
        mine = {one.listing for one in said if one.by == by}
        return [listing for listing in store.current(said) if listing not in mine]
    decided = store.current(said)
    return [one["listing"] for one in suspect_rows(cache) if one["listing"] not in decided]


def was_judged(cache: ResultCache) -> bool:
    """Whether a list of suspects was ever made."""
    return newest_suspects(cache) is not None


def show_case(cache: ResultCache, index: "PhotoIndex", listing: str, *, blind: bool = False) -> Case:
    """A listing to decide on.

    Args:
        blind: what others have said is not to be seen.
    """
    photos = pictures(index, "listing_uuid = ?", [listing])
    row: Mapping[str, Any] = next((one for one in suspect_rows(cache) if one["listing"] == listing), {})
    model = _model(index, listing)
    given = row.get("from") or _class_of(index, model)
    suggested = row.get("suggested", "")
    said = [] if blind else [one for one in read_said(cache) if one.listing == listing]
    return Case(
        listing=listing,
        model=model,
        given=given,
        suggested=suggested,
        why=row.get("why", ""),
        photos=photos,
        of_given=examples(index, given, apart_from=listing),
        of_suggested=examples(index, suggested, apart_from=listing),
        said=said,
    )


def known_names(cache: ResultCache, index: "PhotoIndex", listing: str) -> Known:
    """What a correction of this listing may name: models of the dataset, and the names of the taxonomy."""
    query = "SELECT DISTINCT model FROM photos WHERE model IS NOT NULL"
    models = cache.get(("models", index.path.name), lambda: [one["model"] for one in index.select(query)])
    model = _model(index, listing)
    known = names_for(cache.session, {listing: model} if model else {})
    return Known(known.listings, known.names | {*models})


def examples(index: "PhotoIndex", class_name: str, *, apart_from: str) -> Sequence[Picture]:
    """Some pictures of a class, of different cars."""
    query = (
        "SELECT min(row) AS row FROM photos WHERE class_name = ? AND dropped IS NULL AND listing_uuid <> ? "
        "GROUP BY vehicle ORDER BY hash(min(row) + ?) LIMIT ?"
    )
    rows = [one["row"] for one in index.select(query, [class_name, apart_from, SEED, EXAMPLES])]
    return pictures(index, "row IN (SELECT unnest(?))", [rows])


def _model(index: "PhotoIndex", listing: str) -> str:
    """What the seller says that a listing is; empty where the dataset has no photo of it."""
    query = (
        "SELECT model AS name FROM photos WHERE listing_uuid = ? AND model IS NOT NULL "
        "GROUP BY ALL ORDER BY count(*) DESC, name LIMIT 1"
    )
    return next((one["name"] for one in index.select(query, [listing])), "")


def _class_of(index: "PhotoIndex", model: str) -> str:
    """The class of a model where nobody has corrected a listing; empty where it has none."""
    query = (
        "SELECT class_name AS name FROM photos WHERE model = ? AND class_name IS NOT NULL AND corrected IS NULL "
        "GROUP BY ALL ORDER BY count(*) DESC, name LIMIT 1"
    )
    return next((one["name"] for one in index.select(query, [model])), "")
