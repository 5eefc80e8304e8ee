"""Filter: keep photos that show a car from outside.

Looks at thumbnails only; the photos are not read again. It knows nothing of the model: it is handed a
function that scores pictures.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice

import numpy as np
import pandas as pd

from carpipe.config import FilterConfig

VERSION = 2
STAGE = "filter"

# JPEGs in, probability of `auto` for each out.
Score = Callable[[list[bytes]], "np.ndarray[tuple[int], np.dtype[np.float32]]"]


def filter_cars(
    thumbnails: Iterable[tuple[str, bytes]],
    *,
    score: Score | None,
    config: FilterConfig,
    known: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """One row per thumbnail with `p_car`; `reason` is `not_a_car` below the threshold.

    Args:
        thumbnails: (photo key, JPEG).
        score: may be None when all scores are known.
        config: threshold and batch.
        known: scores by photo key; the others are asked for.
    """
    scores = dict(known or {})
    keys: list[str] = []
    for batch in _batches(thumbnails, config.batch):
        keys += [key for key, _ in batch]
        todo = {key: jpeg for key, jpeg in batch if key not in scores}
        if todo and score:
            scores.update(zip(todo, score(list(todo.values())).tolist(), strict=True))
    p_car = pd.Series([scores[key] for key in keys], dtype="float64")
    results = pd.DataFrame({"key": pd.Series(keys, dtype="str"), "p_car": p_car})
    results["reason"] = pd.Series(None, index=results.index, dtype="str")
    results.loc[results["p_car"] < config.threshold, "reason"] = "not_a_car"
    return results


def _batches(items: Iterable[tuple[str, bytes]], size: int) -> Iterator[list[tuple[str, bytes]]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
