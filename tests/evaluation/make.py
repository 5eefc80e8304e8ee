"""Predictions made by hand: softmax outputs in a few words."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from carpipe.evaluation.predictions import Predictions


def make(
    truth: Sequence[str], p: Sequence[Sequence[float]], classes: Sequence[str], **columns: Sequence[str]
) -> Predictions:
    """A photo per truth, each its own vehicle and listing unless said otherwise."""
    keys = [f"{name}_2014/{row}.jpg" for row, name in enumerate(truth)]
    photos = pd.DataFrame(
        {"key": keys, "vehicle": keys, "listing_uuid": keys, "model": list(truth), "class_name": list(truth), **columns}
    )
    return Predictions(photos, np.array(p, np.float32), tuple(classes))


def draw(
    classes: int, photos: int, *, seed: int = 0, sharpness: float = 1.0, prefix: str = "make_model"
) -> Predictions:
    """Random answers, 80 to 90 % of them right; truths are drawn from the stated probabilities before sharpening.

    So a sharpness of 1 is a calibrated model, and one of 2 is fitted by the temperature 2. 4 photos a vehicle.
    """
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(photos, classes))
    logits[np.arange(photos), rng.integers(0, classes, photos)] += rng.normal(5, 2, photos)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (p.cumsum(axis=1) > rng.random((photos, 1))).argmax(axis=1)
    sharp = p**sharpness
    names = [f"{prefix}{number:03}" for number in range(classes)]
    vehicles = [f"{names[number]}-{row // 4}" for row, number in enumerate(truth)]
    return make(
        [names[number] for number in truth],
        sharp / sharp.sum(axis=1, keepdims=True),
        names,
        vehicle=vehicles,
        listing_uuid=vehicles,
    )
