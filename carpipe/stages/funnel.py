"""Funnel: photos in, dropped per reason, kept, stage by stage. A group-by over the photo table."""

from typing import Any

import pandas as pd

from carpipe.reasons import STAGES


def funnel(photos: pd.DataFrame) -> list[dict[str, Any]]:
    """One entry per stage: `stage`, `in`, `dropped` (number by reason, most first), `kept`."""
    remaining = len(photos)
    entries = []
    for stage in STAGES:
        reasons = photos.loc[photos["dropped_by"] == stage, "dropped"].value_counts()
        dropped = {str(reason): int(number) for reason, number in reasons.items()}
        entries.append({"stage": stage, "in": remaining, "dropped": dropped, "kept": remaining - int(reasons.sum())})
        remaining -= int(reasons.sum())
    return entries
