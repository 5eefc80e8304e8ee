"""New models by name: what the live model made of new listings of folder names that it has no class for.

Two things speak for a new model. More of its listings are unknown to the model than known cars are, by the rule of
`carpipe.familiarity`. Or the model's answers are spread over several classes, where listings of a known car get mostly
one: sisters of known cars look familiar, and are found by that. Nothing is added by either: a person decides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import beta

from carpipe.familiarity import Rule

# Listings of a name, at least, for it to be proposed.
FEW = 5
# How sure each of the two bounds of a name is.
CONFIDENCE = 0.99
# Of so many known listings on, it can be said how often the model is right; that of a class is worth so many of them.
MIN_KNOWN, SHRINK = 20, 10
# Share of known listings that are refused by chance, as the rule is fitted, and how many listings that is worth.
REFUSED, WORTH = 0.02, 50
# Share of listings that look like one class, from which on it is named.
MOSTLY = 0.5
EXAMPLES = 6  # photos of a proposal
COLUMNS = (
    "listing", "model", "has_class", "class_name", "photos", "familiarity", "is_unknown", "answer", "key", "source",
)  # fmt: skip


@dataclass(frozen=True)
class Name:
    """What is known of a folder name without a class.

    Attributes:
        photos: of it in the dataset that count towards `classes.min_photos`.
        needs: how many are missing; 0: it has enough.
        has_class: it has a class in today's dataset, so the next model learns it.
        listed: it may be proposed; False: the taxonomy erases it by a rule, so a person has decided.
        twin: a known name that differs from it in spelling alone; empty: there is none.
    """

    photos: int
    needs: int
    has_class: bool
    listed: bool
    twin: str = ""


@dataclass(frozen=True)
class NameProposal:
    """A name that may be a new class.

    Attributes:
        model: the name.
        listings: new ones.
        judged: of these, listings of which the model could tell whether it knows them.
        unknown: of these, listings that it does not know; `low` is the least share of them that chance leaves.
        more_unknown: that is more than of known cars.
        looks_like: the class that most listings look like. `votes`: how many do.
        usual: the share of new listings of that class that look like it; None: too few are known to tell.
        spread: so few votes are surely fewer than that.
        examples: keys of the least familiar photo of some listings.
        about: see `Name`.
    """

    model: str
    listings: int
    judged: int
    unknown: int
    low: float
    more_unknown: bool
    looks_like: str
    votes: int
    usual: float | None
    spread: bool
    examples: tuple[str, ...]
    about: Name

    @property
    def new(self) -> bool:
        """Whether it looks like a model that is not known."""
        return self.more_unknown or self.spread

    @property
    def alias(self) -> str:
        """The class that it may be another name of; empty where it looks new, or like no class in particular."""
        return self.looks_like if not self.new and self.votes >= MOSTLY * self.listings else ""


@dataclass(frozen=True)
class Names:
    """Attributes:
    proposals: the most unknown listings first.
    chance: share of listings of known names that the model does not know.
    few: names with fewer than `FEW` new listings.
    erased: names that are left out since the taxonomy erases them.
    """

    proposals: tuple[NameProposal, ...]
    chance: float
    few: int
    erased: int


def pool_listings(photos: pd.DataFrame, rules: Sequence[Rule | None]) -> pd.DataFrame:
    """New listings, each by the answers of one model: the first source that has answered a photo of it.

    Args:
        photos: a row per photo and answer: `key`, `listing_uuid`, `model` (of its folder, or as people corrected it),
            `has_class` (the live model has one for it), `class_name` (of today, or null), `answer` (a class of today),
            `familiarity` (NaN: not known), `source` (number of who answered; the lower, the newer).
        rules: by source; None where it could not tell.

    Returns:
        A row per listing with the columns `COLUMNS`, sorted: `familiarity` is the mean, NaN where nobody could tell;
        `is_unknown` is False there; `answer` is what most photos look like; `key` is the least familiar photo.
    """
    if photos.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    first = photos.groupby("listing_uuid")["source"].transform("min")
    mine = photos[photos["source"] == first].sort_values(["listing_uuid", "familiarity", "key"], ignore_index=True)
    groups = mine.groupby("listing_uuid", sort=True)
    listings = groups.agg(
        model=("model", _most), has_class=("has_class", "any"), photos=("key", "size"), answer=("answer", _most),
        class_name=("class_name", "first"),
        familiarity=("familiarity", "mean"), told=("familiarity", "count"), key=("key", "first"),
        source=("source", "first"),
    )  # fmt: skip
    limits = [
        rule.threshold_of(max(told, 1)) if (rule := rules[source]) else -np.inf
        for source, told in zip(listings["source"], listings["told"], strict=True)
    ]
    unknown = listings["familiarity"].notna() & (listings["familiarity"] < limits)
    return listings.assign(is_unknown=unknown).rename_axis("listing").reset_index()[list(COLUMNS)]


def propose_names(listings: pd.DataFrame, names: Mapping[str, Name]) -> Names:
    """Names without a class, as `pool_listings` has their listings.

    Args:
        names: what is known of each name that the live model has no class for.
    """
    chance = chance_of(listings)
    others = listings[~listings["has_class"].astype(bool) & listings["model"].isin(list(names))]
    proposals, few, erased = [], 0, 0
    for model, mine in others.groupby("model", sort=True):
        about = names[str(model)]
        erased += not about.listed
        few += about.listed and len(mine) < FEW
        if about.listed and len(mine) >= FEW:
            proposals.append(_propose(str(model), mine, about, listings, chance=chance))
    proposals.sort(key=lambda one: (not one.new, -one.unknown, -one.listings, one.model))
    return Names(tuple(proposals), chance, few, erased)


def chance_of(listings: pd.DataFrame) -> float:
    """Share of listings of known names that the model does not know: 2 %, or more where the market moves on."""
    known = listings[listings["has_class"].astype(bool) & listings["familiarity"].notna()]
    seen = (int(known["is_unknown"].sum()) + REFUSED * WORTH) / (len(known) + WORTH)
    return max(REFUSED, seen)


def at_least(unknown: int, judged: int) -> float:
    """The least share of unknown listings, `CONFIDENCE` sure.

    Source: C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of the
    binomial", Biometrika 26, 1934.
    """
    return float(beta.ppf(1 - CONFIDENCE, unknown, judged - unknown + 1)) if unknown else 0.0


def examples_of(listings: pd.DataFrame) -> tuple[str, ...]:
    """Photos of the least familiar listings."""
    order = listings.sort_values(["familiarity", "listing"], na_position="last")
    return tuple(order["key"].head(EXAMPLES))


def usual_share(listings: pd.DataFrame, name: str) -> float | None:
    """The share of new listings of a class that look like it most; None where too few are of known classes.

    Of few listings of that class it is near the share of all.
    """
    known = listings[listings["has_class"].astype(bool) & listings["class_name"].notna()]
    if len(known) < MIN_KNOWN:
        return None
    right = known["answer"] == known["class_name"]
    mine = right[known["class_name"] == name]
    return float((mine.sum() + SHRINK * right.mean()) / (len(mine) + SHRINK))


def at_most(votes: int, listings: int) -> float:
    """The largest share that so many votes leave, `CONFIDENCE` sure. Source: as of `at_least`."""
    return float(beta.ppf(CONFIDENCE, votes + 1, listings - votes)) if votes < listings else 1.0


def _propose(model: str, mine: pd.DataFrame, about: Name, every: pd.DataFrame, *, chance: float) -> NameProposal:
    judged, unknown = int(mine["familiarity"].notna().sum()), int(mine["is_unknown"].sum())
    low = at_least(unknown, judged)
    counts = mine["answer"].value_counts().sort_index().sort_values(ascending=False, kind="stable")
    most, votes = str(counts.index[0]), int(counts.iloc[0])
    usual = usual_share(every, most)
    spread = usual is not None and at_most(votes, len(mine)) < usual
    return NameProposal(
        model, len(mine), judged, unknown, low, low > chance, most, votes, usual, spread, examples_of(mine), about,
    )  # fmt: skip


def _most(values: "pd.Series[str]") -> str:
    """The most frequent value; of equally frequent ones the first by name."""
    names, counts = np.unique(values.to_numpy(dtype=object).astype(str), return_counts=True)
    found: NDArray[np.str_] = names[counts == counts.max()]
    return str(found[0])
