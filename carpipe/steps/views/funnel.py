"""The funnel of a dataset: photos in, dropped by reason, kept, stage by stage."""

from typing import Any

from carpipe import manifest
from carpipe.steps import results
from carpipe.steps.data.datasets import find_dataset
from carpipe.steps.session import Session


def read_funnel(session: Session, dataset: str | None) -> list[dict[str, Any]]:
    """The funnel of a dataset; None means the newest."""
    entries: list[dict[str, Any]] = manifest.read_json(session.store, find_dataset(session, dataset), results.FUNNEL)
    return entries


def render_funnel(entries: list[dict[str, Any]]) -> str:
    """The funnel as a table of text."""
    lines = [f"{'stage':<10} {'in':>9} {'kept':>9}   dropped"]
    for entry in entries:
        dropped = ", ".join(f"{number:,} {reason}" for reason, number in entry["dropped"].items()) or "-"
        lines.append(f"{entry['stage']:<10} {entry['in']:>9,} {entry['kept']:>9,}   {dropped}")
    return "\n".join(lines)
