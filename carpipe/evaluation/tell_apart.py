"""Models of one class that a network tells apart, though nobody asked it to: what a class could be split into.

The network was trained to give all of them one name. Where it wavers between other classes in another way for each of
them, a class of their own is within reach. A small linear model is asked for the model, by the logarithms of the kept
probabilities, on cars that neither it nor the network was trained on. No photo is read again. The network's features
would tell about as much: on 22 real classes of two models each, of some 37 photos, mean recall was 0.743 and 0.713 by
the kept answers, 0.729 and 0.749 by frozen features (two choices of photos, good to 0.02; `benchmarks/advice.py`).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from carpipe.evaluation.confusion import CONFIDENCE, lower_bound
from carpipe.evaluation.top_answers import TopAnswers
from carpipe.evaluation.unseen import Unseen
from carpipe.probabilities import LISTING_FLOOR, log_probabilities

APART = 0.95  # of the cars of the parts, each part as heavy as the others: so many must be told apart, at least
FOLDS = 5
# Of the logistic regression: columns are many and cars few, so it is held tight (scikit-learn's C).
TIGHT = 0.01
SEED = 20

Parts = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Told:
    """A class whose models fall into parts that are told apart.

    Attributes:
        class_name: the class.
        parts: the models of each, the part with the most cars first.
        cars: of each part.
        right: of those, how many were told to be of it.
        share: mean of right / cars over the parts.
        low: that share, at least, with `confusion.CONFIDENCE`.
        wrong_photos: photos of cars that were told wrongly.
    """

    class_name: str
    parts: Parts
    cars: tuple[int, ...]
    right: tuple[int, ...]
    share: float
    low: float
    wrong_photos: int


def worth_asking(photos: pd.DataFrame) -> list[str]:
    """Classes with two models or more whose cars are enough to prove anything, were all of them told rightly.

    Args:
        photos: a row per photo: `vehicle`, `model`, `class_name`.
    """
    cars = photos.groupby(["class_name", "model"])["vehicle"].nunique()
    classes = {str(name): numbers.droplevel(0) for name, numbers in cars.groupby(level=0)}
    return [name for name, numbers in classes.items() if len(provable(numbers)) > 1]


def provable(cars: "pd.Series[int]") -> list[str]:
    """The models of one class, by its cars per model, that could be proven to be told apart from one of the others."""
    numbers = cars.sort_values(ascending=False)
    most = int(numbers.iloc[0])
    able = [str(model) for model, number in numbers.iloc[1:].items() if _low((most, number), (most, number)) >= APART]
    return [str(numbers.index[0]), *able] if able else []


def tell_all(unseen: Unseen, parts: Sequence[TopAnswers], asked: Sequence[str]) -> list[Told]:
    """`tell_apart` for each class that is asked for; those that fall into parts.

    Args:
        parts: what `unseen` was gathered from, in that order.
    """
    found = []
    for name in asked:
        mine = (unseen.photos["class_name"] == name).to_numpy()
        found.append(tell_apart(unseen.photos[mine].reset_index(drop=True), logs_of(parts, mine), name=name))
    return [told for told in found if told is not None]


def logs_of(parts: Sequence[TopAnswers], mine: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Log-probabilities above the floor, float32 (photos, classes that any of them names); 0 for what is not named.

    Args:
        mine: which photos, of all parts one after the other.
    """
    numbers = [part.numbers for part in parts]
    starts = np.cumsum([0, *map(len, numbers)])
    rows = [mine[start:end] for start, end in pairwise(starts)]
    named = np.unique(np.concatenate([one[row].ravel() for one, row in zip(numbers, rows, strict=True)]))
    blocks = []
    for part, row in zip(parts, rows, strict=True):
        block = np.zeros((int(row.sum()), len(named)), np.float32)
        worth = log_probabilities(part.p[row].astype(np.float32), LISTING_FLOOR) - np.log(LISTING_FLOOR)
        np.put_along_axis(block, np.searchsorted(named, part.numbers[row]), worth.astype(np.float32), axis=1)
        blocks.append(block)
    return np.concatenate(blocks)


def tell_apart(photos: pd.DataFrame, features: NDArray[np.float32], *, name: str) -> Told | None:
    """Find the finest parts of one class's models that are told apart; None where there are none.

    By cross-validation whole cars are held back; the photos of a car answer together. While the parts are not told
    apart as surely as `APART`, the two that are mixed up most become one. Models with too few cars to be proven are
    never a part of their own: they stay with the part that they are taken for most.

    Args:
        photos: a row per photo of that class: `vehicle`, `model`.
        features: float32 (photos, columns), a row per row of `photos`, as `logs_of` makes them.
    """
    numbers = photos.groupby("model")["vehicle"].nunique()
    if not provable(numbers):
        return None
    models = sorted(map(str, numbers.index))
    parts: Parts = tuple((model,) for model in models)
    small = {model for model in models if model not in provable(numbers)}
    table = _ask(photos, features, models)
    while len(parts) > 1:
        counts, wrong = _count(table, parts)
        told = _told(name, parts, counts, wrong)
        if told.low >= APART and not small & {part[0] for part in parts if len(part) == 1}:
            return told
        parts = _join(parts, counts, small)
    return None


def _ask(photos: pd.DataFrame, features: NDArray[np.float32], models: Sequence[str]) -> pd.DataFrame:
    """A row per car: `model`, `photos`, `told` (a model)."""
    truth = pd.Index(models).get_indexer(pd.Index(photos["model"]))
    logs = np.full((len(photos), len(models)), -50.0)
    for learn, ask in _folds(truth, photos["vehicle"]):
        linear: Any = make_pipeline(
            StandardScaler(), LogisticRegression(C=TIGHT, class_weight="balanced", max_iter=500)
        ).fit(features[learn], truth[learn])
        logs[np.ix_(ask, linear.classes_)] = linear.predict_log_proba(features[ask])
    cars = pd.DataFrame(logs).groupby([photos["vehicle"].to_numpy(), photos["model"].to_numpy()]).mean()
    sizes = photos.groupby(["vehicle", "model"]).size()
    told = np.array(models, dtype=object)[cars.to_numpy().argmax(axis=1)]
    found = cars.index.get_level_values(1)
    return pd.DataFrame({"model": found, "photos": sizes.reindex(cars.index).to_numpy(), "told": told})


def _folds(truth: NDArray[np.intp], vehicles: "pd.Series[str]") -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=SEED)
    for learn, ask in folds.split(np.zeros(len(truth)), truth, groups=vehicles):
        if len(np.unique(truth[learn])) > 1:  # else there is nothing to learn; these cars count as wrong
            yield learn, ask


def _count(table: pd.DataFrame, parts: Parts) -> tuple[NDArray[np.int64], int]:
    """Cars of a part (row) that were told to be of a part (column); and photos of those told wrongly."""
    home = {model: number for number, part in enumerate(parts) for model in part}
    truth, told = (table[column].map(home).to_numpy(np.int64) for column in ("model", "told"))
    size = len(parts)
    counts = np.bincount(truth * size + told, minlength=size * size).reshape(size, size)
    return counts.astype(np.int64), int(table["photos"].to_numpy()[truth != told].sum())


def _join(parts: Parts, counts: NDArray[np.int64], small: set[str]) -> Parts:
    """Make one of the two parts that are mixed up most, by the share of their cars; models with few cars first."""
    cars = counts.sum(axis=1)
    mixed = (counts + counts.T) / (cars[:, None] + cars[None, :])
    alone = np.array([len(part) == 1 and part[0] in small for part in parts])
    if alone.any():
        mixed = np.where(alone[:, None] | alone[None, :], mixed, -1.0)
    np.fill_diagonal(mixed, -2.0)
    i, j = sorted(divmod(int(mixed.argmax()), len(parts)))
    joined = tuple(sorted((*parts[i], *parts[j])))
    return (*(part for number, part in enumerate(parts) if number not in (i, j)), joined)


def _told(name: str, parts: Parts, counts: NDArray[np.int64], wrong: int) -> Told:
    order = sorted(range(len(parts)), key=lambda number: (-int(counts[number].sum()), parts[number]))
    cars = tuple(int(counts[number].sum()) for number in order)
    right = tuple(int(counts[number, number]) for number in order)
    share = sum(good / of for good, of in zip(right, cars, strict=True)) / len(cars)
    return Told(name, tuple(parts[number] for number in order), cars, right, share, _low(right, cars), wrong)


def _low(right: Sequence[int], cars: Sequence[int]) -> float:
    """The mean share over the parts, at least: each part's own bound, put together.

    Source: G. Y. Zou and A. Donner, "Construction of confidence limits about effect measures: A general approach",
    Statistics in Medicine 27, 2008 (MOVER).
    """
    found, of = np.array(right, np.int64), np.array(cars, np.int64)
    shares = found / of
    falls = shares - lower_bound(found, of, alpha=1 - CONFIDENCE)
    return float(shares.mean()) - math.sqrt(float((falls**2).sum())) / len(of)
