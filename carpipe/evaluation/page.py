"""The page of a model: one HTML file that shows a person how good it is, where it fails, and what the gate said.

`carpipe.html_page` says what all pages keep to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment
from markupsafe import Markup
from matplotlib.figure import Figure

from carpipe.backports import UTC, from_iso
from carpipe.called import Called, moment
from carpipe.errors import InputError
from carpipe.evaluation import plots, tables
from carpipe.evaluation.calibration import Threshold
from carpipe.evaluation.decision import Decision
from carpipe.evaluation.metrics import figures, show_figure
from carpipe.evaluation.newest import APART
from carpipe.evaluation.page_pictures import PAIRS, choose_pictures, make_pairs
from carpipe.evaluation.plot_files import to_png, to_svg
from carpipe.evaluation.predictions import Predictions
from carpipe.figures import FIGURES, label
from carpipe.html_page import environment

__all__ = ["PageInput", "choose_pictures", "draw_plots", "render_page"]

TEMPLATE = "evaluation.html.j2"
WORST = 20  # classes; a model of no more shows them all anyway
NIGHTS = 12  # of newest listings in the table; more are in the curve
TITLES = {
    "reliability": "share of right answers by score",
    "confusion": "confusion matrix",
    "curves": "loss and accuracy by epoch",
    "training": "recall by photos trained on",
    "newest": "accuracy on newest listings by night",
    "known": "photos by familiarity",
    "precision_recall": "precision against recall",
}
FEW_MAKES = 30  # more of them are folded away


@dataclass(frozen=True)
class PageInput:
    """All that the page shows.

    Attributes:
        model: what it is called beside its date, such as the channel.
        made: when; with a time zone.
        test: the model's answers on the test split.
        temperature: fitted on the validation split.
        history: an entry per epoch, as `plots.learning_curves` wants it; empty: not shown.
        training: photos trained on, by class.
        threshold: from where on an answer is sure; None: not chosen.
        positive: of a two-class model the class that is looked for; empty: no precision/recall curve.
        positive_threshold: p(positive) from where on a photo counts as such.
        decision: of the gate; None: not asked.
        pictures: JPEGs by photo key, of those that `choose_pictures` names.
        data: the dataset that it was trained on, or the set of labels; None: not said.
        facts: whatever else belongs to it, such as dataset, manifests and settings.
        newest: what live models answered on listings that came after them, a night each, oldest first: the figures of
            `newest.judge_newest` with `at`, `generation` and `test_accuracy`.
        known: whether the model knows what it sees: `why`, `figures` of `unknown.judge`, and a `histogram`; None: it
            does not say.
        years: what it tells of years: `said` and, where it tells any, `figures` of `year_figures.judge_years` and the
            `share` wanted; None: nobody asked for it.
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
    decision: Decision | None = None
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    data: Called | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    newest: Sequence[Mapping[str, Any]] = ()
    known: Mapping[str, Any] | None = None
    years: Mapping[str, Any] | None = None


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
            made=moment(page.made.astimezone(UTC)),
            figures=found,
            finetuned={epoch.get("finetune") for epoch in page.history} == {0.0, 1.0},
            resumed=any(epoch.get("resumed") for epoch in page.history),
            meanings=[(name, one.label, one.meaning) for name, one in FIGURES.items() if name in found],
            plots=_shown_plots(page),
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
    return {name: to_png(figure) for name, figure in _figures(page).items()}


def _shown_plots(page: PageInput) -> dict[str, list[Markup]]:
    """The same in the colours of the page. Of the curves of a training each is one, to stand below the other."""
    drawn = {name: [figure] for name, figure in _figures(page).items()}
    if page.history:
        drawn["curves"] = [plots.learning_curves(page.history, [panel]) for panel in plots.panels_of(page.history)]
    return {
        name: [to_svg(one, name=f"{name}-{number}", title=TITLES[name]) for number, one in enumerate(found)]
        for name, found in drawn.items()
    }


def _figures(page: PageInput) -> dict[str, Figure]:
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
    if page.known:
        drawn["known"] = plots.familiarity_histogram(page.known["histogram"])
    if page.positive:
        drawn["precision_recall"] = plots.precision_recall_plot(
            page.test, positive=page.positive, threshold=page.positive_threshold, temperature=page.temperature
        )
    return drawn


def _night(at: object) -> str:
    """The time of a night, which somebody else may have written."""
    try:
        return moment(from_iso(str(at)).astimezone(UTC))
    except (ValueError, OverflowError):
        return str(at)


def _rows(table: pd.DataFrame) -> list[dict[Any, Any]]:
    return table.to_dict("records")


def _environment() -> Environment:
    made = environment(Path(__file__).parent)
    made.filters |= {"figure": show_figure, "night": _night}
    made.globals["label"] = label
    return made
