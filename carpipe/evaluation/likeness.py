"""How much a photo is like what a network has seen of its classes: the cosine to the nearest class mean in features.

The means are of validation photos. The network has not learnt from these, so their features are as those of photos to
come, and no training photo has to be read again.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

Floats = NDArray[np.floating[Any]]

# Of the mean of all photos, so much is taken off. All of it tells look-alikes best, none of it pictures without a car:
# see benchmarks/unknown-log.md.
MIDDLE = 0.5
ROWS = 8192  # photos at a time: 1,280 features take 40 MiB


@dataclass(frozen=True)
class Means:
    """Attributes:
    middle: float32 (features,), taken off each photo.
    directions: float32 (classes, features) of length 1; 0 for a class without a photo.
    """

    middle: NDArray[np.float32]
    directions: NDArray[np.float32]

    def of(self, features: Floats) -> NDArray[np.float32]:
        """The likeness (n,) of photos by their features (n, features): -1 to 1."""
        return np.concatenate(
            [self._cosines(rows).max(axis=1) for rows in _chunks(features)] or [np.zeros(0, np.float32)]
        )

    def _cosines(self, features: Floats) -> NDArray[np.float32]:
        found: NDArray[np.float32] = _normed(features.astype(np.float32) - self.middle) @ self.directions.T
        return found

    def to_npz(self) -> bytes:
        """As a file; `from_npz` reads it."""
        sink = io.BytesIO()
        np.savez(sink, middle=self.middle, directions=self.directions)
        return sink.getvalue()


def from_npz(data: bytes) -> Means:
    """The means of a file that `Means.to_npz` has written."""
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        return Means(file["middle"], file["directions"])


def fit_means(features: Floats, truth: NDArray[np.intp], *, classes: int) -> Means:
    """The means of photos (n, features) whose class numbers are `truth` (n,)."""
    sums, sizes = _sums(features, truth, classes)
    middle = (MIDDLE * sums.sum(axis=0) / max(len(features), 1)).astype(np.float32)
    means = np.divide(sums, sizes[:, None], out=np.zeros_like(sums), where=sizes[:, None] > 0)
    directions = _normed(means - middle)
    directions[sizes == 0] = 0
    return Means(middle, directions.astype(np.float32))


def likeness_apart(
    means: Means, features: Floats, *, truth: NDArray[np.intp], vehicles: "pd.Series[str]"
) -> NDArray[np.float32]:
    """The likeness of the very photos that the means are of: each to means that its own car was left out of.

    Else they would look more familiar than photos to come. A class of one car has no such mean, and does not count
    for that car.
    """
    classes = len(means.directions)
    groups = pd.factorize(pd.MultiIndex.from_arrays([truth, vehicles]))[0]
    sums, sizes = _sums(features, truth, classes)
    own, owned = _sums(features, groups, int(groups.max()) + 1)
    found, start = [], 0
    for rows in _chunks(features):
        mine = slice(start, start + len(rows))
        start += len(rows)
        number, group = truth[mine], groups[mine]
        left = sizes[number] - owned[group]
        without = (sums[number] - own[group]) / np.maximum(left, 1)[:, None] - means.middle
        cosines = means._cosines(rows)
        here = (_normed(without) * _normed(rows.astype(np.float32) - means.middle)).sum(axis=1)
        cosines[np.arange(len(rows)), number] = np.where(left > 0, here, -1)
        found.append(cosines.max(axis=1))
    return np.concatenate(found)


def _sums(features: Floats, numbers: NDArray[np.intp], count: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Sums of the features by number (count, features), and how many there are of each."""
    sums, start = np.zeros((count, features.shape[1])), 0
    for rows in _chunks(features):
        mine = numbers[start : start + len(rows)]
        start += len(rows)
        picks = csr_array((np.ones(len(rows)), (mine, np.arange(len(rows)))), shape=(count, len(rows)))
        sums += picks @ rows.astype(np.float64)
    return sums, np.bincount(numbers, minlength=count)


def _normed(rows: Floats) -> Any:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _chunks(features: Floats) -> Iterator[Floats]:
    return (features[start : start + ROWS] for start in range(0, len(features), ROWS))
