"""Suspects: listings that are probably in the wrong class.

A model that was not trained on a listing says how likely each class is. Where it finds another class likelier than the
given one, the listing is a suspect; the less likely the given class, the earlier it comes. Nothing is dropped or
renamed for that: a person looks. The model has learnt from wrong listings too, so it errs with those who err alike.

By cleanlab; this is the only file that uses it. Its stricter ways to find and to rank were measured, and are no better
on listings: `benchmarks/suspects-log.md`. Source: C. Northcutt, L. Jiang, I. Chuang, "Confident Learning: Estimating
Uncertainty in Dataset Labels", 2021.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from carpipe.evaluation.listing_answers import Source, pool_listings

# Of cleanlab: what makes a suspect, and what they are sorted by.
FILTER, RANK = "predicted_neq_given", "self_confidence"
# Below so many judged listings of a class nobody can tell what is usual there.
FEW = 5
# Why listings were not judged, in the order in which they are told.
APART = {
    "several_classes": "with photos in several classes",
    "unknown_class": "of a class that no model knows that answered",
    "few_listings": f"of a class with fewer than {FEW} judged listings",
    "settled": "that a person has looked at",
    "not_asked": "without an answer of a model that was not trained on them, as most of the train side",
}
COLUMNS = ("listing", "from", "suggested", "p", "p_from", "photos", "votes", "mixed", "score", "key", "source", "why")


@dataclass(frozen=True)
class Suspects:
    """Attributes:
    table: a row per suspect, the likeliest to be wrong first, with the columns `COLUMNS`: `p` and `p_from` are the
        pooled probabilities of the suggested and of the given class, `votes` of the `photos` look most like the
        suggested one, `mixed` says that these are not more than half, `key` is the photo that looks most like it,
        `source` is the name of who answered, `score` is what they are ranked by: the lower the likelier.
    judged: listings, by source.
    apart: listings that were not judged, by a key of `APART`.
    """

    table: pd.DataFrame
    judged: dict[str, int]
    apart: dict[str, int]


def find_suspects(
    photos: pd.DataFrame, sources: Sequence[Source], *, classes: Sequence[str], settled: Collection[str] = ()
) -> Suspects:
    """Rank the listings that are probably in the wrong class.

    A listing is judged by one model: the first source that has answered a photo of it and knows its class.

    Args:
        photos: a row per photo that counts today: `key`, which is there once, `listing_uuid`, `class_name`.
        sources: what models answered; none of them was trained on these cars.
        classes: all names of today.
        settled: uuids of listings that somebody has looked at; they count in what is usual, and are not told of.
    """
    rows, apart = _one_class(photos[photos["listing_uuid"].notna() & photos["class_name"].notna()])
    answered, asked = _choose_sources(rows, sources, classes)
    apart["unknown_class"] = len(asked) - answered["listing_uuid"].nunique()
    apart["not_asked"] = rows["listing_uuid"].nunique() - len(asked)
    if answered.empty:
        return Suspects(pd.DataFrame(columns=list(COLUMNS)), {}, {name: apart.get(name, 0) for name in APART})
    listings, best, p = _pool(answered, sources, classes)
    found, score = rank_listings(p, listings["given"].to_numpy())
    usual = np.bincount(listings["given"], minlength=len(classes))[listings["given"]] >= FEW
    is_settled = listings["listing_uuid"].isin(settled).to_numpy()
    apart |= {"few_listings": int((~usual).sum()), "settled": int((usual & is_settled).sum())}
    chosen = np.flatnonzero(found & usual & ~is_settled)
    chosen = chosen[np.argsort(score[chosen], kind="stable")]
    table = _table(chosen, listings, p, score=score, answered=answered.assign(best=best), names=classes)
    table["source"] = [sources[number].name for number in listings["source"].to_numpy()[chosen]]
    counts = np.bincount(listings["source"], minlength=len(sources))
    judged = {source.name: int(count) for source, count in zip(sources, counts, strict=True) if count}
    return Suspects(table[list(COLUMNS)], judged, {name: apart.get(name, 0) for name in APART})


def rank_listings(p: NDArray[np.float32], given: NDArray[np.intp]) -> tuple[NDArray[np.bool_], NDArray[np.floating]]:
    """Which of the listings are suspects, and the score of each: the lower the likelier that its class is wrong.

    Args:
        p: (listings, classes), each row sums to 1.
        given: number of the class, by listing.
    """
    if len(np.unique(given)) < 2:  # nothing to confuse it with
        return np.zeros(len(given), bool), np.ones(len(given))
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    # In this process: it takes seconds, and others share the machine.
    found = find_label_issues(given, p, filter_by=FILTER, n_jobs=1)
    return np.asarray(found), np.asarray(get_label_quality_scores(given, p, method=RANK))


def _one_class(rows: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """The photos of listings that are in one class, and how many are in several."""
    counts = rows.groupby("listing_uuid")["class_name"].nunique()
    several = counts.index[counts > 1]
    return rows[~rows["listing_uuid"].isin(several)], {"several_classes": len(several)}


def _choose_sources(
    rows: pd.DataFrame, sources: Sequence[Source], classes: Sequence[str]
) -> tuple[pd.DataFrame, set[str]]:
    """The photos that judge, with `source`, `row` in it and `given`, listings together; and all listings answered.

    Of the latter, some may have been answered by nobody who knows their class.
    """
    given = pd.Index(classes).get_indexer(pd.Index(rows["class_name"]))
    done: set[str] = set()
    asked: set[str] = set()
    parts = []
    for number, source in enumerate(sources):
        row = pd.Index(source.answers.photos["key"]).get_indexer(pd.Index(rows["key"]))
        there = row >= 0
        asked |= set(rows.loc[there, "listing_uuid"])
        mine = there & source.known(classes)[given] & ~rows["listing_uuid"].isin(done).to_numpy()
        done |= set(rows.loc[mine, "listing_uuid"])
        part = rows.loc[mine, ["key", "listing_uuid"]]
        parts.append(part.assign(source=number, row=row[mine], given=given[mine]))
    every = pd.concat(parts) if parts else rows.assign(source=0, row=0, given=0).iloc[:0]
    return every.sort_values(["source", "listing_uuid"], kind="stable", ignore_index=True), asked


def _pool(
    answered: pd.DataFrame, sources: Sequence[Source], classes: Sequence[str]
) -> tuple[pd.DataFrame, NDArray[np.intp], NDArray[np.float32]]:
    """The listings, with `first` and `photos` of their rows; the class that each photo looks like; and the matrix."""
    number = pd.factorize(answered["listing_uuid"])[0]
    first = np.flatnonzero(np.diff(number, prepend=-1))
    listings = answered.iloc[first][["listing_uuid", "source", "given"]].reset_index(drop=True)
    listings = listings.assign(first=first, photos=np.bincount(number))
    best = np.empty(len(answered), np.intp)
    p = np.empty((len(listings), len(classes)), np.float32)
    for one, own in answered.groupby("source").groups.items():
        rows = np.asarray(own)
        start = number[rows[0]]
        pooled = pool_listings(
            sources[int(str(one))],
            answered["row"].to_numpy()[rows],
            listing=number[rows] - start,
            classes=classes,
        )
        best[rows], p[start : start + len(pooled.p)] = pooled.best, pooled.p
    return listings, best, p


def _table(
    chosen: NDArray[np.intp],
    listings: pd.DataFrame,
    p: NDArray[np.float32],
    *,
    score: NDArray[np.floating],
    answered: pd.DataFrame,
    names: Sequence[str],
) -> pd.DataFrame:
    answer, given = p.argmax(axis=1), listings["given"].to_numpy()
    taken = pd.Series(1, index=pd.MultiIndex.from_arrays([given, answer])).groupby(level=[0, 1]).sum()
    of = np.bincount(given, minlength=len(names))
    rows = []
    for one in chosen:
        mine, other = int(given[one]), int(answer[one])
        first, photos = int(listings["first"].iloc[one]), int(listings["photos"].iloc[one])
        best = answered["best"].to_numpy()[first : first + photos]
        votes = int((best == other).sum())
        row: dict[str, Any] = {
            "listing": listings["listing_uuid"].iloc[one], "from": names[mine], "suggested": names[other],
            "p": float(p[one, other]), "p_from": float(p[one, mine]), "photos": photos, "votes": votes,
            "mixed": 2 * votes <= photos, "score": float(score[one]),
            "key": answered["key"].iloc[first + int((best == other).argmax())],
        }  # fmt: skip
        row["why"] = " ".join(_why(row, taken=int(taken[mine, other]) - 1, others=int(of[mine]) - 1))
        rows.append(row)
    return pd.DataFrame(rows, columns=[name for name in COLUMNS if name != "source"])


def _why(row: dict[str, Any], *, taken: int, others: int) -> Iterator[str]:
    """Sentences; `taken` of so many `others` of the given class are taken for the suggested one too."""
    new, old = row["suggested"], row["from"]
    votes = f"{row['votes']} of {row['photos']} photos look" if row["photos"] > 1 else "The only photo looks"
    yield f"{votes} like {new}."
    yield f"The model gives {new} a probability of {_share(row['p'])}, and {old} {_share(row['p_from'])}."
    if row["mixed"] and row["photos"] > 1:
        yield "The photos do not agree, and may show different cars."
    yield f"Of {others} other listings of {old}, the model takes {taken or 'none'} for {new}."


def _share(p: float) -> str:
    return "less than 0.01" if p < 0.01 else f"{p:.2f}"
