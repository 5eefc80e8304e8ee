"""Fit what tells the year of a car from the features of a network that was trained for its class, and judge it.

Ridge regression within classes: the year of a photo is that of its class, plus how much newer it looks. One direction
in the features serves all classes, since a class has too few cars for one of its own. It is fitted on validation
photos: the network has not learnt from these, so their features are as those of photos to come.
See benchmarks/year-log.md for what else was tried.

A table of photos, as this module takes it, has a row per photo: `vehicle`, `class_name`, `answer` (the class that the
model takes it for) and `year`. A car has one year, and counts once, however many photos it has.
"""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from carpipe.years import ClassYears, YearRule

Floats = NDArray[np.floating[Any]]

# Of several years. Fewer do not say how far off a guess may be.
MIN_VEHICLES = 20
FOLDS = 5
# Penalties of the direction, in mean variances of a feature; the last leaves nothing of it: the class alone decides.
STRENGTHS: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, np.inf)
# A class's own year, and its own spread, count as if so many average cars stood beside its own.
PRIOR_CARS, PRIOR_SPREAD = 1.0, 10.0
ROWS = 8192  # photos at a time


@dataclass(frozen=True)
class Head:
    """By how many years a photo looks newer than all do on average: (features - middle) @ weights.

    Attributes:
        middle, weights: float32 (features,).
    """

    middle: NDArray[np.float32]
    weights: NDArray[np.float32]

    def newer(self, features: Floats) -> NDArray[np.float32]:
        """Of photos (n, features), in years (n,)."""
        chunks = (features[start : start + ROWS].astype(np.float32) for start in range(0, len(features), ROWS))
        return np.concatenate([(rows - self.middle) @ self.weights for rows in chunks] or [np.zeros(0, np.float32)])

    def to_npz(self) -> bytes:
        """As a file; `from_npz` reads it."""
        sink = io.BytesIO()
        np.savez(sink, middle=self.middle, weights=self.weights)
        return sink.getvalue()


def from_npz(data: bytes) -> Head:
    """The head of a file that `Head.to_npz` has written."""
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        return Head(file["middle"], file["weights"])


@dataclass(frozen=True)
class Fitted:
    """What came of fitting: the direction, what it means of each class, and the penalty that did best."""

    head: Head
    rule: YearRule
    strength: float


def fit_years(
    features: Floats, photos: pd.DataFrame, *, built: Mapping[str, NDArray[np.int64]], share: float
) -> Fitted | None:
    """The direction that guesses the years of validation cars best, and intervals that hold a share of their years.

    How far off guesses are is found out on cars that had no part in them, five times a fifth. An answer of a wrong
    class counts with the year that comes of it. So the share is held among all photos of known cars. None where even
    all the years of a class would not do: too many photos are taken for a class that was not built in their year.
    Of a class of few cars, another car is often older or newer than all of them: that is counted, too.

    Args:
        features: of each photo (n, features).
        photos: as above.
        built: by class, the years of its training and validation cars, sorted.
        share: of cars whose year is to be in the interval, below 1.
    """
    names = sorted(set(photos["class_name"]) & set(built))
    inside = photos["class_name"].isin(names) & photos["answer"].isin(names)
    features, rows = features[inside.to_numpy()], _Rows.of(photos[inside], names)
    middle = features.mean(axis=0, dtype=np.float64).astype(np.float32)
    sums = [_Sums.of(features, middle, rows, rows.part == part, len(names)) for part in range(FOLDS)]
    by_class, by_answer = _guess_apart(features, rows, sums, middle)
    best = int(np.average(np.abs(by_class - rows.years), axis=1, weights=rows.weights).argmin())
    off = np.abs(by_answer[best] - rows.years)
    spread, spreads = _spreads(off, rows, len(names))
    low, high = _spans_apart([built[name] for name in names], rows)
    reach = _quantile(np.where((low <= rows.years) & (rows.years <= high), off / spread, np.inf), rows.weights, share)
    if not np.isfinite(reach):
        return None
    head, offsets = _Sums.total(sums).solve(middle)[best]
    found = {
        name: ClassYears(float(offset), float(reach * one), *span_of(built[name]))
        for name, offset, one in zip(names, offsets, spreads, strict=True)
    }
    return Fitted(head, YearRule(found), STRENGTHS[best])


def span_of(years: NDArray[np.int64]) -> tuple[int, int]:
    """First and last year that a class may have, by the sorted years of its cars.

    The cars at hand rarely are its oldest and its newest. Between neighbours lie (last - first) / cars years on
    average, and so many lie beyond the outermost: none of a class of many cars.
    """
    beyond = round(float(years[-1] - years[0]) / len(years))
    return int(years[0]) - beyond, int(years[-1]) + beyond


def car_weights(vehicles: "pd.Series[str]") -> NDArray[np.float64]:
    """Of each photo: one through the photos of its car."""
    return np.asarray(1 / vehicles.groupby(vehicles).transform("size"), dtype=np.float64)


@dataclass(frozen=True)
class _Rows:
    """The photos as numbers: by photo, the class that it is of and that it is taken for, its year, weight and fold."""

    own: NDArray[np.intp]
    said: NDArray[np.intp]
    years: NDArray[np.float64]
    weights: NDArray[np.float64]
    part: NDArray[np.intp]
    vehicles: "pd.Series[str]"

    @classmethod
    def of(cls, photos: pd.DataFrame, names: list[str]) -> "_Rows":
        own, said = (pd.Index(names).get_indexer(pd.Index(photos[name])) for name in ("class_name", "answer"))
        part = photos["vehicle"].map(_fold).to_numpy(np.intp)
        vehicles = photos["vehicle"]
        return cls(own, said, photos["year"].to_numpy(np.float64), car_weights(vehicles), part, vehicles)


@dataclass(frozen=True)
class _Sums:
    """All that the regression needs of some photos: sums over them, each photo by its weight.

    Attributes:
        products: (features, features); `pulls`: (features,), features times year.
        features: (classes, features); `years`, `cars`: (classes,).
    """

    products: NDArray[np.float64]
    pulls: NDArray[np.float64]
    features: NDArray[np.float64]
    years: NDArray[np.float64]
    cars: NDArray[np.float64]

    @classmethod
    def of(cls, features: Floats, middle: Floats, rows: _Rows, where: NDArray[np.bool_], classes: int) -> "_Sums":
        size = features.shape[1]
        products, pulls, sums = np.zeros((size, size)), np.zeros(size), np.zeros((classes, size))
        years, cars = np.zeros(classes), np.zeros(classes)
        for some in np.array_split(np.flatnonzero(where), max(1, int(where.sum()) // ROWS)):
            seen, own = features[some].astype(np.float64) - middle, rows.own[some]
            heavy = seen * rows.weights[some, None]
            products += heavy.T @ seen
            pulls += heavy.T @ rows.years[some]
            sums += csr_array((np.ones(len(some)), (own, np.arange(len(some)))), (classes, len(some))) @ heavy
            years += np.bincount(own, rows.weights[some] * rows.years[some], minlength=classes)
            cars += np.bincount(own, rows.weights[some], minlength=classes)
        return cls(products, pulls, sums, years, cars)

    @classmethod
    def total(cls, parts: "list[_Sums]") -> "_Sums":
        return cls(*(sum(getattr(part, name) for part in parts) for name in cls.__dataclass_fields__))

    def solve(self, middle: NDArray[np.float32]) -> list[tuple[Head, NDArray[np.float64]]]:
        """For each of `STRENGTHS`, the direction and the offset of each class (classes,).

        Least squares of year = mean + class + features @ direction, with both penalised; classes are eliminated first.
        """
        mean = self.years.sum() / self.cars.sum()
        years = self.years - mean * self.cars
        part = 1 / (self.cars + PRIOR_CARS)
        products = self.products - (self.features * part[:, None]).T @ self.features
        pulls = self.pulls - mean * self.features.sum(axis=0) - self.features.T @ (part * years)
        values, vectors = np.linalg.eigh(products)
        turned = vectors.T @ pulls
        found = []
        for strength in STRENGTHS:
            direction = vectors @ (turned / (np.maximum(values, 0) + strength * max(values.mean(), 1e-12)))
            offsets = mean + part * (years - self.features @ direction)
            found.append((Head(middle, direction.astype(np.float32)), offsets))
        return found


def _guess_apart(
    features: Floats, rows: _Rows, sums: list[_Sums], middle: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The year of each photo by what was fitted without its fold (strengths, n): by its class, and by its answer."""
    found = np.empty((2, len(STRENGTHS), len(features)))
    for part in range(FOLDS):
        mine = np.flatnonzero(rows.part == part)
        rest = _Sums.total([one for number, one in enumerate(sums) if number != part])
        for number, (head, offsets) in enumerate(rest.solve(middle)):
            newer = head.newer(features[mine])
            for side, classes in enumerate((rows.own, rows.said)):
                found[side, number, mine] = offsets[classes[mine]] + newer
    return found[0], found[1]


def _spreads(off: Floats, rows: _Rows, classes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far guesses are off, by class, in years: for each photo (n,) without its own car, and for all (classes,)."""
    squares, weights, said = rows.weights * off**2, rows.weights, rows.said
    own = pd.factorize(pd.MultiIndex.from_arrays([said, rows.vehicles]))[0]
    usual = PRIOR_SPREAD * squares.sum() / weights.sum()
    sums, cars = (np.bincount(said, values, minlength=classes) for values in (squares, weights))
    mine, me = (np.bincount(own, values)[own] for values in (squares, weights))
    apart = (sums[said] - mine + usual) / (cars[said] - me + PRIOR_SPREAD)
    return np.sqrt(np.maximum(apart, 1e-12)), np.sqrt(np.maximum((sums + usual) / (cars + PRIOR_SPREAD), 1e-12))


def _spans_apart(built: list[NDArray[np.int64]], rows: _Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """First and last year of the class that each photo is taken for (n,), if its own car were not there."""
    spans = np.array([span_of(years) for years in built], dtype=np.float64)[rows.said]
    for at in np.flatnonzero(rows.own == rows.said):
        years = built[rows.said[at]]
        if len(years) > 1 and rows.years[at] in (years[0], years[-1]):
            spans[at] = span_of(np.delete(years, np.searchsorted(years, rows.years[at])))
    return spans[:, 0], spans[:, 1]


def _quantile(scores: Floats, weights: Floats, share: float) -> float:
    """The least score that the share of cars do not exceed, one more car of any score among them.

    Source: V. Vovk et al., "Algorithmic Learning in a Random World", 2005; split conformal prediction.
    """
    order = np.argsort(scores, kind="stable")
    reached = np.cumsum(weights[order]) >= share * (weights.sum() + 1) - 1e-9
    return float(scores[order][reached.argmax()]) if reached.any() else np.inf


def _fold(vehicle: str) -> int:
    return int(hashlib.sha256(vehicle.encode()).hexdigest()[:8], 16) % FOLDS
