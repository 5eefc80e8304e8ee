"""The figures of a model on the test split: what the log, the model card and the channel's history show."""

import math
from collections.abc import Mapping
from typing import Any, TypeGuard

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from sklearn.metrics import accuracy_score, f1_score, top_k_accuracy_score

from carpipe.evaluation.calibration import expected_calibration_error, negative_log_likelihood
from carpipe.evaluation.predictions import Predictions
from carpipe.figures import FIGURES, label, meaning
from carpipe.probabilities import LISTING_FLOOR, log_probabilities


def figures(test: Predictions, temperature: float) -> dict[str, float]:
    """Every figure by name.

    - `test_photos`, `test_listings`, `test_vehicles`: how much it was judged on;
    - `test_accuracy`, `test_top5_accuracy` (only of more than 5 classes): share of photos;
    - `test_macro_f1`: mean over the classes, also those without a test photo, which count 0;
    - `test_nll`: mean negative log-likelihood in nats, calibrated;
    - `test_ece_before`, `test_ece`: expected calibration error, before and after calibration;
    - `test_listing_accuracy`: share of listings whose photos, taken together, get the right answer (only where
      every listing is of one class: of a car filter it is not).
    """
    numbers = range(len(test.classes))
    found = {
        "test_photos": len(test.photos),
        "test_listings": test.photos["listing_uuid"].nunique(),
        "test_vehicles": test.photos["vehicle"].nunique(),
        "test_accuracy": accuracy_score(test.truth, test.answer),
        "test_macro_f1": f1_score(test.truth, test.answer, labels=numbers, average="macro", zero_division=0),
        # Not sklearn's log_loss: it makes an integer matrix (photos, classes) of the truth.
        "test_nll": negative_log_likelihood(test, temperature),
        "test_ece_before": expected_calibration_error(test, 1.0),
        "test_ece": expected_calibration_error(test, temperature),
    }
    if len(test.classes) > 5:
        found["test_top5_accuracy"] = top_k_accuracy_score(test.truth, test.p, k=5, labels=numbers)
    if (test.photos.groupby("listing_uuid")["class_name"].nunique() == 1).all():
        found["test_listing_accuracy"] = judge_listings(test)["correct"].mean()
    return {name: float(value) for name, value in found.items()}


def judge_listings(test: Predictions) -> pd.DataFrame:
    """What the photos of a listing say together: the class with the largest mean of log-probabilities.

    One row per listing and true class, by name: `listing_uuid`, `class_name`, `photos`, `photos_correct`,
    `answer` and `correct`. Apps pool alike (`probabilities.pool`).
    """
    rows = test.photos[["listing_uuid", "class_name"]]
    groups = rows.groupby(["listing_uuid", "class_name"], dropna=False, observed=True)
    number = groups.ngroup().to_numpy()
    shape = (groups.ngroups, len(rows))
    sums = csr_array((np.ones(len(rows), np.float32), (number, np.arange(len(rows)))), shape=shape) @ log_probabilities(
        test.p, LISTING_FLOOR
    )
    names = np.array(test.classes, dtype=object)
    table = groups.size().rename("photos").reset_index()
    right = np.bincount(number, weights=test.correct, minlength=groups.ngroups).astype(int)
    answer = names[np.asarray(sums).argmax(axis=1)]
    return table.assign(photos_correct=right, answer=answer, correct=answer == table["class_name"].to_numpy())


def compare_figures(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row per figure of either model.

    Each has `name`, `label` (what people call it), `meaning`, `before`, `now`, `change` and its `verdict`, good or bad.

    Known figures come first, in the order of `carpipe.figures`. What is no number, or only one of them has, has no
    change.
    """
    names = [name for name in FIGURES if name in now or name in before]
    others = [name for name in {**now, **before} if name not in FIGURES]
    rows = []
    for name in (*names, *others):
        sign = FIGURES[name].sign if name in FIGURES else 0
        old, new = before.get(name), now.get(name)
        change = new - old if is_number(new) and is_number(old) else None
        verdict = "" if not change or not sign else "good" if change * sign > 0 else "bad"
        row = {"name": name, "label": label(name), "meaning": meaning(name), "before": old, "now": new}
        rows.append({**row, "change": change, "verdict": verdict})
    return rows


def is_number(value: object) -> TypeGuard[float]:
    """Whether a figure can be calculated with: manifests may hold others."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def show_figure(value: object, sign: str = "") -> str:
    """Counts as they are, shares with four places, a dash for nothing, and whatever else there is as it is."""
    if not is_number(value):
        return "–" if value is None else str(value)
    return f"{value:{sign},.0f}" if float(value).is_integer() and abs(value) > 1 else f"{value:{sign}.4f}"
