"""The numbers behind the charts of the dataset report: group-bys over the photo table, and lengths of bars.

A bar's `width` is a percentage of the chart's full width, so the page needs neither scripts nor arithmetic.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from carpipe.photos import SPLITS

PHOTOS_PER_VEHICLE = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 16, 21, 31, 51)  # where bins of the histogram start
LISTINGS_PER_VEHICLE = (1, 2, 3, 4, 5, 6, 11)
DEVIATIONS = (-10.0, -5.0, -2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 5.0, 10.0)  # percentage points between the bins


@dataclass(frozen=True)
class Bar:
    """One line of a bar chart."""

    label: str
    value: int
    width: float


@dataclass(frozen=True)
class StageRow:
    """One stage of the funnel; `segments` holds reason, photos and width, and follows the kept part of the bar."""

    stage: str
    photos_in: int
    kept: int
    kept_width: float
    segments: tuple[tuple[str, int, float], ...]


@dataclass(frozen=True)
class ReasonRow:
    """Photos that one stage dropped for one reason; `share` is of all photos of the bucket."""

    reason: str
    stage: str
    photos: int
    share: float
    width: float


@dataclass(frozen=True)
class ShareRow:
    """Photos of one split: the share it has, the quota it should have, and the vehicles in it."""

    split: str
    photos: int
    share: float
    quota: float
    vehicles: int

    @property
    def deviation(self) -> float:
        """In percentage points."""
        return 100 * (self.share - self.quota)


@dataclass(frozen=True)
class Change:
    """A count in the previous dataset and in this one: of photos that are in, or dropped for a reason, the label."""

    label: str
    before: int
    now: int
    is_reason: bool = False

    @property
    def difference(self) -> int:
        return self.now - self.before

    @property
    def verdict(self) -> str:
        """Good where more photos are in or fewer are dropped, bad the other way round, empty where all is as it was."""
        if not self.difference:
            return ""
        return "good" if (self.difference > 0) != self.is_reason else "bad"


def funnel_rows(funnel: Sequence[Mapping[str, Any]]) -> list[StageRow]:
    """The stages' bars; the full width is the photos that came in first."""
    scale = _per_cent_of(funnel[0]["in"] if funnel else 0)
    return [
        StageRow(
            stage=entry["stage"],
            photos_in=entry["in"],
            kept=entry["kept"],
            kept_width=scale * entry["kept"],
            segments=tuple((reason, number, scale * number) for reason, number in entry["dropped"].items()),
        )
        for entry in funnel
    ]


def reason_rows(funnel: Sequence[Mapping[str, Any]]) -> list[ReasonRow]:
    """Why photos were dropped, the most frequent reason first."""
    found = [(number, entry["stage"], reason) for entry in funnel for reason, number in entry["dropped"].items()]
    total = funnel[0]["in"] if funnel else 0
    longest = _per_cent_of(max((number for number, _, _ in found), default=0))
    return [
        ReasonRow(reason, stage, number, number / max(total, 1), longest * number)
        for number, stage, reason in sorted(found, key=lambda row: -row[0])
    ]


def class_table(alive: pd.DataFrame) -> pd.DataFrame:
    """One row per class, the largest first.

    Columns: `photos`, `vehicles`, `largest` (photos of its largest vehicle), `train`, `val`, `test` (photos).
    """
    vehicles = alive.groupby(["class_name", "vehicle"], observed=True).size()
    by_class = vehicles.groupby("class_name", observed=True)
    table = pd.DataFrame({"photos": by_class.sum(), "vehicles": by_class.size(), "largest": by_class.max()})
    splits = alive.groupby(["class_name", "split"], observed=True).size().unstack(fill_value=0)
    table = table.join(splits.reindex(columns=list(SPLITS), fill_value=0))
    return table.rename_axis("class_name").reset_index().sort_values(["photos", "class_name"], ascending=[False, True])


def class_bars(classes: pd.DataFrame) -> list[Bar]:
    """Photos per class, in the table's order."""
    longest = _per_cent_of(classes["photos"].max() if len(classes) else 0)
    counts = zip(classes["class_name"], classes["photos"], strict=True)
    return [Bar(str(name), int(photos), longest * photos) for name, photos in counts]


def profile(classes: pd.DataFrame) -> str:
    """Path of an SVG 100 wide and 100 high: photos of each class, the largest at the left, as a filled outline."""
    if classes.empty:
        return ""
    step = 100 / len(classes)
    heights = 100 - 100 * classes["photos"].to_numpy() / classes["photos"].max()
    outline = " ".join(f"V{height:.2f}H{step * (rank + 1):.3f}" for rank, height in enumerate(heights))
    return f"M0 100{outline}V100Z"


def spread(classes: pd.DataFrame) -> list[tuple[str, dict[str, int]]]:
    """Smallest, median and largest and what lies between, of photos and of vehicles per class."""
    points = {"smallest": 0.0, "10 %": 0.1, "median": 0.5, "90 %": 0.9, "largest": 1.0}
    return [
        (column, {name: round(float(classes[column].quantile(point))) for name, point in points.items()})
        for column in ("photos", "vehicles")
        if len(classes)
    ]


def share_rows(alive: pd.DataFrame, quotas: Mapping[str, float]) -> list[ShareRow]:
    """Shares of the splits over all classes."""
    photos = alive["split"].value_counts()
    vehicles = alive.groupby("split", observed=True)["vehicle"].nunique()
    return [
        ShareRow(
            split=name,
            photos=int(photos.get(name, 0)),
            share=int(photos.get(name, 0)) / max(len(alive), 1),
            quota=quotas[name],
            vehicles=int(vehicles.get(name, 0)),
        )
        for name in SPLITS
    ]


def deviations(classes: pd.DataFrame, quotas: Mapping[str, float]) -> pd.DataFrame:
    """Percentage points by which each class's share of each split is off its quota; columns are the splits."""
    shares = classes[list(SPLITS)].div(classes["photos"], axis=0)
    return 100 * (shares - pd.Series(dict(quotas))[list(SPLITS)])


def worst_classes(classes: pd.DataFrame, quotas: Mapping[str, float], *, count: int) -> list[dict[str, Any]]:
    """The classes whose shares are furthest off, with `off` by split and `share_of_largest` vehicle."""
    off = deviations(classes, quotas)
    order = off.abs().max(axis=1).sort_values(ascending=False, kind="stable").index[:count]
    return [
        {
            **classes.loc[row].to_dict(),
            "off": off.loc[row].to_dict(),
            "share_of_largest": classes.loc[row, "largest"] / classes.loc[row, "photos"],
        }
        for row in order
    ]


def deviation_bars(values: "pd.Series[float]") -> list[Bar]:
    """Classes by the percentage points that one split's share is off."""
    edges = [-np.inf, *DEVIATIONS, np.inf]
    labels = [_deviation_label(low, high) for low, high in pairwise(edges)]
    # A bin holds its edge that is further from zero, so that +0.5 and -0.5 count as alike.
    counts, _ = np.histogram(np.nextafter(values.to_numpy(float), 0), edges)
    return _bars(labels, counts.tolist())


def size_bars(sizes: "pd.Series[int]", starts: Sequence[int]) -> list[Bar]:
    """Vehicles by how many photos or listings they have; bins from `starts[i]` to before `starts[i + 1]`."""
    counts, _ = np.histogram(sizes.to_numpy(int), [*starts, np.inf])
    ends = [after - 1 for after in starts[1:]]
    labels = [str(low) if low == high else f"{low}–{high}" for low, high in zip(starts, ends, strict=False)]
    return _bars([*labels, f"{starts[-1]}+"], counts.tolist())


def photos_per_vehicle(alive: pd.DataFrame) -> "pd.Series[int]":
    """Kept photos of each vehicle."""
    return alive["vehicle"].value_counts()


def listings_per_vehicle(alive: pd.DataFrame) -> "pd.Series[int]":
    """Listings that each vehicle has kept photos in."""
    return alive.drop_duplicates(["vehicle", "listing_uuid"])["vehicle"].value_counts()


def funnel_changes(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> list[Change]:
    """Photos in, dropped by each reason of either dataset, and kept."""
    old, new = _reasons(before), _reasons(now)
    rows = [Change(reason, old[reason], new[reason], is_reason=True) for reason in {**new, **old}]
    return [
        Change("photos in", before[0]["in"] if before else 0, now[0]["in"] if now else 0),
        *sorted(rows, key=lambda row: -max(row.now, row.before)),
        Change("kept", before[-1]["kept"] if before else 0, now[-1]["kept"] if now else 0),
    ]


def class_changes(before: Mapping[str, int], now: Mapping[str, int]) -> list[Change]:
    """Photos of each class of either dataset that changed, the largest change first."""
    rows = [Change(name, before.get(name, 0), now.get(name, 0)) for name in sorted({*before, *now})]
    return sorted((row for row in rows if row.difference), key=lambda row: -abs(row.difference))


def _reasons(funnel: Sequence[Mapping[str, Any]]) -> "Counter[str]":
    return sum((Counter(entry["dropped"]) for entry in funnel), Counter())


def _bars(labels: Sequence[str], counts: Sequence[int]) -> list[Bar]:
    longest = _per_cent_of(max(counts, default=0))
    return [Bar(label, int(count), longest * int(count)) for label, count in zip(labels, counts, strict=True)]


def _deviation_label(low: float, high: float) -> str:
    if np.isinf(low):
        return f"below {_signed(high)}"
    if np.isinf(high):
        return f"above {_signed(low)}"
    return f"{_signed(low)} to {_signed(high)}"


def _signed(points: float) -> str:
    return f"{points:+g}".replace("-", "−")


def _per_cent_of(total: int) -> float:
    return 100 / max(int(total), 1)
