"""The gate on simulated nights: how often it publishes, asks and refuses, where the truth is known.

    python benchmarks/gate.py [trials]

The test set has the size and shape of the published one: 512 classes of 2 to 300 vehicles (log-normal, median 24),
vehicles of 1 to 10 photos. A photo is answered wrongly when its difficulty passes a limit. The difficulty has
parts that both models share (the car, the photo) and parts of each model's own (the car, the photo), so that
photos of one car go wrong together and two models mostly fail on the same ones.
"""

import sys
import time
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from carpipe.config import GateConfig
from carpipe.evaluation.gate import compare

# Shares of the variance of a photo's difficulty; they add up to 1.
SHARED_VEHICLE, SHARED_PHOTO, OWN_VEHICLE, OWN_PHOTO = 0.45, 0.35, 0.08, 0.12
CLASS_SPREAD = 0.35  # standard deviation of the classes' limits: some are harder than others


@dataclass(frozen=True)
class Scenario:
    """Accuracies of both models, and test vehicles of the class that the candidate ruins (0: none)."""

    champion: float
    candidate: float
    ruined: int = 0


SCENARIOS = {
    "better, +1.5 points": Scenario(0.93, 0.945),
    "equal": Scenario(0.93, 0.93),
    "worse, -1.5 points": Scenario(0.93, 0.915),
    "+1 point, a class of 24 vehicles at 0.3": Scenario(0.93, 0.94, 24),
    # What the gate cannot promise:
    "+0.3 points": Scenario(0.93, 0.933),
    "+1 point, a class of 12 vehicles at 0.3": Scenario(0.93, 0.94, 12),
    "+1 point, a class of 8 vehicles at 0.3": Scenario(0.93, 0.94, 8),
}
RUINED = 0.3  # recall of a ruined class


def draw_photos(rng: np.random.Generator, *, classes: int, median: float) -> pd.DataFrame:
    """A test set: `key`, `vehicle`, `class_name`, and class and vehicle as numbers."""
    sizes = np.clip(np.exp(rng.normal(np.log(median), 0.85, classes)), 2, 300).astype(int)
    class_of = np.repeat(np.arange(classes), sizes)
    photos = np.clip(rng.poisson(5.7, len(class_of)), 1, 10)
    vehicle = np.repeat(np.arange(len(class_of)), photos)
    number = class_of[vehicle]
    return pd.DataFrame(
        {
            # Plain objects: thousands of nights compare them, and pandas' strings would be unpacked each time.
            "key": pd.Series([f"{row}.jpg" for row in range(len(vehicle))], dtype=object),
            "vehicle": vehicle,
            "class_name": pd.Series([f"class_{index:03}" for index in number], dtype=object),
            "number": number,
        }
    )


def draw_answers(
    photos: pd.DataFrame, scenario: Scenario, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of candidate and champion for the gate."""
    vehicle, number = photos["vehicle"].to_numpy(), photos["number"].to_numpy()
    vehicles, rows = vehicle[-1] + 1, len(photos)
    shared = np.sqrt(SHARED_VEHICLE) * rng.normal(size=vehicles)[vehicle] + np.sqrt(SHARED_PHOTO) * rng.normal(
        size=rows
    )
    limits = rng.normal(0, CLASS_SPREAD, number[-1] + 1)

    def answer(accuracy: float) -> NDArray[np.bool_]:
        own = np.sqrt(OWN_VEHICLE) * rng.normal(size=vehicles)[vehicle] + np.sqrt(OWN_PHOTO) * rng.normal(size=rows)
        # The classes' spread adds to the variance, so the limit is widened to keep the accuracy.
        limit = norm.ppf(accuracy) * np.sqrt(1 + CLASS_SPREAD**2) + limits[number]
        if scenario.ruined and accuracy == scenario.candidate:
            limit[number == _class_of_size(photos, scenario.ruined)] = norm.ppf(RUINED)
        right: NDArray[np.bool_] = shared + own < limit
        return right

    table = photos[["key", "vehicle", "class_name"]]
    return table.assign(correct=answer(scenario.candidate)), table.assign(correct=answer(scenario.champion))


def _class_of_size(photos: pd.DataFrame, vehicles: int) -> int:
    sizes = photos.groupby("number")["vehicle"].nunique().to_numpy()  # of classes 0, 1 and so on
    return int(np.abs(sizes - vehicles).argmin())


def run(name: str, *, trials: int, rules: GateConfig, classes: int = 512, median: float = 24) -> Counter[str]:
    """Outcomes of so many nights, each with two models of its own on one test set."""
    outcomes: Counter[str] = Counter()
    photos = draw_photos(np.random.default_rng(classes), classes=classes, median=median)
    for trial in range(trials):
        rng = np.random.default_rng([trial, classes])
        outcomes[compare(*draw_answers(photos, SCENARIOS[name], rng), rules=rules).outcome] += 1
    return outcomes


def main(trials: int) -> None:
    """Print a line per scenario."""
    rules = GateConfig()
    photos = draw_photos(np.random.default_rng(0), classes=512, median=24)
    print(f"{len(photos):,} photos of {photos['vehicle'].nunique():,} vehicles, {trials} nights each")
    tables = draw_answers(photos, SCENARIOS["better, +1.5 points"], np.random.default_rng(0))
    started = time.perf_counter()
    print(compare(*tables, rules=rules).render())
    print(f"decided in {time.perf_counter() - started:.2f} s\n")
    print(f"{'the candidate':<42} {'publish':>8} {'ask':>8} {'refuse':>8}")
    for name in SCENARIOS:
        outcomes = run(name, trials=trials, rules=rules)
        shares = (f"{outcomes[outcome] / trials:>8.1%}" for outcome in ("publish", "ask", "refuse"))
        print(f"{name:<42} {' '.join(shares)}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
