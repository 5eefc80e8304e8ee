"""The page of a model: one HTML file that shows a person how good it is, where it fails, and what the gate said.

`carpipe.html_page` says what all pages keep to.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment

from carpipe.errors import InputError
from carpipe.evaluation import plots, tables
from carpipe.evaluation.calibration import Threshold
from carpipe.evaluation.decision import Decision
from carpipe.evaluation.metrics import figures
from carpipe.evaluation.newest import APART
from carpipe.evaluation.page_pictures import PAIRS, choose_pictures, make_pairs
from carpipe.evaluation.predictions import Predictions
from carpipe.html_page import POLICY, environment, minus

__all__ = ["PageInput", "choose_pictures", "draw_plots", "render_page"]

TEMPLATE = "evaluation.html.j2"
WORST = 20  # classes; a model of no more shows them all anyway
NIGHTS = 12  # of newest listings in the table; more are in the curve
FEW_MAKES = 30  # more of them are folded away

# What a figure means, and whether more of it is better (+1), worse (-1), or neither.
FIGURES = {
    "test_accuracy": ("photos answered rightly", 1),
    "test_top5_accuracy": ("the truth is among the five likeliest", 1),
    "test_listing_accuracy": ("listings, all photos of one together", 1),
    "test_macro_f1": ("F1, every class counting the same", 1),
    "test_nll": ("negative log-likelihood, nats", -1),
    "test_ece_before": ("calibration error before calibration", -1),
    "test_ece": ("calibration error", -1),
    "test_photos": ("test photos", 0),
    "test_listings": ("test listings", 0),
    "test_vehicles": ("test vehicles", 0),
}


@dataclass(frozen=True)
class PageInput:
    """All that the page shows.

    Attributes:
        model: what it is called, such as the channel and the id.
        made: when; with a time zone.
        test: the model's answers on the test split.
        temperature: fitted on the validation split.
        history: an entry per epoch, as `plots.learning_curves` wants it; empty: not shown.
        training: photos trained on, by class.
        threshold: from where on an answer is sure; None: not chosen.
        positive: of a two-class model the class that is looked for; empty: no precision/recall curve.
        positive_threshold: p(positive) from where on a photo counts as such.
        champion: figures of the live model on the same photos; empty: none is live.
        decision: of the gate; None: not asked.
        pictures: JPEGs by photo key, of those that `choose_pictures` names.
        facts: whatever else belongs to it, such as dataset, manifests and settings.
        newest: what live models answered on listings that came after them, a night each, oldest first: the figures of
            `newest.judge_newest` with `at`, `generation` and `test_accuracy`.
    """

    model: str
    made: datetime
    test: Predictions
    temperature: float
    history: Sequence[Mapping[str, float]] = ()
    training: Mapping[str, int] = field(default_factory=dict)
    threshold: Threshold | None = None
    positive: str = ""
    positive_threshold: float = 0.5
    champion: Mapping[str, float] = field(default_factory=dict)
    decision: Decision | None = None
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    newest: Sequence[Mapping[str, Any]] = ()


def render_page(page: PageInput) -> str:
    """The page. Equal input gives an equal page.

    Raises:
        InputError: `made` has no time zone, a picture is not a JPEG, or `positive` is not one of two classes.
    """
    if page.made.tzinfo is None:
        raise InputError(f"The page's time needs a time zone; {page.made} has none.")
    found = figures(page.test, page.temperature)
    classes = tables.by_class(page.test, training=page.training)
    makes = tables.by_make(page.test)
    return (
        _environment()
        .get_template(TEMPLATE)
        .render(
            page=page,
            policy=POLICY,
            made=page.made.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            figures=found,
            finetuned={epoch.get("finetune") for epoch in page.history} == {0.0, 1.0},
            resumed=any(epoch.get("resumed") for epoch in page.history),
            compared=_compare(found, page.champion),
            pictures={name: _as_uri(png) for name, png in draw_plots(page).items()},
            classes=_rows(classes),
            worst=_rows(tables.worst_classes(classes, count=WORST)) if len(classes) > WORST else [],
            makes=_rows(makes),
            many_makes=len(makes) > FEW_MAKES,
            listings=_rows(tables.by_listing(page.test)) if "test_listing_accuracy" in found else [],
            training=_rows(tables.by_training_photos(classes)) if page.training else [],
            pairs=make_pairs(page.test, page.pictures),
            all_pairs=len(tables.confused_pairs(page.test)),
            shown_pairs=PAIRS,
            binary=len(page.test.classes) == 2,
            newest=[night for night in reversed(page.newest) if night["photos"]],
            shown_nights=NIGHTS,
            apart=APART,
        )
    )


def draw_plots(page: PageInput) -> dict[str, bytes]:
    """The plots of the page as PNG, by name; those that cannot be drawn are left out."""
    drawn = {
        "reliability": plots.reliability_diagram(page.test, page.temperature),
        "confusion": plots.confusion_plot(page.test),
    }
    if page.history:
        drawn["curves"] = plots.learning_curves(page.history)
    if page.training and len(page.test.classes) > 2:
        classes = tables.by_class(page.test, training=page.training)
        drawn["training"] = plots.accuracy_by_training_photos(classes)
    if sum(bool(night["photos"]) for night in page.newest) > 1:
        drawn["newest"] = plots.newest_curve(page.newest)
    if page.positive:
        drawn["precision_recall"] = plots.precision_recall_plot(
            page.test, positive=page.positive, threshold=page.positive_threshold, temperature=page.temperature
        )
    return drawn


def _as_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _compare(found: Mapping[str, float], champion: Mapping[str, float]) -> list[dict[str, Any]]:
    """A row per figure that there is, with the champion's where known, and whether the change is for the better."""
    rows = []
    for name, (meaning, sign) in FIGURES.items():
        if name not in found:
            continue
        change = found[name] - champion[name] if name in champion else None
        rows.append(
            {
                "name": name,
                "meaning": meaning,
                "value": found[name],
                "before": champion.get(name),
                "change": change,
                "verdict": "" if not change or not sign else "good" if change * sign > 0 else "bad",
            }
        )
    return rows


def _rows(table: pd.DataFrame) -> list[dict[Any, Any]]:
    return table.to_dict("records")


def _environment() -> Environment:
    made = environment(Path(__file__).parent)
    made.filters |= {
        "figure": _figure,
        "change": lambda value: "0" if not value else minus(_figure(value, sign="+")),
    }
    return made


def _figure(value: float, sign: str = "") -> str:
    """Counts as they are, shares with four places."""
    return f"{value:{sign},.0f}" if float(value).is_integer() and abs(value) > 1 else f"{value:{sign}.4f}"
