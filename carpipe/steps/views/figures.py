"""Figures of models as pages say them: one name, one sentence and one form for each, wherever it stands."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeGuard

from carpipe import figures
from carpipe.html_page import in_points, minus, per_cent

# `share`: between 0 and 1, said in per cent. `points`: a difference of two of them.
Kind = Literal["share", "points", "number", "count"]
COUNTED = ("photos", "listings", "vehicles")


@dataclass(frozen=True)
class Figure:
    """A figure: its name, what it means, and whether more of it is better (1), worse (-1), or neither (0)."""

    name: str
    means: str = ""
    better: int = 0
    kind: Kind = "number"


@dataclass(frozen=True)
class Change:
    """How a figure differs from another one; `said` is empty where that cannot be told.

    Attributes:
        direction: 1 up, -1 down, 0 as it was.
        sense: `better`, `worse`, or empty where neither is so.
    """

    said: str = ""
    direction: int = 0
    sense: Literal["better", "worse", ""] = ""


NUMBERED = ("test_nll",)


def _of_model(key: str, one: figures.Figure) -> Figure:
    kind: Kind = "count" if key.endswith(COUNTED) else "number" if key in NUMBERED else "share"
    return Figure(one.label, f"{one.meaning[:1].upper()}{one.meaning[1:]}.", one.sign, kind)


# Of a model's evaluation, in the order of pages.
FIGURES = {key: _of_model(key, one) for key, one in figures.FIGURES.items()}
CLASSES = Figure("classes", "Classes that the model tells apart.", 0, "count")
PHOTOS = Figure("photos trained on", "Photos of the training split that it learnt from.", 0, "count")
SAME_PHOTOS = Figure(
    "top-1 on the same photos", "Both models on the test photos of the candidate, as the gate compared them.",
    1, "share",
)  # fmt: skip
# Of a decision of the gate.
NUMBERS = {
    "candidate": Figure("top-1 of this model", kind="share"),
    "champion": Figure("top-1 of the model live then", kind="share"),
    "difference": Figure("difference", kind="points"),
    "low": Figure("difference, at least", kind="points"),
    "high": Figure("difference, at most", kind="points"),
    "confidence": Figure("as sure as", kind="share"),
    "better": Figure("proven better"),
    "worse": Figure("proven worse"),
    "chance": Figure("by chance alone", kind="share"),
    "fall": Figure("fall", kind="points"),
    "views_accuracy": Figure("views of this model", kind="share"),
    "views_accuracy_live": Figure("views of the live model", kind="share"),
    "classes_alone": Figure("classes judged one by one", kind="count"),
    "classes_pooled": Figure("classes judged together", kind="count"),
    "photos_pooled": Figure("photos of those", kind="count"),
}

# Of a class in a decision.
OF_CLASS = {
    "candidate": Figure("right now", kind="share"),
    "champion": Figure("right before", kind="share"),
    "better": Figure("vehicles better", kind="count"),
    "worse": Figure("vehicles worse", kind="count"),
    "p": Figure("by chance alone", kind="share"),
    "right_before": Figure("photos right before", kind="count"),
    "right_now": Figure("photos right now", kind="count"),
}


def figure_of(key: str) -> Figure:
    """A figure of an evaluation by its name there; of one that a later version has added, its name as words."""
    return FIGURES.get(key) or _unknown(key)


def number_of(key: str, *, of_class: bool = False) -> Figure:
    """The same of a decision; or of a class there, where some words mean something else."""
    return (OF_CLASS.get(key) if of_class else None) or NUMBERS.get(key) or _unknown(key)


def ordered(metrics: Iterable[Mapping[str, object]]) -> dict[str, Figure]:
    """Every figure that some models have, by its name in their metrics: known ones first."""
    there = {key: None for one in metrics for key in one}
    keys = [*(key for key in FIGURES if key in there), *(key for key in there if key not in FIGURES)]
    return {key: figure_of(key) for key in keys}


def say(figure: Figure, value: object) -> str:
    """A value: `83.3 %`, `0.412`, `1,234`; a dash for nothing, and whatever else there is as it is."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not _is_number(value):
        return str(value)
    if figure.kind == "share":
        return per_cent(value)
    if figure.kind == "points":
        return _points(value)
    return f"{value:,.0f}" if figure.kind == "count" or isinstance(value, int) else minus(f"{value:.3f}")


def change_of(figure: Figure, now: object, before: object) -> Change:
    """How a value came to differ from another one."""
    if not _is_number(now) or not _is_number(before):
        return Change()
    difference = now - before
    direction = (difference > 0) - (difference < 0)
    if not direction:
        return Change("as before")
    sense = direction * figure.better
    return Change(_signed(figure, difference), direction, "better" if sense > 0 else "worse" if sense < 0 else "")


def _signed(figure: Figure, difference: float) -> str:
    if figure.kind == "share":
        return _points(difference)
    return minus(f"{difference:+,.0f}" if figure.kind == "count" else f"{difference:+.3f}")


def _points(share: float) -> str:
    """One place, and more where that would read as nothing."""
    return f"{in_points(share, places=1 if abs(share) >= 0.0005 else 2)} points"


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _unknown(key: str) -> Figure:
    words = key.removeprefix("test_").replace("_", " ")
    return Figure(words, kind="count" if key.endswith(COUNTED) else "number")
