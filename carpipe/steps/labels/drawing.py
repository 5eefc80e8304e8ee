"""Which photos people should label next, and what the filter says of them.

At random, to train a first car filter and to judge one fairly; those that the filter is least sure of, from which the
next one learns most; cars from outside first, for labels of views; or as predicted, so that pages of one answer are
accepted as a whole.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from carpipe import manifest
from carpipe.errors import InputError
from carpipe.names import match_key
from carpipe.steps.data.inventory import forgotten_listings
from carpipe.steps.labels.pool import TOLD, Pool, number_names, read_pool
from carpipe.steps.labels.questions import CARS, Question
from carpipe.steps.labels.store import read_labels
from carpipe.steps.session import Session
from carpipe.weights.contract import CAR

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

How = Literal["random", "unsure", "cars", "predicted"]

# What a drawn photo is known by.
PLACE = ["key", "manifest", "row", "word", "p", "picture"]
# Photos that are sorted as predicted at a time. So whoever ends early has labelled a fair part all the same, and not
# a thousand cars that the filter was sure of.
BLOCK = 1000
# Below it the filter counts as unsure: half of the way from its threshold to certainty, or of a view's probability.
SURE = 0.5
# Copies of a photo that its label counts for, at most: a dealer's banner may have thousands, and a request ends.
MAX_COPIES = 50


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
    pool = read_pool(session)
    order, _ = _ordered(session, pool, how, seed, question)
    return [*_drawn(_sorted(_photos(session, pool, order[:count], question), how, question))]


def draw_pictures(
    session: Session, count: int, *, how: How, seed: int, question: Question = CARS, pool: Pool | None = None
) -> Sample:
    """As `draw`, with each picture once: the copies of a photo stand beside the first of them.

    Args:
        pool: what is drawn from; None: the newest.
    """
    import pandas as pd

    pool = pool or read_pool(session)
    order, labelled = _ordered(session, pool, how, seed, question)
    pictures = pd.Series(pool.numbers("picture")[order], index=order)
    first = pictures[~pictures.duplicated()].head(count)
    others = pictures[pictures.isin(first)].drop(first.index)
    others = others[others.groupby(others).cumcount() < MAX_COPIES]
    keys = pool.photos(others.index.to_numpy(), ["key"])["key"]
    copies = {picture: tuple(some) for picture, some in keys.groupby(others.to_numpy())}
    drawn, known = (_photos(session, pool, places, question) for places in (first.index.to_numpy(), labelled))
    return Sample([*_drawn(_sorted(drawn, how, question), copies)], [*_drawn(known)])


def _ordered(
    session: Session, pool: Pool, how: How, seed: int, question: Question
) -> tuple["NDArray[Any]", "NDArray[Any]"]:
    """Places in the pool: of photos without a label, in the order in which they are drawn; and of those with one."""
    import numpy as np
    import pandas as pd

    may, names = _may_be_drawn(session, pool, how, question), pool.numbers("name")
    has_label = pd.Series(names).isin(_numbers(label.key for label in question.read(session))).to_numpy()
    left = np.flatnonzero(may & ~has_label)
    if not len(left):
        raise InputError(f"There is no photo left to label among the {pool.stock.photos:,} of the newest inventory.")
    chance = _chance(names[left], seed)
    first = _first(session, pool, left, how, question)
    order = np.argsort(chance) if first is None else np.lexsort((chance, first))
    return left[order], np.flatnonzero(may & has_label)


def _chance(names: "NDArray[Any]", seed: int) -> "NDArray[Any]":
    """What decides by chance, a number for each photo.

    By a digest, not a generator: the next sample of a seed goes on where labels ended this one.
    """
    import numpy as np
    from pandas.util import hash_array

    return hash_array(names ^ np.uint64(seed % 2**64))


def _numbers(keys: Iterable[str]) -> "NDArray[Any]":
    import pandas as pd

    return number_names(pd.Series([*keys], dtype="str"))


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


def _first(session: Session, pool: Pool, left: "NDArray[Any]", how: How, question: Question) -> "NDArray[Any] | None":
    """What photos are sorted by before chance decides, the least first; None: chance alone decides.

    How far the filter is from unsure, or 0 for a car and 1 for none.
    """
    import numpy as np
    import pandas as pd

    if how == "unsure":
        far: NDArray[Any] = np.abs(pool.numbers(question.told)[left] - question.unsure_at(session))
        return far
    if how != "cars":
        return None
    said = {label.key: float(label.label != CAR) for label in read_labels(session)}
    place = pd.Index(_numbers(said)).get_indexer(pd.Index(pool.numbers("name")[left]))
    told = 1.0 - (pool.numbers(CARS.told)[left] >= session.config.filter.threshold)
    found: NDArray[Any] = np.where(place < 0, told, np.array([*said.values(), 0.0])[place])
    return found


def _may_be_drawn(session: Session, pool: Pool, how: How, question: Question) -> "NDArray[Any]":
    """Which photos of the pool a sample may hold: present ones in their present version, told of as must be."""
    import numpy as np

    may: NDArray[Any] = ~(pool.are_in("listing_uuid", forgotten_listings(session)) | _gone(session, pool))
    if how == "random":
        return may
    told = ~np.isnan(pool.numbers(CARS.told if how == "cars" else question.told))
    if how == "cars":
        told |= ~pool.numbers("filtered")
    elif not told.any():
        raise InputError(
            f"{question.untold}, so no photo is known to be unsure, or predicted; draw a random sample, or run the DAG "
            "`prepare_dataset` first."
        )
    may &= told
    return may


def _gone(session: Session, pool: Pool) -> "NDArray[Any]":
    """Which photos of the pool are no longer in the bucket, or in another version."""
    import numpy as np

    from carpipe.photos import from_parquet

    found = np.zeros(len(pool.numbers("name")), bool)
    if not pool.stock.gone:
        return found
    listed = from_parquet(manifest.verified(session.store, pool.stock.gone))
    gone = {*zip(listed["key"], listed["etag"], strict=True)}
    places = np.flatnonzero(pool.are_in("key", listed["key"]))
    versions = pool.photos(places, ["key", "etag"])
    found[places] = [one in gone for one in zip(versions["key"], versions["etag"], strict=True)]
    return found


def _photos(session: Session, pool: Pool, places: "NDArray[Any]", question: Question) -> "pd.DataFrame":
    """PLACE and `sure` of some photos of the pool."""
    photos = pool.photos(places, ["key", "row", "picture", *TOLD])
    return photos.assign(**question.predict(session, photos))
