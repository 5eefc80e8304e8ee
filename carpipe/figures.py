"""The figures of a model: what people call them, what each says, and whether more of it is better.

Documents, pages, the model card and commands all take their words from here. In manifests and `metrics.json` a figure
has the name that stands before the colon, for ever.
"""

import math
from typing import NamedTuple

# Places of a share, a probability or another score.
PLACES = 3


class Figure(NamedTuple):
    """A figure as people speak of it. `sign`: more of it is better (+1), worse (-1), or neither."""

    label: str
    meaning: str
    sign: int


FIGURES = {
    "test_accuracy": Figure("top-1", "share of test photos whose likeliest class is the right one", 1),
    "test_top5_accuracy": Figure("top-5", "share of test photos with the right class among the five likeliest", 1),
    "test_listing_accuracy": Figure(
        "per-listing top-1", "share of test listings that are right, all photos of one taken together", 1
    ),
    "test_macro_f1": Figure("macro-F1", "F1 of precision and recall, the mean over classes: each counts the same", 1),
    "test_nll": Figure("log loss, nats", "how little probability the right class gets; sure mistakes cost most", -1),
    "test_ece": Figure("ECE", "calibration error: how far off the truth it is with how sure it says it is", -1),
    "test_ece_before": Figure("ECE, uncalibrated", "the same before calibration", -1),
    "test_photos": Figure("test photos", "photos that it was judged on, of vehicles it was not trained on", 0),
    "test_listings": Figure("test listings", "their listings", 0),
    "test_vehicles": Figure("test vehicles", "their vehicles", 0),
    "test_accuracy_at_threshold": Figure("top-1 at the threshold", "where a car is what reaches filter.threshold", 1),
    "test_precision_at_threshold": Figure("precision at the threshold", "share of photos said to be cars that are", 1),
    "test_recall_at_threshold": Figure("recall at the threshold", "share of photos of cars that are said to be", 1),
    "views_accuracy": Figure("top-1 of views", "share of test photos whose view is told rightly", 1),
}


def label(name: str) -> str:
    """What people call a figure; one that this version does not know by its own name, as words."""
    return FIGURES[name].label if name in FIGURES else name.removeprefix("test_").replace("_", " ")


def meaning(name: str) -> str:
    """What a figure says; empty where this version does not know."""
    return FIGURES[name].meaning if name in FIGURES else ""


def figure(value: object) -> str:
    """A count as it is, a score with three places, and whatever else a later version has put there as it is.

    What is little is not shown as nothing: `< 0.001`.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return str(value)
    if isinstance(value, int) or (value.is_integer() and abs(value) > 1):
        return f"{value:,.0f}"
    least = 10.0**-PLACES
    return f"< {least:g}" if 0 < value < least / 2 else f"{value:.{PLACES}f}"
