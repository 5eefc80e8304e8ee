"""Filter: keep photos that show a car from outside.

Looks at thumbnails only; the photos are not read again. It knows nothing of the model: it is handed a
function that scores pictures.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import numpy as np
import pandas as pd

from carpipe.config import FilterConfig

VERSION = 2
STAGE = "filter"

# JPEGs in, probability of `auto` for each out.
Score = Callable[[list[bytes]], "np.ndarray[tuple[int], np.dtype[np.float32]]"]


def filter_cars(thumbnails: Iterable[tuple[str, bytes]], *, score: Score, config: FilterConfig) -> pd.DataFrame:
    """One row per thumbnail with `p_car`; `reason` is `not_a_car` below the threshold."""
    keys: list[str] = []
    scores: list[float] = []
    for batch in _batches(thumbnails, config.batch):
        keys += [key for key, _ in batch]
        scores += score([jpeg for _, jpeg in batch]).tolist()
    results = pd.DataFrame({"key": pd.Series(keys, dtype="str"), "p_car": pd.Series(scores, dtype="float64")})
    results["reason"] = pd.Series(None, index=results.index, dtype="str")
    results.loc[results["p_car"] < config.threshold, "reason"] = "not_a_car"
    return results


def _batches(items: Iterable[tuple[str, bytes]], size: int) -> Iterator[list[tuple[str, bytes]]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
