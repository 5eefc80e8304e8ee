"""What came of a run, for people: funnel, splits, accuracy, keys."""

import json
import logging
from typing import Any

from carpipe import manifest
from carpipe.manifest import Manifest
from carpipe.steps import results
from carpipe.steps.data.datasets import find_dataset
from carpipe.steps.session import Session
from carpipe.weights.channel import read_channel

log = logging.getLogger(__name__)


def read_funnel(session: Session, dataset: str | None) -> list[dict[str, Any]]:
    """The funnel of a dataset; None means the newest."""
    entries: list[dict[str, Any]] = json.loads(
        manifest.read_file(session.store, find_dataset(session, dataset), results.FUNNEL)
    )
    return entries


def render_funnel(entries: list[dict[str, Any]]) -> str:
    """The funnel as a table of text."""
    lines = [f"{'stage':<10} {'in':>9} {'kept':>9}   dropped"]
    for entry in entries:
        dropped = ", ".join(f"{number:,} {reason}" for reason, number in entry["dropped"].items()) or "-"
        lines.append(f"{entry['stage']:<10} {entry['in']:>9,} {entry['kept']:>9,}   {dropped}")
    return "\n".join(lines)


def summary(session: Session, *, dataset: Manifest, evaluation: Manifest, model: str, verdict: str) -> str:
    """The closing words of a run.

    Args:
        model: manifest key of the trained model.
        verdict: what the gate said of it.
    """
    release = read_channel(session.store, session.config.classifier.channel)
    figures = evaluation.extra["metrics"]
    splits = ", ".join(f"{name} {dataset.extra['splits'].get(name, 0):,}" for name in ("train", "val", "test"))
    shown = {"test_accuracy": "top-1", "test_top5_accuracy": "top-5", "test_macro_f1": "macro-F1"}
    scores = ", ".join(f"{label} {figures[name]:.4f}" for name, label in shown.items() if name in figures)
    rows = [
        ("classes", f"{len(dataset.extra['classes'])}, {dataset.extra['vehicles']:,} vehicles"),
        ("photos", splits),
        ("test", f"{scores} on {figures['test_photos']:.0f} photos of cars the model was not trained on"),
        ("dataset", f"{session.store.url}/{dataset.key}"),
        ("weights", f"{session.store.url}/{model}"),
        ("gate", verdict),
        (
            "channel",
            f"{release.channel}, generation {release.generation}: {release.model}" if release else "nothing is live",
        ),
    ]
    return (
        render_funnel(read_funnel(session, dataset.key))
        + "\n\n"
        + "\n".join(f"{name:<10} {text}" for name, text in rows)
    )
