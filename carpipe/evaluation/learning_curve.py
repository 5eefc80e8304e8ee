"""What more photos bring: models that learnt from a share of them, on the same test photos.

Each step of the curve is judged as the gate judges two models: pairs of answers, and what is random is a vehicle.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pandas as pd

from carpipe.config import GateConfig
from carpipe.errors import InputError
from carpipe.evaluation.gate_statistics import bootstrap_interval, count_vehicles, judge_classes, sign_flip_p
from carpipe.evaluation.newest import interval
from carpipe.html_page import in_points, per_cent

FIGURES = ("test_accuracy", "test_macro_f1", "test_listing_accuracy")
# A doubling, as near as whole vehicles come to it.
DOUBLE = (1.8, 2.2)


@dataclass(frozen=True)
class Point:
    """A model that learnt from a share of the training photos.

    Attributes:
        share: of the vehicles, above 0 and up to 1.
        photos, vehicles: that it learnt from.
        epochs, steps, seconds: of its training; seconds are 0 where an earlier training was taken over.
        figures: of `metrics.figures`.
        training: photos learnt from, by class.
        answers: a row per test photo: `key`, `vehicle`, `class_name`, `correct`.
    """

    share: float
    photos: int
    vehicles: int
    epochs: int
    steps: int
    seconds: float
    figures: Mapping[str, float]
    training: Mapping[str, int]
    answers: pd.DataFrame


def judge_curve(points: Sequence[Point], *, rules: GateConfig) -> dict[str, Any]:
    """The curve in figures, JSON-able.

    Args:
        points: by rising share, of the same test photos.
        rules: `confidence`, `resamples` and `seed`, and what tells of a class alone, as in the gate.

    Returns:
        `confidence` of every bound; `points`, a dict each; `steps`, from each point to the next one; `classes` of the
        last step, those that gained most first; and `says`, the last step in a sentence.

    Raises:
        InputError: there is no point, or two were judged on other photos.
    """
    if not points:
        raise InputError("A learning curve needs at least one point; there is none.")
    pairs = [_pair(one, other) for one, other in pairwise(points)]
    steps = [_step(points[place], points[place + 1], pair, rules=rules) for place, pair in enumerate(pairs)]
    return {
        "confidence": rules.confidence,
        "points": [_point(point, rules=rules) for point in points],
        "steps": steps,
        "classes": _classes(points[-2], points[-1], pairs[-1], rules=rules) if pairs else [],
        "says": describe_step(steps[-1], confidence=rules.confidence) if steps else "",
    }


def describe_step(step: Mapping[str, Any], *, confidence: float) -> str:
    """What a step of the curve brought, in sentences."""
    low, high = DOUBLE
    what = "The last doubling of photos" if low <= step["times"] <= high else f"{step['times']:.3g} times the photos"
    difference, least, most = (in_points(step[name], places=1) for name in ("difference", "low", "high"))
    said = f"{what} brought {difference} points ({least} at least, {most} at most, each {100 * confidence:.4g} % sure)."
    if step["better"]:
        return (
            f"{said} Training took {step['times']:.3g} times the steps too, so part of that may come from training for "
            "longer. As far as it comes from the photos, more are likely to help again, though each further doubling "
            "tends to bring less."
        )
    if step["high"] <= 0:
        return f"{said} More photos of this kind did not help."
    return f"{said} That more photos help is not proven."


def _point(point: Point, *, rules: GateConfig) -> dict[str, Any]:
    low, high = interval(point.answers["vehicle"], point.answers["correct"], confidence=rules.confidence)
    facts = ("share", "photos", "vehicles", "epochs", "steps", "seconds")
    figures = {name: point.figures[name] for name in FIGURES if name in point.figures}
    return {**{name: getattr(point, name) for name in facts}, **figures, "low": low, "high": high}


def _step(before: Point, after: Point, pairs: pd.DataFrame, *, rules: GateConfig) -> dict[str, Any]:
    vehicles = count_vehicles(pairs)
    low, high = bootstrap_interval(vehicles, confidence=rules.confidence, resamples=rules.resamples, seed=rules.seed)
    chance = sign_flip_p(vehicles.gain)
    return {
        "from": before.share,
        "to": after.share,
        "times": after.photos / before.photos,
        "difference": float(pairs["candidate"].mean() - pairs["champion"].mean()),
        "low": low,
        "high": high,
        "chance": chance,
        "better": bool(low > 0 and chance <= 1 - rules.confidence),
    }


def _classes(before: Point, after: Point, pairs: pd.DataFrame, *, rules: GateConfig) -> list[dict[str, Any]]:
    """Every class by its gain in recall, the largest first."""
    # The gate asks which class fell from the champion to the candidate; looked at backwards, it is which one rose.
    backwards = pairs.rename(columns={"candidate": "champion", "champion": "candidate"})
    found = judge_classes(backwards, rules=rules)
    rows = [
        {
            "class_name": row["class_name"],
            "photos": int(row["photos"]),
            "vehicles": int(row["vehicles"]),
            "training_before": before.training.get(row["class_name"], 0),
            "training": after.training.get(row["class_name"], 0),
            "recall_before": float(row["candidate"]),
            "recall": float(row["champion"]),
            "gain": float(row["fall"]),
            "better": int(row["worse"]),
            "worse": int(row["better"]),
            "proven": bool(row["ruined"]),
        }
        for row in found[found["class_name"].notna()].to_dict("records")
    ]
    return sorted(rows, key=lambda row: (-row["gain"], -row["better"], row["class_name"]))


def _pair(before: Point, after: Point) -> pd.DataFrame:
    """A row per test photo: `vehicle`, `class_name`, and whether each was right, as `gate_statistics` wants it."""
    columns = ["key", "vehicle", "class_name"]
    now = after.answers[[*columns, "correct"]].rename(columns={"correct": "candidate"})
    then = before.answers[[*columns, "correct"]].rename(columns={"correct": "champion"})
    pairs = now.merge(then, on=columns, validate="one_to_one")
    if not len(pairs) == len(now) == len(then):
        raise InputError(
            f"The shares {before.share:g} and {after.share:g} were judged on {len(then):,} and {len(now):,} test "
            "photos that are not the same; compute the curve anew."
        )
    return pairs


def share_text(share: float) -> str:
    """As people say it: `25 %`."""
    return per_cent(share, 0) if round(100 * share, 6) % 1 == 0 else per_cent(share, 1)
