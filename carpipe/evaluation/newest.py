"""How a live model does on listings that it could not have learnt from: what a random split cannot show.

A random split draws its test cars from the same weeks as those trained on. The market moves on: new models, other
cameras, other dealers. So before each training the live model answers what has come since its own.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from carpipe.html_page import per_cent

# Why photos of new listings are not counted, in the order in which they are told.
APART = {
    "seen_vehicle": "of a car that the model knows from another listing",
    "unknown_class": "of a class that the model does not know",
    "not_in_dataset": "not in today's dataset",
}


def judge_newest(photos: pd.DataFrame, *, confidence: float) -> dict[str, Any]:
    """Figures of the live model on new listings, JSON-able.

    Args:
        photos: a row per photo: `listing_uuid`, `vehicle`, `correct` (bool), and `apart`, which is null where the photo
            counts, else a key of `APART`.
        confidence: that `low` is not too high, and the same that `high` is not too low, as in the gate.

    Returns:
        `photos`, `listings`, `vehicles` and `correct` of those that count; `accuracy`, a share of photos, with `low`
        and `high`, all null where none counts; `confidence`; `apart`, with `photos` and `listings` of each reason.
    """
    mine = photos[photos["apart"].isna()]
    found = {
        "photos": len(mine),
        "listings": int(mine["listing_uuid"].nunique()),
        "vehicles": int(mine["vehicle"].nunique()),
        "correct": int(mine["correct"].sum()),
    }
    low, high = interval(mine["vehicle"], mine["correct"], confidence=confidence) if len(mine) else (None, None)
    others = {name: photos[photos["apart"] == name] for name in APART}
    return {
        **found,
        "accuracy": found["correct"] / len(mine) if len(mine) else None,
        "low": low,
        "high": high,
        "confidence": confidence,
        "apart": {
            name: {"photos": len(rows), "listings": int(rows["listing_uuid"].nunique())}
            for name, rows in others.items()
        },
    }


def interval(vehicles: "pd.Series[str]", correct: "pd.Series[bool]", *, confidence: float) -> tuple[float, float]:
    """Bounds of the share of photos that are right; each holds with `confidence`.

    Wilson's interval for as many independent photos as these are worth: photos of one car are right or wrong together.
    Unlike the gate's bootstrap it says something where few cars are new, and where all are right.
    Source: E. L. Korn and B. I. Graubard, "Confidence intervals for proportions with small expected number of positive
    counts estimated from survey data", Survey Methodology 24, 1998; with Wilson's interval for that of Clopper and
    Pearson.
    """
    number = pd.factorize(vehicles)[0]
    sizes = np.bincount(number)
    right = np.bincount(number, weights=correct.to_numpy(float))
    share = float(right.sum() / sizes.sum())
    worth = _worth(sizes, right, share)
    z = float(norm.ppf(confidence))
    centre = (share + z**2 / (2 * worth)) / (1 + z**2 / worth)
    half = z / (1 + z**2 / worth) * np.sqrt(share * (1 - share) / worth + z**2 / (4 * worth**2))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def describe(found: Mapping[str, Any]) -> str:
    """The figures of `judge_newest` in sentences; `test_accuracy` beside them is told where it is there."""
    apart = [
        f"{found['apart'][name]['photos']:,} are {text}" for name, text in APART.items()
        if found["apart"].get(name, {}).get("photos")
    ]  # fmt: skip
    more = f" Apart from these, {', '.join(apart)}." if apart else ""
    if not found["photos"]:
        return f"No photo of a new listing can be counted.{more}"
    test = found.get("test_accuracy")
    beside = f" On its own test photos it was right on {per_cent(test)}." if test is not None else ""
    return (
        f"The live model answers {per_cent(found['accuracy'])} of {_count(found['photos'], 'photo')} of "
        f"{_count(found['listings'], 'listing')} rightly that were not there when it was trained "
        f"({per_cent(found['low'])} at least and {per_cent(found['high'])} at most, each "
        f"{100 * found['confidence']:.4g} % sure).{beside}{more}"
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _worth(sizes: Any, right: Any, share: float) -> float:
    """How many independent photos tell as much as these: never fewer than one, nor more than there are.

    Where all are right or all wrong, how much photos of one car are alike cannot be seen: then it is the cars.
    """
    cars, photos = len(sizes), float(sizes.sum())
    variance = ((right - share * sizes) ** 2).sum() * cars / max(cars - 1, 1) / photos**2
    if not 0 < share < 1 or cars == 1 or variance <= 0:
        return float(cars)
    return float(min(photos, max(1.0, share * (1 - share) / variance)))
