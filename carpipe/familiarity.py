"""Whether a photo shows anything that a model knows: one number, the same for those who judge and for apps.

Softmax always names a class. What it names is known where it stands out of the other classes, and where the photo's
features are like those of some class. The two are added up, so that photos of known cars have a mean of 0 and a
standard deviation of 1. `carpipe.evaluation.unknown` fits the rule.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from carpipe.probabilities import Probabilities, log_probabilities

Numbers = np.ndarray[Any, np.dtype[np.float32]]

# Of fewer classes, the spread of the others says nothing: of two it is always the same.
FEW_CLASSES = 10


@dataclass(frozen=True)
class Rule:
    """How a model tells cars that it knows from others.

    Attributes:
        stand_out, likeness: what one more of each counts; `offset` is added.
        threshold: the familiarity from which on one photo is of a known car.
        alike: correlation of photos of one listing: 0, each says something new; 1, they all say the same.
    """

    stand_out: float
    likeness: float
    offset: float
    threshold: float
    alike: float

    def familiarity(self, p: Probabilities, likeness: Numbers) -> Numbers:
        """Of photos, float32 (n,), from probabilities (n, classes), calibrated or not, and their likeness (n,)."""
        return np.asarray(self.stand_out * stand_out(p) + self.likeness * likeness + self.offset, dtype=np.float32)

    def is_known(self, familiarity: float, *, photos: int = 1) -> bool:
        """Whether that is the familiarity of a known car; of several photos it is their mean."""
        return familiarity >= self.threshold_of(photos)

    def threshold_of(self, photos: int) -> float:
        """The threshold for the mean of so many photos of one listing.

        A mean varies less than one photo: by (1 + (n - 1) * alike) / n of its variance. Source: L. Kish, "Survey
        Sampling", 1965, section 5.4.
        """
        return self.threshold * math.sqrt((1 + (photos - 1) * self.alike) / photos)


def stand_out(p: Probabilities) -> Numbers:
    """By how many standard deviations of its log-probabilities the best class is above their mean, float32 (n,).

    Equal for logits and log-probabilities, and for each temperature. Label smoothing, which spoils the energy, leaves
    it alone. Of fewer than `FEW_CLASSES` classes it is the logarithm of the odds of the best one.
    """
    logs = log_probabilities(p)
    best = logs.max(axis=1)
    if p.shape[1] < FEW_CLASSES:
        others = np.partition(logs, -1, axis=1)[:, :-1]
        if not others.shape[1]:
            return np.zeros(len(p), np.float32)
        top = others.max(axis=1)
        rest = top + np.log(np.exp(others - top[:, None]).sum(axis=1))
        return np.asarray(best - rest, dtype=np.float32)
    spread = logs.std(axis=1)
    found = np.divide(best - logs.mean(axis=1), spread, out=np.zeros(len(p)), where=spread > 1e-6)
    return np.asarray(found, dtype=np.float32)
