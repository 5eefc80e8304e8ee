"""Classes that a model takes for each other in both directions, more often than chance explains.

Photos of one car are right or wrong together, so cars are counted, each by the answer of all its photos.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import beta

Counts = NDArray[np.int64]
Shares = NDArray[np.float64]

ALPHA = 0.05  # chance that any pair is found, in all pairs together, where none is confused
CONFIDENCE = 0.95  # of `low`, the share of a pair's cars that are taken for the other class
LEAST = 0.05  # of a pair's cars: below that share a merge would give up far more names than it mends


@dataclass(frozen=True)
class Link:
    """Two classes that are taken for each other.

    Attributes:
        first, second: their names, in the order of the alphabet.
        cars: of each.
        taken: of the cars of the first, how many were taken for the second; and the other way.
        bounds: shares of those, at least; both hold, in all pairs together, with 1 - `ALPHA`.
        chance: the shares that chance explains.
        low: the share of the cars of both that were taken for the other, at least, with `CONFIDENCE`.
    """

    first: str
    second: str
    cars: tuple[int, int]
    taken: tuple[int, int]
    bounds: tuple[float, float]
    chance: tuple[float, float]
    low: float


def count_cars(cars: pd.DataFrame, classes: Sequence[str]) -> Counts:
    """How many cars of a class (row) were answered as a class (column), of `unseen.Unseen.cars`."""
    index = pd.Index(classes)
    truth, answer = (index.get_indexer(pd.Index(cars[name])) for name in ("class_name", "answer"))
    size = len(index)
    return np.bincount(truth * size + answer, minlength=size * size).reshape(size, size).astype(np.int64)


def find_links(counts: Counts, classes: Sequence[str]) -> list[Link]:
    """The pairs that are confused in both directions, beyond chance, and often enough to matter; strongest first.

    Chance would take a car of class a for class b as often as cars of all third classes are, or as often as a's own
    errors would, fell they on any class alike: whichever is more. A pair is linked where the lower bound of Clopper and
    Pearson lies above that in both directions. Both must, so each may be tested at the full level (R. L. Berger,
    "Multiparameter Hypothesis Testing and Acceptance Sampling", Technometrics 24, 1982); and the level is `ALPHA` over
    the number of all pairs of classes that have cars (Bonferroni), whether they were ever confused or not.

    Beyond chance is not enough: of 5,000 cars a confusion of 1 in 200 is proven, and no reason to merge. So of the
    cars of both classes at least `LEAST` must be taken for the other, at the lower bound.
    """
    names, size = list(classes), counts.sum(axis=1)
    tested = int((size > 0).sum())
    pairs = max(1, tested * (tested - 1) // 2)
    chance = chance_of(counts)
    bounds = lower_bound(counts, size[:, None], alpha=ALPHA / pairs)
    mutual, both = counts + counts.T, size[:, None] + size[None, :]
    low = lower_bound(mutual, both, alpha=1 - CONFIDENCE)
    beyond = bounds > chance
    found = np.argwhere(np.triu(beyond & beyond.T & (low >= LEAST), k=1))
    links = [_link(names, (int(i), int(j)), size, (counts, bounds, chance), float(low[i, j])) for i, j in found]
    return sorted(links, key=lambda link: (-link.low, link.first, link.second))


def chance_of(counts: Counts) -> Shares:
    """Share of a row's cars that chance takes for each column; see `find_links`."""
    size = counts.sum(axis=1)
    total = size.sum()
    wrong = counts - np.diag(np.diag(counts))
    # One more error than was seen: that nobody was ever taken for a class does not make it impossible.
    thirds = (wrong.sum(axis=0)[None, :] - wrong + 1) / (total - size[:, None] - size[None, :] + 1)
    evenly = wrong.sum(axis=1) / np.maximum(size, 1) / max(1, len(counts) - 1)
    return np.asarray(np.maximum(thirds, evenly[:, None]))


def lower_bound(found: Counts, of: Counts, *, alpha: float) -> Shares:
    """The share that is missed from above with probability `alpha` at most; 0 where nothing was found.

    Source: C. J. Clopper and E. S. Pearson, "The Use of Confidence or Fiducial Limits Illustrated in the Case of the
    Binomial", Biometrika 26, 1934.
    """
    some = np.maximum(found, 1)
    return np.asarray(np.where(found > 0, beta.ppf(alpha, some, np.maximum(of - some, 0) + 1), 0.0))


def group(links: Sequence[Link]) -> list[tuple[str, ...]]:
    """Classes that are to be one: every two of a group are linked. Groups share no class.

    Strongest link first, two groups become one where all their pairs are linked (complete linkage).
    """
    linked = {frozenset((link.first, link.second)) for link in links}
    home: dict[str, tuple[str, ...]] = {name: (name,) for link in links for name in (link.first, link.second)}
    for link in links:
        one, other = home[link.first], home[link.second]
        if one != other and all(frozenset((a, b)) in linked for a in one for b in other):
            joined = tuple(sorted((*one, *other)))
            home.update(dict.fromkeys(joined, joined))
    return sorted({names for names in home.values() if len(names) > 1})


def _link(
    names: Sequence[str], pair: tuple[int, int], size: Counts, parts: tuple[Counts, Shares, Shares], low: float
) -> Link:
    i, j = sorted(pair, key=lambda number: names[number])
    counts, bounds, chance = parts
    return Link(
        first=names[i],
        second=names[j],
        cars=(int(size[i]), int(size[j])),
        taken=(int(counts[i, j]), int(counts[j, i])),
        bounds=(float(bounds[i, j]), float(bounds[j, i])),
        chance=(float(chance[i, j]), float(chance[j, i])),
        low=low,
    )
