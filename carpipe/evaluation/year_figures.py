"""How well a model tells years: figures on test cars, beside always saying the median year of the class."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t as student

from carpipe.evaluation.newest import interval
from carpipe.evaluation.years import car_weights
from carpipe.html_page import per_cent
from carpipe.years import YearRule

CONFIDENCE = 0.975  # of each bound: 95 % of both


def judge_years(
    rule: YearRule,
    newer: NDArray[np.float32],
    photos: pd.DataFrame,
    *,
    medians: Mapping[str, float],
    listings: pd.DataFrame,
) -> dict[str, Any]:
    """Figures on test photos, JSON-able; a car counts once, and each bound holds with 97.5 %.

    Cars of a class with one year are counted apart: there is nothing to tell.

    Args:
        newer: of each photo (n,), in years.
        photos: as `carpipe.evaluation.years` says, with `listing_uuid`.
        medians: the median year by class.
        listings: `listing_uuid` and `answer`, the class that all photos of one together are taken for.

    Returns:
        `photos`, `vehicles`, and of the latter `one_year` ones, which do not count in what follows; `error` and
        `median_error`, years that the guess and the median are off, `less`, by how many the guess is nearer, with
        `less_low` and `less_high`; `held`, the share whose year is in the interval, with `low` and `high`;
        `years`, that an interval has on average, and `all_years`, that a class has; `listings` and `listings_held`.
        With less than two cars that count, `photos`, `vehicles` and `one_year` alone.
    """
    told = photos.assign(newer=newer)[photos["answer"].isin([*rule.classes]).to_numpy()]
    single = told["class_name"].map(lambda name: _one_year(rule, name)).astype(bool)
    found: dict[str, Any] = {
        "photos": len(told),
        "vehicles": int(told["vehicle"].nunique()),
        "one_year": int(told.loc[single, "vehicle"].nunique()),
    }
    rows = told[~single]
    if rows["vehicle"].nunique() < 2:
        return found
    return found | _figures(rule, rows, medians=medians, listings=listings)


def _figures(
    rule: YearRule, rows: pd.DataFrame, *, medians: Mapping[str, float], listings: pd.DataFrame
) -> dict[str, Any]:
    """What `judge_years` says of cars that count."""
    answers = _answers(rule, rows, medians)
    weights = car_weights(rows["vehicle"])
    error, plain, years, span = (
        float(np.average(answers[name], weights=weights)) for name in ("error", "plain", "years", "span")
    )
    gained = (answers["plain"] - answers["error"]).groupby(rows["vehicle"]).mean()
    width = _half_width(gained)
    low, high = interval(rows["vehicle"], answers["held"], confidence=CONFIDENCE)
    together = _listings(rule, rows, listings)
    return {
        "error": error, "median_error": plain, "less": plain - error,
        "less_low": plain - error - width, "less_high": plain - error + width,
        "held": float(np.average(answers["held"], weights=weights)), "low": low, "high": high,
        "years": years, "all_years": span,
        "listings": len(together), "listings_held": float(together.mean()) if len(together) else None,
    }  # fmt: skip


def describe(found: Mapping[str, Any], *, share: float) -> str:
    """The figures in sentences."""
    if "error" not in found:
        return "Hardly a test car is of a class with several years, so nothing is known of how far off it is."
    return (
        f"Its guess is {found['error']:.2f} years off on {found['vehicles'] - found['one_year']:,} test cars of "
        f"classes with several years; always saying the median year of the class is {found['median_error']:.2f} off, "
        f"so the guess is nearer by {found['less']:.2f} ({found['less_low']:.2f} to {found['less_high']:.2f}). "
        f"The interval shall hold the true year of {per_cent(share, 0)} of the cars, and holds "
        f"{per_cent(found['held'])} ({per_cent(found['low'])} to {per_cent(found['high'])}). "
        f"It has {found['years']:.1f} years on average, a class has {found['all_years']:.1f}."
    )


def _one_year(rule: YearRule, name: str) -> bool:
    known = rule.classes.get(name)
    return known is not None and known.first == known.last


def _answers(rule: YearRule, rows: pd.DataFrame, medians: Mapping[str, float]) -> pd.DataFrame:
    """Of each photo: how far guess and median are `off`, whether the interval holds, its years, and the class's."""
    known = [rule.classes[name] for name in rows["answer"]]
    guess = [min(max(one.offset + new, one.first), one.last) for one, new in zip(known, rows["newer"], strict=True)]
    first, last = _intervals(rule, rows["answer"].tolist(), rows["newer"].tolist())
    year = rows["year"].to_numpy(float)
    columns = {
        "error": np.abs(np.array(guess) - year),
        "plain": np.abs(rows["answer"].map(medians).to_numpy(float) - year),
        "held": (first <= year) & (year <= last),
        "years": last - first + 1,
        "span": [one.last - one.first + 1 for one in known],
    }
    return pd.DataFrame(columns, index=rows.index)


def _intervals(rule: YearRule, names: Sequence[str], newer: Sequence[float]) -> tuple[Any, Any]:
    both = np.array([rule.classes[name].interval(new) for name, new in zip(names, newer, strict=True)]).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def _listings(rule: YearRule, rows: pd.DataFrame, listings: pd.DataFrame) -> "pd.Series[bool]":
    """Of each listing: whether the interval of all its photos together holds its year."""
    mine = rows.groupby("listing_uuid").agg(newer=("newer", "mean"), year=("year", "first"))
    mine = mine.join(listings.drop_duplicates("listing_uuid").set_index("listing_uuid")["answer"], how="inner")
    mine = mine[mine["answer"].isin([*rule.classes])]
    first, last = _intervals(rule, mine["answer"].tolist(), mine["newer"].tolist())
    held: pd.Series[bool] = (first <= mine["year"]) & (mine["year"] <= last)
    return held


def _half_width(cars: "pd.Series[float]") -> float:
    return float(student.ppf(CONFIDENCE, len(cars) - 1) * cars.std() / math.sqrt(len(cars)))
