"""Probabilities and their logarithms, the same for those who judge a model and for the apps that ask it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from carpipe.errors import InputError

Probabilities = np.ndarray[Any, np.dtype[np.float32]]

FLOOR = 1e-38  # about the smallest float32: a probability of 0 is taken for this, its logarithm would be infinite
# One photo that is sure of nothing must not outvote the others of its listing: no score counts as less there.
LISTING_FLOOR = 1e-6


def log_probabilities(p: Probabilities, floor: float = FLOOR) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The natural logarithm, never below that of `floor`."""
    return np.log(np.maximum(p, floor, dtype=np.float64))


def calibrate(p: Probabilities, temperature: float) -> Probabilities:
    """p^(1/T), renormalised: the probabilities (n, classes) that the model should have given.

    It changes no answer, only how sure each one is. Source: C. Guo et al., "On Calibration of Modern Neural
    Networks", 2017, section 4.2.

    Raises:
        InputError: the temperature is not above 0.
    """
    check_temperature(temperature)
    logs = log_probabilities(p) / temperature
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)


def pool(photos: Sequence[Probabilities]) -> Probabilities:
    """One listing's probabilities (classes,): exp of the mean log-probability of its photos, made to sum to 1."""
    logs = log_probabilities(np.stack(photos), LISTING_FLOOR).mean(axis=0)
    powers = np.exp(logs - logs.max())
    return np.asarray(powers / powers.sum(), dtype=np.float32)


def check_temperature(temperature: float) -> None:
    """A temperature of 0 or below makes no sense.

    Raises:
        InputError: it is not above 0.
    """
    if not temperature > 0:
        raise InputError(f"A temperature must be above 0, got {temperature:g}.")
