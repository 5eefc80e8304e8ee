"""Which photos people should label next, and what the filter says of them.

At random, to train a first car filter and to judge one fairly; those that the filter is least sure of, from which the
next one learns most; cars from outside first, for labels of views; or as predicted, so that pages of one answer are
accepted as a whole.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from carpipe import manifest
from carpipe.errors import InputError
from carpipe.manifest import Manifest
from carpipe.names import match_key
from carpipe.steps import results
from carpipe.steps.data.inventory import Inventory, forgotten_listings, latest_inventory
from carpipe.steps.labels.questions import CARS, Question
from carpipe.steps.labels.same_picture import SEEN, number_pictures
from carpipe.steps.labels.store import read_labels
from carpipe.steps.session import Session
from carpipe.weights.contract import CAR

if TYPE_CHECKING:
    import pandas as pd

How = Literal["random", "unsure", "cars", "predicted"]

# Of a photo table, what decides whether a photo may be drawn.
COLUMNS = ["key", "etag", "listing_uuid", "dropped_by"]
# What a drawn photo is known by.
PLACE = ["key", "manifest", "row", "word", "p", "picture"]
# Photos that are sorted as predicted at a time. So whoever ends early has labelled a fair part all the same, and not
# a thousand cars that the filter was sure of.
BLOCK = 1000
# Below it the filter counts as unsure: half of the way from its threshold to certainty, or of a view's probability.
SURE = 0.5
# Copies of a photo that its label counts for, at most: a dealer's banner may have thousands, and a request ends.
MAX_COPIES = 50
# What `match_key` may change.
_ODD = r"[^!-~]|^raw/"


@dataclass(frozen=True)
class Drawn:
    """A photo of a sample, and where it stands: a row of the photo table of a committed result.

    Attributes:
        word: what the filter answers; empty where it has said nothing.
        p: how likely that is, for cars the probability of `auto`.
        picture: equal for photos that show the same picture.
        copies: keys of photos that show the same picture and have no label either.
    """

    key: str
    manifest: str
    row: int
    word: str = ""
    p: float | None = None
    picture: int = 0
    copies: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sample:
    """Pictures to label, in their order, and the photos that were labelled by then, in none."""

    drawn: list[Drawn]
    labelled: list[Drawn]

    @cached_property
    def by_name(self) -> dict[str, Drawn]:
        """Each by the key as labels have it; copies too."""
        names = {match_key(copy): one for one in self.drawn for copy in one.copies}
        return names | {match_key(one.key): one for one in (*self.drawn, *self.labelled)}


def draw(session: Session, count: int, *, how: How, seed: int, question: Question = CARS) -> list[Drawn]:
    """Photos that nobody has labelled yet, `count` of them or as many as there are; equal for equal seeds.

    Args:
        how: `random`, all photos of the newest inventory being equally likely; `unsure`, those of which the filter is
            least sure by its newest results: p(car) nearest to the threshold, or the likeliest view the least likely;
            the seed then only breaks ties. `cars`: at random, but first those that show a car from outside, as a label
            says, or else the filter. `predicted`: at random among those that the filter has seen, BLOCK after BLOCK,
            and of each block those of one answer together, the surest first, and at its end those it is unsure of.
        question: the one whose answer nobody has given.

    Raises:
        InputError: there is no inventory, nothing was filtered yet, or all is labelled.
    """
    photos, _ = _ordered(session, how, seed, question)
    return [*_drawn(_sorted(photos.head(count), how, question))]


def draw_pictures(session: Session, count: int, *, how: How, seed: int, question: Question = CARS) -> Sample:
    """As `draw`, with each picture once: the copies of a photo stand beside the first of them."""
    photos, labelled = _ordered(session, how, seed, question)
    first = photos[~photos["picture"].duplicated()].head(count)
    others = photos[photos["picture"].isin(first["picture"]) & ~photos.index.isin(first.index)]
    copies = {picture: tuple(keys)[:MAX_COPIES] for picture, keys in others.groupby("picture")["key"]}
    return Sample([*_drawn(_sorted(first, how, question), copies)], [*_drawn(labelled)])


def _ordered(session: Session, how: How, seed: int, question: Question) -> tuple["pd.DataFrame", "pd.DataFrame"]:
    """The photos without a label, in the order in which they are drawn; and those with one."""
    import numpy as np

    stock = latest_inventory(session)
    if not stock:
        raise InputError("There is no inventory of raw/ yet; run `carpipe step inventory`.")
    photos = _photos(session, stock, how, question)
    has_label = _names(photos["key"]).isin({label.key for label in question.read(session)})
    photos, labelled = photos[~has_label], photos[has_label]
    if photos.empty:
        raise InputError(f"There is no photo left to label among the {stock.photos:,} of the newest inventory.")
    return photos.iloc[np.lexsort((_chance(photos["key"], seed), _first(session, photos, how)))], labelled


def _chance(keys: "pd.Series[str]", seed: int) -> Any:
    """What decides by chance, a number for each photo.

    By a digest, not a generator: the next sample of a seed goes on where labels ended this one.
    """
    from pandas.util import hash_array

    return hash_array(keys.to_numpy(object), hash_key=f"{seed % 2**64:016x}", categorize=False)


def _names(keys: "pd.Series[str]") -> "pd.Series[str]":
    """Keys as labels have them. Of a million, nearly all are so already."""
    odd = keys.str.contains(_ODD)
    return keys.where(~odd, keys[odd].map(match_key))


def _sorted(photos: "pd.DataFrame", how: How, question: Question) -> "pd.DataFrame":
    """In the order in which they are shown: as predicted within each block, where that is asked for."""
    if how != "predicted":
        return photos
    words = {word: place for place, word in enumerate(question.words)}
    together = photos["word"].map(words).where(photos["sure"] >= SURE, len(words))
    blocks = [place // BLOCK for place in range(len(photos))]
    ordered = photos.assign(block=blocks, together=together, unsure=-photos["sure"])
    return ordered.sort_values(["block", "together", "unsure"], kind="stable")


def _drawn(photos: "pd.DataFrame", copies: Mapping[Any, tuple[str, ...]] | None = None) -> Iterator[Drawn]:
    copies = copies or {}
    for key, source, row, word, p, picture in photos[PLACE].itertuples(index=False, name=None):
        told = p == p  # else it is no number: the filter has said nothing
        yield Drawn(
            str(key), str(source), int(row), word=str(word) if told else "", p=float(p) if told else None,
            picture=int(picture), copies=copies.get(picture, ()),
        )  # fmt: skip


def _first(session: Session, photos: "pd.DataFrame", how: How) -> Any:
    """What photos are sorted by before chance decides: the least comes first."""
    import numpy as np

    if how in ("random", "predicted"):
        return np.zeros(len(photos))
    if how == "unsure":
        return photos["first"].to_numpy()
    said = {label.key: float(label.label != CAR) for label in read_labels(session)}
    return [said.get(match_key(key), first) for key, first in zip(photos["key"], photos["first"], strict=True)]


def _photos(session: Session, stock: Inventory, how: How, question: Question) -> "pd.DataFrame":
    """PLACE, `sure` and `first` of each present photo in its present version."""
    import pandas as pd

    tables = [_partition(session, part, how, question) for part in stock.partitions]
    if all(found is None for found in tables):
        raise InputError(
            f"{question.untold}, so no photo is known to be unsure, or predicted; draw a random sample, or run the DAG "
            "`prepare_dataset` first."
        )
    photos = pd.concat([found for found in tables if found is not None], ignore_index=True)
    if stock.gone:
        from carpipe.photos import from_parquet

        gone = pd.MultiIndex.from_frame(from_parquet(manifest.verified(session.store, stock.gone))[["key", "etag"]])
        photos = photos[~pd.MultiIndex.from_frame(photos[["key", "etag"]]).isin(gone)]
    return photos[~photos["listing_uuid"].isin(forgotten_listings(session))]


def _partition(session: Session, part: dict[str, Any], how: How, question: Question) -> "pd.DataFrame | None":
    """The photos of a partition that a sample may hold; None where they were not filtered but should be.

    `first` is what the filter says of them: how far from unsure, or 0 for a car and 1 for none.
    """
    photos = _rows(session, part)
    told = question.told if how in ("unsure", "predicted") else CARS.told
    if told not in photos:
        return None if how in ("unsure", "predicted") else _answered(session, photos, question).assign(first=1.0)
    if how != "random":
        photos = photos[photos[told].notna()]
    answered = _answered(session, photos, question)
    if how == "unsure":
        return answered.assign(first=(photos[told] - question.unsure_at(session)).abs())
    return answered.assign(first=(photos[told] < session.config.filter.threshold).astype(float))


def _rows(session: Session, part: dict[str, Any]) -> "pd.DataFrame":
    """The photos of a partition of an inventory, with what the last stage that has seen them says of them."""
    found = (results.newest_result(session.store, stage, part["partition"]) for stage in ("filter", "clean"))
    source = manifest.read(session.store, next(filter(None, found), part["manifest"]))
    also = {CARS.told, "view", "view_p", *SEEN}
    photos = _with_places(results.read_photos(session.store, source, columns=COLUMNS, also=also), source)
    # What `clean` and `filter` have dropped can be labelled; of a name that says nothing there is no listing.
    return photos[photos["dropped_by"].isna() | photos["dropped_by"].isin(["clean", "filter"])]


def _answered(session: Session, photos: "pd.DataFrame", question: Question) -> "pd.DataFrame":
    """With `word`, `p` and `sure`, which the filter says, and `picture`; without what these are told by."""
    answers = question.predict(session, photos)
    places = photos[["key", "etag", "listing_uuid", "manifest", "row"]]
    return places.assign(**answers, picture=number_pictures(photos))


def _with_places(photos: "pd.DataFrame", source: Manifest) -> "pd.DataFrame":
    return photos.assign(manifest=source.key, row=range(len(photos)))
