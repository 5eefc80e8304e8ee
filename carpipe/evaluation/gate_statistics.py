"""The gate's statistics: is one model better than another, on the same photos, and is any class ruined?

Photos of one car are alike: a model that fails on one fails on the next. So whatever is random here is a vehicle,
never a photo.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binom, false_discovery_control

from carpipe.config import GateConfig

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Vehicles:
    """What changed, per vehicle: `gain`, photos that became right less those that became wrong, of `photos`."""

    gain: Integers
    photos: Integers


def count_vehicles(pairs: pd.DataFrame) -> Vehicles:
    """Of a table with a row per photo: `vehicle`, `candidate` and `champion` (bool, whether each was right)."""
    number = pd.factorize(pairs["vehicle"])[0]
    gain = _as_int(pairs["candidate"]) - _as_int(pairs["champion"])
    return Vehicles(np.bincount(number, weights=gain).astype(np.int64), np.bincount(number).astype(np.int64))


def bootstrap_interval(vehicles: Vehicles, *, confidence: float, resamples: int, seed: int) -> tuple[float, float]:
    """Bounds of the difference in photo accuracy; each holds with `confidence`, so both with 2 * confidence - 1.

    A percentile bootstrap over vehicles. Vehicles of equal gain and photos are interchangeable, so a resample is
    one multinomial draw over the few dozen kinds of vehicles: 15,800 vehicles take 10 ms, not seconds.
    """
    code = vehicles.gain * (vehicles.photos.max() + 1) + vehicles.photos
    _, kind, numbers = np.unique(code, return_index=True, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(code), numbers / len(code), size=resamples)
    differences = (drawn @ vehicles.gain[kind]) / (drawn @ vehicles.photos[kind])
    low, high = np.quantile(differences, [1 - confidence, confidence])
    return float(low), float(high)


def sign_flip_p(gain: Integers) -> float:
    """Probability of a total gain as large as this, or larger, if both models were equally good; exact.

    If they were, each vehicle's gain could as well have had the other sign. The total over all choices of signs is
    a sum of scaled binomials, one per size of gain: their distributions are convolved.
    Source: R. A. Fisher, "The Design of Experiments", 1935, section 21.
    """
    sizes, numbers = np.unique(np.abs(gain[gain != 0]), return_counts=True)
    # Of the sum of the gains that are positive after the flip; the total is twice that, less all.
    chance = np.ones(1)
    for size, number in zip(sizes, numbers, strict=True):
        one = np.zeros(size * number + 1)
        one[::size] = binom.pmf(np.arange(number + 1), number, 0.5)
        chance = np.convolve(chance, one)
    positive = int(gain[gain > 0].sum())
    return min(1.0, float(chance[positive:].sum()))


def judge_classes(pairs: pd.DataFrame, *, rules: GateConfig) -> pd.DataFrame:
    """Recall of every class under both models, and whether it is ruined; the last row pools the small classes.

    A class is ruined when its recall fell by more than `class_margin` and McNemar's exact test by vehicle says that
    this is no accident: of the vehicles that changed, too many got worse. The Benjamini-Hochberg procedure keeps the
    false discovery rate at `class_alpha`, over those classes whose changed vehicles are many enough to prove
    anything (Tarone 1990, Gilbert 2005): the others cannot be found ruined, and must not make it harder for the rest.

    It is ruined as well when it fell by more than `class_collapse` and the same test rejects at 1 - `confidence`, by
    itself. Among hundreds of classes some fall a little by accident, which is why there is a correction; by a third
    they do not, and with the correction a class of ten vehicles could break altogether and never prove it.

    Returns:
        A row per class of `class_name`, `photos`, `vehicles`, `champion` and `candidate` (recall), `fall`, `better`
        and `worse` (vehicles), `alone` (judged on its own), `p` and `ruined`; then the pool, where `class_name` is
        null, if any class is small.
    """
    counts = _count_classes(pairs)
    counts["alone"] = counts["vehicles"] >= rules.min_class_vehicles
    classes = _with_recalls(counts)
    changed = (classes["better"] + classes["worse"]).to_numpy()
    # P(as many or more got worse) when better and worse are equally likely.
    p = np.where(changed > 0, binom.sf(classes["worse"] - 1, changed, 0.5), 1.0)
    tested = (classes["alone"] | classes["class_name"].isna()).to_numpy(bool)
    proven = np.zeros(len(classes), bool)
    proven[tested] = _reject(p[tested], changed[tested], alpha=rules.class_alpha)
    collapsed = tested & (classes["fall"] > rules.class_collapse) & (p <= 1 - rules.confidence)
    return classes.assign(p=p, ruined=(proven & (classes["fall"] > rules.class_margin)) | collapsed)


def choose_provable(changed: Integers, *, alpha: float) -> NDArray[np.bool_]:
    """Which of several sign tests, of so many changed vehicles each, can reach significance at all.

    The least p that n vehicles can give is 2^-n. The result is the smallest number m of tests such that at most m
    of them can get below alpha / m. It looks at how many vehicles changed, and not in which direction.
    Source: R. E. Tarone, "A Modified Bonferroni Method for Discrete Data", Biometrics 46, 1990.
    """
    least = 0.5 ** changed.astype(float)
    for tests in range(1, len(changed) + 1):
        able = np.asarray(least <= alpha / tests)
        if able.sum() <= tests:
            return able
    return np.zeros(len(changed), bool)


def _reject(p: NDArray[np.float64], changed: Integers, *, alpha: float) -> NDArray[np.bool_]:
    rejected = choose_provable(changed, alpha=alpha)
    if rejected.any():
        rejected[rejected] = false_discovery_control(p[rejected], method="bh") <= alpha
    return rejected


def _with_recalls(counts: dict[str, NDArray[Any]]) -> pd.DataFrame:
    """The counts as a table with both recalls, and a last row for all classes that are not judged alone."""
    small = ~counts["alone"]
    if small.any():
        last = {name: numbers[small].sum() for name, numbers in counts.items()} | {"class_name": None, "alone": False}
        counts = {name: np.append(numbers, last[name]) for name, numbers in counts.items()}
    before, now = (counts.pop(name) / counts["photos"] for name in ("right_before", "right_now"))
    names = pd.Series(counts.pop("class_name"), dtype=object)
    return pd.DataFrame({"class_name": names, **counts, "champion": before, "candidate": now, "fall": before - now})


def _count_classes(pairs: pd.DataFrame) -> dict[str, NDArray[Any]]:
    """Per class: photos, vehicles, how many photos each model got right, and vehicles that got better and worse."""
    number, names = pd.factorize(pairs["class_name"], sort=True)
    vehicle, vehicles = pd.factorize(pairs["vehicle"])
    # A vehicle counts once in each class that it has photos of: a car filter's have photos of both.
    cell, cells = pd.factorize(number * len(vehicles) + vehicle)
    gain = np.bincount(cell, weights=_as_int(pairs["candidate"]) - _as_int(pairs["champion"]))
    of_cell = cells // len(vehicles)
    size = len(names)

    def count(numbers: Any, weights: Any = None) -> Any:
        return np.bincount(numbers, weights=weights, minlength=size).astype(np.int64)

    return {
        "class_name": np.asarray(names, dtype=object),
        "photos": count(number),
        "vehicles": count(of_cell),
        "right_before": count(number, _as_int(pairs["champion"])),
        "right_now": count(number, _as_int(pairs["candidate"])),
        "better": count(of_cell[gain > 0]),
        "worse": count(of_cell[gain < 0]),
    }


def _as_int(correct: "pd.Series[bool]") -> Integers:
    return np.asarray(correct, dtype=np.int64)
