"""The pictures of a judged model, each as a figure; `plot_files` makes files of them.

Figures are objects of their own: matplotlib's global state is never touched, so threads and tests do not meet.
Class names are foreign text: `$` in them is a dollar, not mathematics, and a letter that the font lacks is a box.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, confusion_matrix, precision_recall_curve

from carpipe.errors import InputError
from carpipe.evaluation.calibration import reliability
from carpipe.evaluation.predictions import Predictions
from carpipe.evaluation.tables import make_of
from carpipe.figures import FIGURES
from carpipe.names import brief
from carpipe.probabilities import calibrate

MAIN, OTHER, FAINT = "#2f6fab", "#d9822b", "#8a94a0"  # `plot_files` puts the colours of the page in their place
TOP1, MACRO_F1 = FIGURES["test_accuracy"].label, FIGURES["test_macro_f1"].label
PANELS = ("loss", "accuracy", "learning_rate")  # of the curves of a training
# Nothing, growing into the blue: to be read on light and on dark.
_SHARES = LinearSegmentedColormap.from_list("shares", [(*to_rgb(MAIN), 0.0), (*to_rgb(MAIN), 1.0)])
DAY = pd.Timedelta(days=1)
DOTS = 1.2  # above dots, below ticks and lines, as matplotlib stacks them
NAMED_CELLS = 12  # classes up to which a confusion matrix shows its numbers
NAMED_CLASSES = 60  # and its names; more are marked by make


def panels_of(history: Sequence[Mapping[str, float]]) -> tuple[str, ...]:
    """Of `PANELS` those that the history holds."""
    return PANELS if any("learning_rate" in epoch for epoch in history) else PANELS[:2]


def learning_curves(history: Sequence[Mapping[str, float]], panels: Sequence[str] = ()) -> Figure:
    """Loss and accuracy of train and val by epoch, and the learning rate if the history holds it.

    Args:
        history: an entry per epoch: `epoch`, `finetune` (0 or 1), `loss`, `accuracy`, `val_loss`, `val_accuracy`;
            `resumed` (1) of the first one after an interruption.
        panels: those to draw, side by side; all of them by default.

    Raises:
        InputError: it is empty.
    """
    if not history:
        raise InputError("The history of the training is empty; there are no curves to draw.")
    rows = pd.DataFrame([dict(row) for row in history])
    panels = panels or panels_of(history)
    figure = Figure(figsize=(3.7 * len(panels), 3.1), layout="constrained")
    for place, name in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), place)
        _draw_curves(axes, rows, name)
        axes.set_title(name.replace("_", " "))
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def newest_curve(nights: Sequence[Mapping[str, Any]]) -> Figure:
    """Accuracy of live models on newest listings, night by night, beside that on their own test photos.

    Args:
        nights: as `PageInput.newest`; those without photos, or whose time is none, are left out.
    """
    rows = pd.DataFrame([dict(night) for night in nights if night["photos"]])
    rows["at"] = pd.to_datetime(rows["at"], utc=True, errors="coerce", format="ISO8601")
    rows = rows[rows["at"].notna()]
    shares, when = rows[["accuracy", "low", "high", "test_accuracy"]].astype(float), rows["at"]
    figure = Figure(figsize=(7.4, 3.1), layout="constrained")
    axes = figure.add_subplot()
    spread = [shares["accuracy"] - shares["low"], shares["high"] - shares["accuracy"]]
    axes.errorbar(when, shares["accuracy"], yerr=spread, color=MAIN, ecolor=FAINT, marker="o", markersize=4,
                  linewidth=1, elinewidth=1, label="newest listings")  # fmt: skip
    axes.plot(when, shares["test_accuracy"], color=OTHER, drawstyle="steps-post", label="own test photos")
    axes.set(ylim=(0, 1), ylabel=TOP1)
    if len(when):
        axes.set_xlim(when.min() - DAY, when.max() + DAY)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    locator = AutoDateLocator(maxticks=8)  # type: ignore[no-untyped-call]  # as matplotlib has it
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.legend(loc="lower left", frameon=False)
    return figure


def accuracy_by_share(points: Sequence[Mapping[str, Any]]) -> Figure:
    """Top-1, with bounds, and macro-F1 by photos learnt from; equal steps to the right are equal factors.

    Args:
        points: of `learning_curve.judge_curve`.
    """
    rows = pd.DataFrame([dict(point) for point in points])
    figure = Figure(figsize=(7.4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    right, photos = rows["test_accuracy"], rows["photos"]
    axes.errorbar(photos, right, yerr=[right - rows["low"], rows["high"] - right], color=MAIN, ecolor=FAINT,
                  marker="o", markersize=5, linewidth=1.2, elinewidth=1, capsize=3, label=TOP1)  # fmt: skip
    axes.plot(photos, rows["test_macro_f1"], color=OTHER, marker="s", markersize=4, linewidth=1, label=MACRO_F1)
    axes.set_xscale("log", base=2)
    axes.set_xticks(photos, [f"{number:,}" for number in photos])
    axes.minorticks_off()
    axes.set(xlabel="photos learnt from", ylabel="on the test photos")
    axes.set_xlim(photos.min() / 1.3, photos.max() * 1.3)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure


def reliability_diagram(predictions: Predictions, temperature: float) -> Figure:
    """How often answers are right against how sure they are, before and after calibration; below, how many are."""
    figure = Figure(figsize=(5.4, 4.6), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": (3, 1)})
    top.plot((0, 1), (0, 1), color=FAINT, linestyle=":", linewidth=1)
    for label, value, colour in (("before", 1.0, OTHER), ("after", temperature, MAIN)):
        bins = reliability(predictions, value)
        seen = bins[bins["photos"] > 0]
        top.plot(seen["score"], seen["accuracy"], marker="o", markersize=4, color=colour, label=f"{label} calibration")
        shares = bins["photos"] / bins["photos"].sum()
        bottom.step([0, *bins["high"]], [shares.iloc[0], *shares], color=colour)
    top.set(xlim=(0, 1), ylim=(0, 1), ylabel="right")
    top.legend(loc="upper left", frameon=False)
    bottom.set(xlabel="score of the answer", ylabel="photos")
    for axis in (top.xaxis, top.yaxis, bottom.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


def familiarity_histogram(shares: Mapping[str, Any]) -> Figure:
    """Shares of photos by how familiar they look, those of known cars and of cars of no class.

    Args:
        shares: of `unknown.histogram`; what is below `threshold` is taken for unknown.
    """
    figure = Figure(figsize=(7.4, 2.9), layout="constrained")
    axes = figure.add_subplot()
    for name, label, colour in (("known", "known cars", MAIN), ("unknown", "cars of no class", OTHER)):
        if name in shares:
            axes.stairs(shares[name], shares["edges"], label=label, color=colour, fill=True, alpha=0.45)
    axes.axvline(shares["threshold"], color=FAINT, linestyle=":", label="threshold")
    axes.set(xlabel="familiarity, in standard deviations of known cars", ylabel="photos")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.legend(loc="upper left", frameon=False)
    return figure


def confusion_plot(test: Predictions) -> Figure:
    """The confusion matrix, each row a share of the truth's photos.

    Few classes show numbers and names, up to 60 their names; of more, every cell that holds a wrong answer is a
    dot, the larger and darker the more photos, and the axes name the makes.
    """
    counts = confusion_matrix(test.truth, test.answer, labels=range(len(test.classes)))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(9.0, 3.4 + 0.28 * len(test.classes))
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.add_subplot()
    if len(test.classes) <= NAMED_CLASSES:
        _draw_cells(axes, counts, shares, test.classes)
    else:
        _draw_dots(axes, shares, test.classes)
    axes.set(xlabel="answer", ylabel="truth")
    axes.set_aspect("equal")
    return figure


def accuracy_by_training_photos(classes: pd.DataFrame) -> Figure:
    """A dot per class of the table of `by_class`: recall against photos trained on, and the median of neighbours."""
    tested = classes[classes["photos"] > 0].sort_values("training")
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.scatter(tested["training"], tested["recall"], s=14, color=MAIN, alpha=0.5, linewidths=0)
    if len(tested) >= 30:
        window = max(9, len(tested) // 12)
        middle = tested[["training", "recall"]].rolling(window, center=True).median().dropna()
        axes.plot(middle["training"], middle["recall"], color=OTHER, label=f"median of {window} classes")
        axes.legend(loc="lower right", frameon=False)
    axes.set(xlabel="photos trained on", ylabel="recall on the test split", ylim=(-0.02, 1.02))
    axes.set_xlim(left=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


def precision_recall_plot(test: Predictions, *, positive: str, threshold: float, temperature: float) -> Figure:
    """Precision against recall of a two-class model, with the threshold marked that it is used at.

    Args:
        positive: the class that is looked for, such as `auto`.
        threshold: a photo counts as `positive` when its calibrated probability is at least this.

    Raises:
        InputError: the model has other than two classes, or none is called so.
    """
    if len(test.classes) != 2 or positive not in test.classes:
        raise InputError(f"A precision/recall curve needs two classes, {positive} among them; got {test.classes[:5]}.")
    number = test.classes.index(positive)
    truth, scores = test.truth == number, calibrate(test.p, temperature)[:, number]
    figure = Figure(figsize=(5.0, 3.9), layout="constrained")
    axes = figure.add_subplot()
    if truth.any():
        precision, recall, _ = precision_recall_curve(truth, scores)
        average = average_precision_score(truth, scores)
        axes.step(recall, precision, where="post", color=MAIN, label=f"average precision {average:.3f}")
        axes.plot(*_operating_point(truth, scores >= threshold), "o", color=OTHER, label=f"at {threshold:.2f}")
        axes.legend(loc="lower left", frameon=False)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))
    axes.set_title(f"photos that show {brief(positive)}", parse_math=False)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


def _draw_curves(axes: Axes, rows: pd.DataFrame, name: str) -> None:
    if name == "learning_rate":
        axes.step(rows["epoch"], rows[name], where="mid", color=MAIN)
        axes.set_yscale("log")
    else:
        axes.plot(rows["epoch"], rows[name], color=MAIN, marker=".", label="train")
        axes.plot(rows["epoch"], rows[f"val_{name}"], color=OTHER, marker=".", label="val")
        best = rows.iloc[[int(np.argmin(rows["val_loss"].fillna(np.inf)))]]
        axes.plot(best["epoch"], best[f"val_{name}"], "o", color=OTHER, fillstyle="none", markersize=9)
        axes.legend(frameon=False)
    started = rows.loc[rows["finetune"] > 0, "epoch"]
    if 0 < len(started) < len(rows):
        axes.axvline(started.iloc[0] - 0.5, color=FAINT, linestyle=":", linewidth=1)
    if "resumed" in rows:
        places = rows.loc[rows["resumed"] > 0, "epoch"] - 0.5
        axes.plot(places, [0.02] * len(places), "^", color=FAINT, transform=axes.get_xaxis_transform())


def _draw_cells(axes: Axes, counts: NDArray[Any], shares: NDArray[Any], classes: Sequence[str]) -> None:
    # The square root makes a few per cent visible beside the diagonal.
    axes.imshow(np.sqrt(shares), cmap=_SHARES, vmin=0, vmax=1)
    names = [brief(name, max_characters=24) for name in classes]
    size = 9 if len(classes) <= 30 else 6
    axes.set_xticks(range(len(classes)), names, rotation=90, fontsize=size, parse_math=False)
    axes.set_yticks(range(len(classes)), names, fontsize=size, parse_math=False)
    if len(classes) > NAMED_CELLS:
        return
    for row, column in np.argwhere(counts):
        colour = "white" if shares[row, column] > 0.7 else "black"
        axes.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", color=colour, fontsize=size)


def _draw_dots(axes: Axes, shares: NDArray[Any], classes: Sequence[str]) -> None:
    wrong = shares.copy()
    np.fill_diagonal(wrong, 0)
    rows, columns = np.nonzero(wrong)
    order = np.argsort(wrong[rows, columns])  # the worst on top
    rows, columns = rows[order], columns[order]
    found = wrong[rows, columns]
    diagonal = np.arange(len(classes))
    axes.scatter(diagonal, diagonal, s=0.6, color=MAIN, linewidths=0)
    axes.scatter(columns, rows, s=1 + 60 * found, c=np.sqrt(found), cmap="YlOrRd", vmin=-0.3, vmax=0.8, linewidths=0)
    # Ten thousands of dots are pixels in every file: as shapes they would be megabytes.
    axes.set_rasterization_zorder(DOTS)
    makes = make_of(pd.Series(classes)).to_numpy()
    starts = [0, *(np.flatnonzero(makes[1:] != makes[:-1]) + 1), len(classes)]
    # Only makes with room for their name get one.
    wide = [(low, high) for low, high in pairwise(starts) if high - low >= len(classes) / 80]
    ticks = [(low + high - 1) / 2 for low, high in wide]
    names = [brief(str(makes[low]), max_characters=16) for low, _ in wide]
    axes.set_xticks(ticks, names, rotation=90, fontsize=6, parse_math=False)
    axes.set_yticks(ticks, names, fontsize=6, parse_math=False)
    for low in starts[1:-1]:
        axes.axvline(low - 0.5, color=FAINT, linewidth=0.15)
        axes.axhline(low - 0.5, color=FAINT, linewidth=0.15)
    axes.set(xlim=(-1, len(classes)), ylim=(len(classes), -1))


def _operating_point(truth: NDArray[np.bool_], said: NDArray[np.bool_]) -> tuple[float, float]:
    """Recall and precision; nothing said is nothing said wrongly."""
    hits = float((truth & said).sum())
    return hits / truth.sum(), hits / said.sum() if said.any() else 1.0
