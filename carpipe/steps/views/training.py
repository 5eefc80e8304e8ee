"""A training that is under way, as curves: loss and top-1 of each epoch, on the training and the validation photos."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from carpipe.html_page import per_cent
from carpipe.steps.cache import ResultCache
from carpipe.steps.models.progress import TrainingProgress, read_progress

PHASES = {"head": "the head alone", "finetune": "the whole network"}
# The picture, in its own units, and the field within that lines are drawn in.
WIDTH, HEIGHT = 360, 160
LEFT, RIGHT, TOP, BOTTOM = 52, 350, 12, 130

Values = Sequence[float | None]


@dataclass(frozen=True)
class Line:
    """A line of a curve: its name, `points` of a polyline, where it ends, and its last value as people read it."""

    name: str
    points: str
    end: tuple[float, float]
    said: str


@dataclass(frozen=True)
class Curve:
    """A figure by epoch; `high` and `low` say the ends of its axis, `turn` is where the second phase begins."""

    name: str
    lines: list[Line]
    high: str
    low: str
    turn: float | None

    @property
    def said(self) -> str:
        """The picture in words."""
        return f"{self.name} by epoch: {', '.join(f'{line.name} {line.said}' for line in self.lines)} in the last one"


@dataclass(frozen=True)
class TrainingView:
    """A training after `epoch` epochs, and how long one takes now; `epochs` are those of its phase, at most."""

    epoch: int
    epochs: int
    phase: str
    seconds: float | None
    curves: list[Curve]


def show_training(cache: ResultCache, channel: str, run: str) -> TrainingView | None:
    """The training of a run for a channel; None where it has ended no epoch, or tells nothing."""
    section = section_of(cache, channel)
    told = read_progress(cache.session.store, section, run) if section else None
    return _view(told) if told and told.history else None


def section_of(cache: ResultCache, channel: str) -> str:
    """The section of the configuration that a channel's models are trained by; empty where none is."""
    config = cache.session.config
    return {config.classifier.channel: "classifier", config.car_filter.channel: "car_filter"}.get(channel, "")


def _view(told: TrainingProgress) -> TrainingView:
    last = told.history[-1]
    turn = next((place for place, one in enumerate(told.history) if one.get("finetune") and place), None)
    return TrainingView(
        epoch=len(told.history),
        epochs=told.epochs,
        phase=PHASES.get(told.phase, told.phase),
        seconds=_finite(last.get("seconds")),
        curves=[
            *_curve("Loss", told.history, "loss", turn=turn, share=False),
            *_curve("Top-1", told.history, "accuracy", turn=turn, share=True),
        ],
    )


def _curve(
    name: str, history: Sequence[Mapping[str, float]], key: str, *, turn: int | None, share: bool
) -> Iterator[Curve]:
    """The curve of a figure; none where no epoch has it."""
    both = {
        label: [_finite(one.get(of)) for one in history]
        for label, of in (("training", key), ("validation", f"val_{key}"))
    }
    there = [value for values in both.values() for value in values if value is not None]
    if not there:
        return
    low, high = min(there), max(there)
    lines = [*(_line(label, values, low, high, share=share) for label, values in both.items())]
    at = _x(turn - 0.5, len(history)) if turn else None
    yield Curve(name, [line for line in lines if line], _said(high, share=share), _said(low, share=share), at)


def _line(name: str, values: Values, low: float, high: float, *, share: bool) -> Line | None:
    points = [(_x(place, len(values)), _y(value, low, high)) for place, value in enumerate(values) if value is not None]
    if not points:
        return None
    last = [value for value in values if value is not None][-1]
    return Line(name, " ".join(f"{x:g},{y:g}" for x, y in points), points[-1], _said(last, share=share))


def _x(place: float, epochs: int) -> float:
    """The first epoch stands left; where it is the only one, in the middle."""
    return round(LEFT + (RIGHT - LEFT) * (place / (epochs - 1) if epochs > 1 else 0.5), 1)


def _y(value: float, low: float, high: float) -> float:
    return round(BOTTOM - (BOTTOM - TOP) * ((value - low) / (high - low) if high > low else 0.5), 1)


def _said(value: float, *, share: bool) -> str:
    return per_cent(value) if share else f"{value:#.3g}"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
