"""New models by looks: listings that are little like what a model knows, and like each other in its features.

Sellers who do not find their car in the list take any name. So a new model may come under several, and no count of
names shows it. What "like each other" means is learnt from listings that the model knows: so alike are those of one
class, and hardly ever those of two.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist

Floats = NDArray[np.floating[Any]]

# A group is told of from so many listings of so many names on.
MIN_LISTINGS, MIN_NAMES = 5, 2
# Listings that are compared, the least familiar ones: their distances take 16 MB.
MAX_LISTINGS = 2000
# Known listings that say what alike means; with fewer pairs of one class nobody can tell.
REFERENCE, MIN_PAIRS = 400, 30
# Two groups are one where their listings are as alike, on average, as this share of pairs of one class is at least;
# but not where so large a share of pairs of two classes is. Both by benchmarks/new-models-log.md, as what follows.
SAME, OTHER = 0.05, 0.005
# A group is less familiar than known listings, on average, by so many standard deviations of a known photo.
LESS = 0.3


@dataclass(frozen=True)
class Group:
    """Listings that look alike: their numbers, the most typical first; and the mean cosine between two of them."""

    members: tuple[int, ...]
    alike: float


def may_be_new(listings: pd.DataFrame) -> tuple[pd.DataFrame, float]:
    """The listings that are compared, the least familiar first; and the mean familiarity of known ones.

    These are the less familiar half of all, by the median of known ones, that look like another class than theirs: of
    what is unknown by the rule of `carpipe.familiarity` there are too few to find a group by.

    Args:
        listings: see `carpipe.evaluation.new_names.pool_listings`.
    """
    told = listings[listings["familiarity"].notna()]
    known = told.loc[told["has_class"].astype(bool), "familiarity"].astype(float)
    if known.empty:
        return told.iloc[:0], 0.0
    other = told["answer"] != told["class_name"].where(told["has_class"].astype(bool))
    mine = told[other & (told["familiarity"].astype(float) < known.median())]
    return mine.sort_values(["familiarity", "listing"]), float(known.mean())


def directions_of(features: Floats, middle: Floats, listing: NDArray[np.intp]) -> NDArray[np.float32]:
    """Where listings lie, float32 (listings, features), of length 1.

    Args:
        features: of photos (n, features).
        middle: taken off each, see `carpipe.evaluation.likeness`.
        listing: number of each photo's listing: from 0, without gaps.
    """
    count = int(listing.max()) + 1 if len(listing) else 0
    sums = np.zeros((count, features.shape[1]), np.float32)
    np.add.at(sums, listing, _normed(features.astype(np.float32) - middle))
    return _normed(sums)


def limit_of(known: Floats, classes: Sequence[str]) -> float | None:
    """The cosine from which on two listings may be of one model; None where too few pairs are of one class.

    Args:
        known: directions of known listings, and the class of each.
    """
    number = np.unique(np.asarray(classes, dtype=object).astype(str), return_inverse=True)[1]
    upper = np.triu_indices(len(known), 1)
    cosines = (known @ known.T)[upper]
    same = (number[:, None] == number[None, :])[upper]
    if same.sum() < MIN_PAIRS or same.all():
        return None
    return float(max(np.quantile(cosines[same], SAME), np.quantile(cosines[~same], 1 - OTHER)))


def find_groups(
    unknown: Floats, names: Sequence[str], familiarity: Floats, *, usual: float, limit: float
) -> list[Group]:
    """Groups by average linkage, the largest first.

    Args:
        unknown: directions of listings that may be new, `MAX_LISTINGS` at most, and the name of each.
        familiarity: of each.
        usual: the mean familiarity of known listings.
        limit: of `limit_of`.
    """
    if len(unknown) < MIN_LISTINGS:
        return []
    links = linkage(np.clip(pdist(unknown, "cosine"), 0, 2), "average")
    numbers = fcluster(links, 1 - limit, "distance")
    groups = []
    for number in np.unique(numbers):
        members = np.flatnonzero(numbers == number)
        several = len({names[int(one)] for one in members}) >= MIN_NAMES
        if len(members) >= MIN_LISTINGS and several and familiarity[members].mean() <= usual - LESS:
            groups.append(_group(members, unknown[members]))
    return sorted(groups, key=lambda group: (-len(group.members), -group.alike, group.members))


def _group(members: NDArray[np.intp], directions: Floats) -> Group:
    count = len(members)
    cosines = directions @ directions.T
    typical = np.argsort(-cosines.sum(axis=1), kind="stable")
    alike = (cosines.sum() - np.trace(cosines)) / (count * (count - 1))
    return Group(tuple(int(one) for one in members[typical]), float(alike))


def _normed(rows: Any) -> NDArray[np.float32]:
    found: NDArray[np.float32] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return found.astype(np.float32)
