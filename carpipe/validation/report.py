"""The dataset report: one HTML page that shows a person what became of the photos, and why.

`carpipe.html_page` says what all pages keep to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment

from carpipe.backports import UTC
from carpipe.called import Called, moment
from carpipe.errors import InputError
from carpipe.html_page import environment, minus
from carpipe.names import counted
from carpipe.photos import SPLITS, kept
from carpipe.reasons import REASONS, in_words
from carpipe.validation import report_charts as charts
from carpipe.validation.report_pictures import choose_examples, choose_pairs, make_cards

__all__ = ["PreviousDataset", "ReportInput", "choose_examples", "choose_pairs", "render_report"]

TEMPLATE = "report.html.j2"
COLUMNS = ("key", "dropped", "dropped_by", "listing_uuid", "vehicle", "class_name", "split")
MANY_CLASSES = 60  # more bars than that are a page of their own: then the ends are shown, and a table
ENDS = 15  # bars at either end
WORST = 10  # classes furthest from their quotas
CHANGED = 15  # classes whose photos changed most


@dataclass(frozen=True)
class PreviousDataset:
    """What the report compares with.

    `name` is what people call it, empty where nobody knows. `classes` and `splits` are kept photos by name; where
    empty, they are not compared.
    """

    dataset: str
    funnel: Sequence[Mapping[str, Any]]
    name: str = ""
    classes: Mapping[str, int] = field(default_factory=dict)
    splits: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ReportInput:
    """All that the report shows.

    Attributes:
        dataset: id of the dataset; of one that it would have where `failed` holds anything.
        made: when; with a time zone.
        expectations: number checked; 0: the dataset was not validated.
        failed: one sentence for each expectation that is broken.
        photos: the photo table after `split`, every photo of the bucket.
        funnel: an entry per stage: `stage`, `in`, `dropped` (number by reason), `kept`.
        quotas: share asked for, by split.
        examples: dropped photos to show, from `choose_examples`.
        near_duplicates: every pair found: `key_a`, `key_b`, `difference` (mean of pixels, 0 to 255 grey levels).
        pairs: those of them to show, from `choose_pairs`.
        pictures: JPEGs by photo key, for examples and pairs; a photo without is shown by its facts.
        previous: the dataset before this one.
        manifests: keys of the manifests that led here, by stage.
        config: resolved settings, by section.
        weights: sha256 of the weights used, by role.
        data_docs: where the Data Docs are, relative to the report.
    """

    dataset: str
    made: datetime
    expectations: int
    failed: Sequence[str]
    photos: pd.DataFrame
    funnel: Sequence[Mapping[str, Any]]
    quotas: Mapping[str, float]
    examples: pd.DataFrame
    near_duplicates: pd.DataFrame | None = None
    pairs: pd.DataFrame | None = None
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    previous: PreviousDataset | None = None
    manifests: Mapping[str, Sequence[str]] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)
    data_docs: str = "data_docs/index.html"


def render_report(report: ReportInput) -> str:
    """The page. Equal input gives an equal page.

    Raises:
        InputError: the photo table lacks a column or a photo of a pair, a split has no quota, `made` has
            no time zone, or a picture is not a JPEG.
    """
    _check(report)
    alive = kept(report.photos)
    classes = charts.class_table(alive)
    made = report.made.astimezone(UTC)
    page = _environment().get_template(TEMPLATE)
    return page.render(
        report=report,
        called=Called(report.dataset, f"{moment(made)}, {counted(len(report.photos), 'photo')}"),
        made=moment(made),
        photos_in=len(report.photos),
        photos_kept=len(alive),
        vehicles=alive["vehicle"].nunique(),
        listings=alive["listing_uuid"].nunique(),
        funnel=charts.funnel_rows(report.funnel),
        reasons=_reasons(report),
        since=_change(report, classes),
        classes=_classes(classes),
        shares=charts.share_rows(alive, report.quotas),
        deviations={
            name: charts.deviation_bars(values) for name, values in charts.deviations(classes, report.quotas).items()
        },
        worst=charts.worst_classes(classes, report.quotas, count=WORST),
        photo_sizes=charts.size_bars(charts.photos_per_vehicle(alive), charts.PHOTOS_PER_VEHICLE),
        listing_sizes=charts.size_bars(charts.listings_per_vehicle(alive), charts.LISTINGS_PER_VEHICLE),
        pairs=_pairs(report),
        settings=list(_flatten(report.config)),
    )


def _check(report: ReportInput) -> None:
    missing = [name for name in COLUMNS if name not in report.photos]
    if missing:
        raise InputError(f"the report needs the columns {', '.join(COLUMNS)}; the photo table lacks {missing}")
    if unquoted := [name for name in SPLITS if name not in report.quotas]:
        raise InputError(f"the report needs a quota for {', '.join(SPLITS)}; there is none for {unquoted}")
    if report.made.tzinfo is None:
        raise InputError(f"the report's time needs a time zone; {report.made} has none")


def _environment() -> Environment:
    made = environment(Path(__file__).parent)
    made.filters |= {
        "signed": lambda value: minus(f"{value:+,.0f}") if value else "0",
        "points": lambda value: minus(f"{value:+z.1f}"),
    }
    return made


def _reasons(report: ReportInput) -> list[dict[str, Any]]:
    examples = report.examples
    return [
        {
            "row": row,
            "anchor": f"reason-{number}",
            "meaning": REASONS.get(row.reason, ""),
            "cards": make_cards(
                examples[(examples["dropped"] == row.reason) & (examples["dropped_by"] == row.stage)], report.pictures
            ),
        }
        for number, row in enumerate(charts.reason_rows(report.funnel))
    ]


def _change(report: ReportInput, classes: pd.DataFrame) -> dict[str, Any] | None:
    if report.previous is None:
        return None
    before = report.previous
    now = dict(zip(classes["class_name"].astype(str), classes["photos"].astype(int), strict=True))
    by_class = charts.class_changes(before.classes, now) if before.classes else []
    splits = [
        charts.Change(f"kept, in {name}", before.splits.get(name, 0), int(classes[name].sum())) for name in SPLITS
    ]
    return {
        "dataset": before.dataset,
        "name": before.name,
        "funnel": charts.funnel_changes(before.funnel, report.funnel),
        "splits": splits if before.splits else [],
        "compares_classes": bool(before.classes),
        "new": [row.label for row in by_class if not row.before],
        "gone": [row.label for row in by_class if not row.now],
        "changed": by_class[:CHANGED],
        "changed_in_all": len(by_class),
    }


def _classes(table: pd.DataFrame) -> dict[str, Any]:
    bars = charts.class_bars(table)
    many = len(bars) > MANY_CLASSES
    return {
        "number": len(bars),
        "profile": charts.profile(table) if many else "",
        "spread": charts.spread(table),
        "bars": [] if many else bars,
        "largest": bars[:ENDS] if many else [],
        "smallest": bars[-ENDS:] if many else [],
        "imbalance": bars[0].value / bars[-1].value if bars else 0,
        "rows": list(zip(bars, table.to_dict("records"), strict=True)),
    }


def _pairs(report: ReportInput) -> dict[str, Any]:
    if report.pairs is None or report.near_duplicates is None:
        return {"number": 0, "shown": []}
    keys = {*report.pairs["key_a"], *report.pairs["key_b"]}
    rows = report.photos[report.photos["key"].isin(keys)].drop_duplicates("key", keep="last")
    if unknown := keys - set(rows["key"]):
        raise InputError(f"a near-duplicate pair has photo {min(unknown)}, which the photo table has not")
    cards = {card.key: card for card in make_cards(rows, report.pictures)}
    fates = dict(zip(rows["key"], rows["dropped"].fillna("kept").map(in_words), strict=True))
    shown = [
        (pair["difference"], [(cards[key], fates[key]) for key in (pair["key_a"], pair["key_b"])])
        for pair in report.pairs.to_dict("records")
    ]
    return {"number": len(report.near_duplicates), "shown": shown}


def _flatten(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, value in config.items():
        rows += _flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [(f"{prefix}{name}", str(value))]
    return rows
