"""Filter: keep photos that show a car from outside.

Looks at thumbnails only; the photos are not read again. It knows nothing of the model: it is handed a
function that scores pictures.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

import pandas as pd

from carpipe.config import FilterConfig

VERSION = 2
STAGE = "filter"


class Seen(NamedTuple):
    """What the filter says of a photo: the probability of `auto`, and the likeliest view, where it tells views."""

    p_car: float
    view: str | None = None
    view_p: float | None = None


# JPEGs in, what is seen on each out.
Score = Callable[[list[bytes]], list[Seen]]


def filter_cars(
    thumbnails: Iterable[tuple[str, bytes]],
    *,
    score: Score | None,
    config: FilterConfig,
    known: Mapping[str, Seen] | None = None,
    views: bool = False,
) -> pd.DataFrame:
    """One row per thumbnail with `p_car`; `reason` is `not_a_car` below the threshold.

    Args:
        thumbnails: (photo key, JPEG).
        score: may be None when all scores are known.
        config: threshold and batch.
        known: what was seen before, by photo key; the others are asked for.
        views: whether views are told: then there are `view` and `view_p` too.
    """
    scores = dict(known or {})
    keys: list[str] = []
    for batch in _batches(thumbnails, config.batch):
        keys += [key for key, _ in batch]
        todo = {key: jpeg for key, jpeg in batch if key not in scores}
        if todo and score:
            scores.update(zip(todo, score(list(todo.values())), strict=True))
    seen = [scores[key] for key in keys]
    p_car = pd.Series([one.p_car for one in seen], dtype="float64")
    results = pd.DataFrame({"key": pd.Series(keys, dtype="str"), "p_car": p_car})
    if views:
        results["view"] = pd.Series([one.view for one in seen], dtype="str")
        results["view_p"] = pd.Series([one.view_p for one in seen], dtype="float64")
    results["reason"] = pd.Series(None, index=results.index, dtype="str")
    results.loc[results["p_car"] < config.threshold, "reason"] = "not_a_car"
    return results


def _batches(items: Iterable[tuple[str, bytes]], size: int) -> Iterator[list[tuple[str, bytes]]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
