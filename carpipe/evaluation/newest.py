"""How a live model does on listings that it could not have learnt from: what a random split cannot show.

A random split draws its test cars from the same weeks as those trained on. The market moves on: new models, other
cameras, other dealers. So before each training the live model answers what has come since its own.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm
from scipy.stats import t as student

from carpipe.html_page import per_cent
from carpipe.names import counted

# Why photos of new listings are not counted, in the order in which they are told.
APART = {
    "seen_vehicle": "of a car that the model knows from another listing",
    "unknown_class": "of a class that the model does not know",
    "not_in_dataset": "not in today's dataset",
    "no_crop": "without a crop that can be read",
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
    """Bounds of the share of photos that are right; each holds with nearly `confidence`.

    Wilson's interval for as many independent photos as these are worth: photos of one car are right or wrong together.
    Unlike the gate's bootstrap it says something where few cars are new, and where all are right. Of cars that differ
    by a beta distribution, 2 to 100 of them with 1 to 20 photos each, a bound of 99 % was missed in 2.6 % of
    simulations at most, and one of 95 % in 7 %: `high`, where 95 % and more are right. Mostly it was less than 1 and 5.
    Source: E. L. Korn and B. I. Graubard, "Confidence intervals for proportions with small expected number of positive
    counts estimated from survey data", Survey Methodology 24, 1998; with Wilson's interval for that of Clopper and
    Pearson, and with the two cars of `_worth`.
    """
    number = pd.factorize(vehicles)[0]
    sizes = np.bincount(number)
    right = np.bincount(number, weights=correct.to_numpy(float))
    share = float(right.sum() / sizes.sum())
    z = float(norm.ppf(confidence))
    # How much cars differ is estimated, of few cars badly: as many photos as give t's interval, not the normal one's.
    worth = _worth(sizes, right) * (z / float(student.ppf(confidence, max(len(sizes) - 1, 1)))) ** 2
    centre = (share + z**2 / (2 * worth)) / (1 + z**2 / worth)
    half = z / (1 + z**2 / worth) * np.sqrt(share * (1 - share) / worth + z**2 / (4 * worth**2))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def describe(found: Mapping[str, Any]) -> str:
    """The figures of `judge_newest` in sentences; `test_accuracy` beside them is told where it is there."""
    apart = [
        f"{number:,} {'is' if number == 1 else 'are'} {text}" for name, text in APART.items()
        if (number := found["apart"].get(name, {}).get("photos"))
    ]  # fmt: skip
    more = f" Apart from these, {', '.join(apart)}." if apart else ""
    if not found["photos"]:
        return f"No photo of a new listing can be counted.{more}"
    test = found.get("test_accuracy")
    beside = f" On its own test photos it was right on {per_cent(test)}." if test is not None else ""
    return (
        f"The live model answers {per_cent(found['accuracy'])} of {counted(found['photos'], 'photo')} of "
        f"{counted(found['listings'], 'listing')} rightly that were not there when it was trained "
        f"({per_cent(found['low'])} at least and {per_cent(found['high'])} at most, each "
        f"about {100 * found['confidence']:.4g} % sure).{beside}{more}"
    )


def _worth(sizes: Any, right: Any) -> float:
    """How many independent photos tell as much as these: never fewer than one, nor more than there are.

    By the variance between cars. Where next to all are right, those few do not show how much photos of one car are
    alike. So two cars of the mean size are thought of beside them, one right and one wrong, as A. Agresti and B. Coull
    add trials ("Approximate is better than exact", The American Statistician 52, 1998).
    """
    cars, photos, mean = len(sizes), float(sizes.sum()), float(sizes.mean())
    sizes, right = np.append(sizes, [mean, mean]), np.append(right, [mean, 0.0])
    share = right.sum() / sizes.sum()
    variance = ((right - share * sizes) ** 2).sum() * (cars + 2) / (cars + 1) / sizes.sum() ** 2
    worth = share * (1 - share) / variance * cars / (cars + 2)
    return float(min(photos, max(1.0, worth)))
