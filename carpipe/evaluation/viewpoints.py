"""A linear head that tells from where a photo shows a car, fitted on features of a network that stays as it is.

Mirrored photos are training photos too: they show the view of the other side. Each view is judged on cars that neither
the head nor the network was trained on.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from carpipe.viewpoints import VIEWS, mirrored

Floats = NDArray[np.floating[Any]]
Names = NDArray[np.object_]

# Photos that a view needs to be told: to train on, counting mirrored ones of its other side, to calibrate and to judge.
LEAST = {"train": 20, "val": 3, "test": 3}
# Labels of a view, and cars they are of, that mostly come to that: the split is by car, 70, 15 and 15 %.
ENOUGH, ENOUGH_CARS = 30, 20
# The inverse of how strongly weights are held small, for features of standard deviation 1: benchmarks/views-log.md.
C = 1e-2
MAX_ITERATIONS = 200
# Features that hardly vary would be enlarged without end.
_STILL = 1e-3
# Resamples of the cars of a test split, for the interval around an accuracy.
RESAMPLES, SEED = 2000, 20
# Where the fit of the temperature looks, in logarithms.
_TEMPERATURES = (math.log(0.2), math.log(10.0))


@dataclass(frozen=True)
class Head:
    """softmax(features @ kernel + bias), calibrated.

    Attributes:
        names: the views, in the order of the output.
        kernel: float32 (features, views).
        bias: float32 (views,).
    """

    names: tuple[str, ...]
    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]

    def of(self, features: Floats) -> NDArray[np.float32]:
        """Probabilities (n, views)."""
        found: NDArray[np.float32] = _softmax(features @ self.kernel + self.bias)
        return found

    def to_npz(self) -> bytes:
        """As a file; `from_npz` reads it."""
        sink = io.BytesIO()
        np.savez(sink, kernel=self.kernel, bias=self.bias)
        return sink.getvalue()


def from_npz(data: bytes) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Kernel and bias of a file that `Head.to_npz` has written."""
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        return file["kernel"], file["bias"]


def views_to_tell(views: pd.Series, split: pd.Series) -> tuple[str, ...]:
    """Views with photos enough in each part, in their usual order.

    Args:
        views, split: a row per photo.
    """
    told = [view for view in VIEWS if not _lacking(view, views, split)]
    # The two sides of a view go together: mirrored photos of the one are the other.
    return tuple(view for view in told if mirrored(view) in told)


def too_few(views: pd.Series, split: pd.Series) -> dict[str, int]:
    """Photos, in all, of each view that is not told."""
    told = views_to_tell(views, split)
    return {view: int((views == view).sum()) for view in VIEWS if view not in told}


def told_enough() -> str:
    """How many labels a view needs, in a sentence."""
    return (
        f"Each view needs some {ENOUGH} photos of {ENOUGH_CARS} cars before it is learnt: {LEAST['train']} to train on "
        f"(mirrored ones of its other side count), {LEAST['val']} to calibrate and {LEAST['test']} to judge."
    )


def fit_head(features: Floats, views: Names, names: Sequence[str], *, inverse_strength: float = C) -> Head:
    """Multinomial logistic regression, not calibrated. Every view must be there.

    Args:
        features: (n, features), of photos and, if wanted, of mirrored ones with the views that these show.
    """
    from sklearn.linear_model import LogisticRegression

    middle, spread = features.mean(axis=0), features.std(axis=0) + _STILL
    number = {name: at for at, name in enumerate(names)}
    truth = np.array([number[view] for view in views])
    scaled = ((features - middle) / spread).astype(np.float32)
    fitted = LogisticRegression(C=inverse_strength, max_iter=MAX_ITERATIONS).fit(scaled, truth)
    kernel = (fitted.coef_ / spread).T
    bias = fitted.intercept_ - middle @ kernel
    return Head(tuple(names), kernel.astype(np.float32), bias.astype(np.float32))


def calibrated(head: Head, features: Floats, views: Names) -> tuple[Head, float]:
    """The head with the temperature that makes the truth of these photos most likely, and that temperature."""
    from scipy.optimize import minimize_scalar

    truth = [head.names.index(view) for view in views]
    logits = (features @ head.kernel + head.bias).astype(np.float64)

    def loss(logarithm: float) -> float:
        p = _softmax(logits / math.exp(logarithm))
        return float(-np.log(np.maximum(p[np.arange(len(p)), truth], 1e-12)).mean())

    temperature = math.exp(minimize_scalar(loss, bounds=_TEMPERATURES, method="bounded").x)
    return Head(head.names, head.kernel / np.float32(temperature), head.bias / np.float32(temperature)), temperature


def judge(head: Head, features: Floats, views: Names, vehicles: Sequence[str]) -> dict[str, Any]:
    """How well the head tells the views of photos it was not fitted on.

    Returns:
        `photos`, `vehicles`, `accuracy`, `low` and `high` (95 % interval over cars), `sides` (the share of photos of a
        view with two sides whose side is right, of those whose view is right but for the side; None without any), and
        `by_view`: of each view `photos`, `recall` and `precision` (None where it was never said).
    """
    said = np.array(head.names, dtype=object)[head.of(features).argmax(axis=1)]
    right = said == views
    low, high = interval(right, vehicles)
    return {
        "photos": len(views),
        "vehicles": len({*vehicles}),
        "accuracy": float(right.mean()),
        "low": low,
        "high": high,
        "sides": _sides(said, views),
        "by_view": {name: _of_view(name, said, views) for name in head.names},
    }


def interval(right: NDArray[np.bool_], vehicles: Sequence[str]) -> tuple[float, float]:
    """95 % interval of a share of photos: whole cars are drawn, since photos of one car are alike."""
    table = pd.DataFrame({"right": right, "vehicle": list(vehicles)}).groupby("vehicle")["right"].agg(["sum", "size"])
    drawn = np.random.default_rng(SEED).integers(0, len(table), (RESAMPLES, len(table)))
    shares = table["sum"].to_numpy()[drawn].sum(axis=1) / table["size"].to_numpy()[drawn].sum(axis=1)
    low, high = np.quantile(shares, [0.025, 0.975])
    return float(low), float(high)


def _lacking(view: str, views: pd.Series, split: pd.Series) -> bool:
    both = views.isin([view, mirrored(view)])
    counts = {name: int(((both if name == "train" else views == view) & (split == name)).sum()) for name in LEAST}
    # A photo that is its own mirror image counts once.
    return any(counts[name] < least for name, least in LEAST.items())


def _of_view(name: str, said: Names, truth: Names) -> dict[str, float | int | None]:
    mine, told = truth == name, said == name
    both = int((mine & told).sum())
    return {
        "photos": int(mine.sum()),
        "recall": both / int(mine.sum()) if mine.any() else None,
        "precision": both / int(told.sum()) if told.any() else None,
    }


def _sides(said: Names, truth: Names) -> float | None:
    pairs = [(one, view) for one, view in zip(said, truth, strict=True) if view != mirrored(view)]
    alike = [one == view for one, view in pairs if one in (view, mirrored(view))]
    return sum(alike) / len(alike) if alike else None


def _softmax(logits: Floats) -> Any:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
