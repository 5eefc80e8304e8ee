"""Whether a model is as sure as it is right: one temperature mends that, and a threshold says "not sure".

Temperature scaling divides the logits by one number, fitted on the validation split. It changes no answer, only
how sure each one is. Source: Guo et al., "On Calibration of Modern Neural Networks", 2017.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from carpipe.errors import InputError
from carpipe.evaluation.predictions import Predictions
from carpipe.probabilities import calibrate, check_temperature, log_probabilities

BINS = 15  # of equal width between 0 and 1, as in the source
# Where the fit looks. A split without a single mistake would make the model infinitely sure of itself.
TEMPERATURES = (0.2, 10.0)
ROWS = 8192  # photos at a time: 512 classes take 32 MiB, and not 400 as a whole split would


@dataclass(frozen=True)
class Threshold:
    """From where on an answer is sure.

    Attributes:
        score: least calibrated probability of a sure answer; None: no answers are right often enough.
        wanted: share of sure answers that shall be right.
        precision: share of them that is right on the split it was chosen on; 0 where there are none.
        answered: share of that split's photos that get a sure answer; 0 where there are none.
    """

    score: float | None
    wanted: float
    precision: float
    answered: float


def fit_temperature(val: Predictions) -> float:
    """The temperature that makes the truth of the validation split most likely; within TEMPERATURES."""

    def loss(log_temperature: float) -> float:
        return negative_log_likelihood(val, math.exp(log_temperature))

    low, high = TEMPERATURES
    # In the logarithm 1/2 is as far from 1 as 2 is. The loss has one minimum: it is convex in 1/T.
    found = minimize_scalar(loss, bounds=(math.log(low), math.log(high)), method="bounded", options={"xatol": 1e-4})
    return math.exp(found.x)


def negative_log_likelihood(predictions: Predictions, temperature: float) -> float:
    """Mean over the photos of -log of the calibrated probability of the truth, in nats."""
    check_temperature(temperature)
    total = 0.0
    for rows in _chunks(len(predictions.p)):
        scaled = log_probabilities(predictions.p[rows]) / temperature
        of_truth = scaled[np.arange(len(scaled)), predictions.truth[rows]]
        total += float((logsumexp(scaled, axis=1) - of_truth).sum(dtype=np.float64))
    return total / len(predictions.p)


def sureness(predictions: Predictions, temperature: float) -> NDArray[np.float32]:
    """The calibrated probability of each photo's answer."""
    return np.concatenate(
        [calibrate(predictions.p[rows], temperature).max(axis=1) for rows in _chunks(len(predictions.p))]
    )


def reliability(predictions: Predictions, temperature: float) -> pd.DataFrame:
    """How often answers are right, by how sure they are: BINS rows, also where no answer falls into one.

    Columns: `low`, `high` (the bin, `high` belongs to it), `photos`, `score` and `accuracy` (means, null if empty).
    """
    scores = sureness(predictions, temperature).astype(np.float64)
    edges = np.linspace(0, 1, BINS + 1)
    number = np.digitize(scores, edges[1:-1], right=True)
    table = pd.DataFrame({"bin": number, "score": scores, "accuracy": predictions.correct})
    means = table.groupby("bin").mean().reindex(range(BINS))
    photos = np.bincount(number, minlength=BINS)
    return means.assign(low=edges[:-1], high=edges[1:], photos=photos)[["low", "high", "photos", "score", "accuracy"]]


def expected_calibration_error(predictions: Predictions, temperature: float) -> float:
    """By how much the share of right answers misses the score, mean over the photos: 0 is perfect, 1 the worst."""
    bins = reliability(predictions, temperature)
    gaps = (bins["accuracy"] - bins["score"]).abs()
    return float((gaps * bins["photos"]).sum() / bins["photos"].sum())


def choose_threshold(val: Predictions, temperature: float, *, precision: float) -> Threshold:
    """The lowest score at which answers at least that sure are right with the wanted share on the validation split.

    Where that is never reached, `score` is None, and an app must take every answer for unsure.

    Args:
        precision: the wanted share, above 0 and at most 1.
    """
    if not 0 < precision <= 1:
        raise InputError(f"The wanted share of right answers must be above 0 and at most 1, got {precision:g}.")
    scores = sureness(val, temperature)
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    share = np.cumsum(val.correct[order]) / np.arange(1, len(order) + 1)
    # Equally sure answers are in or out together: only the last of them ends a group.
    ends = np.append(ranked[:-1] != ranked[1:], True)
    reached = np.flatnonzero(ends & (share >= precision))
    if not reached.size:
        return Threshold(None, precision, 0.0, 0.0)
    last = reached[-1]
    return Threshold(float(ranked[last]), precision, float(share[last]), float((last + 1) / len(order)))


def _chunks(rows: int) -> Iterator[slice]:
    return (slice(start, start + ROWS) for start in range(0, rows, ROWS))
