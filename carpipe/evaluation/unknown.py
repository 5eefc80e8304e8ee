"""Cars that no class of a model knows: fit what tells them apart, and judge it on cars that took no part in that.

A table of photos, as this module takes it, has a row per photo: `vehicle`, `listing_uuid`, `stand_out` and `likeness`
(see `carpipe.familiarity`), and `surest`, the largest probability.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from carpipe.evaluation.newest import interval
from carpipe.familiarity import Rule
from carpipe.html_page import per_cent

COLUMNS = ("vehicle", "listing_uuid", "stand_out", "likeness", "surest")
# How standing out and likeness count, in standard deviations of known photos, where no unknown cars say better.
FIXED = (1.0, 0.5)
# Unknown cars, at least, that weights are fitted on, and as many that it is judged on.
MIN_VEHICLES = 20
CONFIDENCE = 0.975  # of each bound: 95 % of both
BINS = 40


def can_calibrate(unknown: pd.DataFrame) -> bool:
    """Whether there are cars enough to fit weights, or to judge them."""
    return int(unknown["vehicle"].nunique()) >= MIN_VEHICLES


def fit_rule(known: pd.DataFrame, unknown: pd.DataFrame | None, *, refused: float) -> Rule | None:
    """The rule that refuses a share of known photos, and as many unknown ones as it can.

    None where nothing tells known photos apart: all of them are alike.

    Args:
        known: validation photos, their likeness by `likeness_apart`.
        unknown: photos of cars of no class, at least `MIN_VEHICLES` of them: weights by logistic regression, where
            likeness counts no less, beside standing out, than in `FIXED`; None: `FIXED`.
        refused: share of known photos that shall be taken for unknown, above 0.
    """
    both = known[["stand_out", "likeness"]].to_numpy(float)
    means, spreads = both.mean(axis=0), both.std(axis=0)
    useful = spreads > 1e-6
    if not useful.any():
        return None
    scale = np.divide(1, spreads, out=np.zeros(2), where=useful)
    weights = _weights(known, unknown, means, scale) * scale
    scores = both @ weights
    weights, offset = weights / scores.std(), -scores.mean() / scores.std()
    scores = both @ weights + offset
    threshold = float(np.quantile(scores, refused, method="lower"))
    alike = _alike(scores, known["listing_uuid"])
    return Rule(float(weights[0]), float(weights[1]), float(offset), threshold, alike)


def familiarity_of(photos: pd.DataFrame, rule: Rule) -> "pd.Series[float]":
    """Of each photo."""
    return rule.stand_out * photos["stand_out"] + rule.likeness * photos["likeness"] + rule.offset


def judge(
    rule: Rule, *, val: pd.DataFrame, test: pd.DataFrame, unknown: pd.DataFrame | None, refused: float
) -> dict[str, Any]:
    """Figures on test cars, JSON-able; each bound of the two holds with 97.5 %, by vehicle.

    Args:
        val, test: photos of known cars: those that the rule was fitted on, and others.
        unknown: photos of cars of no class that took no part in fitting, with `reason`; None: too few.

    Returns:
        `known` and, where there are any, `unknown`: `photos`, `vehicles`, `refused` with `low` and `high`, `listings`
        and `listings_refused` (all photos of one together). Of unknown ones also `auroc` with `low` and `high`,
        `softmax_auroc` of the largest probability alone, what is `gained` over it (with bounds), `softmax_refused` at
        the same share of known photos refused, and `reasons`: photos, vehicles and share refused of each.
    """
    found = {"known": _refusals(test, rule)}
    if unknown is None:
        return found
    limit = float(np.quantile(val["surest"], refused, method="lower"))
    reasons = {
        str(name): {"photos": len(rows), "vehicles": int(rows["vehicle"].nunique()), "refused": _share(rows, rule)}
        for name, rows in unknown.groupby("reason")
    }
    found["unknown"] = {
        **_refusals(unknown, rule),
        **_compare_aurocs(rule, test, unknown),
        "softmax_refused": float((unknown["surest"] < limit).mean()),
        "reasons": reasons,
    }
    return found


def histogram(rule: Rule, *, test: pd.DataFrame, unknown: pd.DataFrame | None) -> dict[str, Any]:
    """Shares of photos by familiarity, for a plot: `edges` (BINS + 1), `threshold`, `known`, and perhaps `unknown`."""
    scores = {"known": familiarity_of(test, rule)}
    if unknown is not None:
        scores["unknown"] = familiarity_of(unknown, rule)
    low, high = (np.quantile(np.concatenate([*scores.values()]), share) for share in (0.001, 0.999))
    edges = np.linspace(low, max(high, low + 1e-3), BINS + 1)
    shares = {
        name: (np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] / len(values)).round(5).tolist()
        for name, values in scores.items()
    }
    return {"edges": edges.round(4).tolist(), "threshold": rule.threshold, **shares}


def describe(found: Mapping[str, Any], *, refused: float) -> str:
    """The figures of `judge` in a sentence or two."""
    known, unknown = found["known"], found.get("unknown")
    said = (
        f"Of test photos of known cars {per_cent(known['refused'])} are taken for unknown (aim: {per_cent(refused)})."
    )
    if unknown is None:
        return f"{said} There are too few cars of no class to say how many of those are found."
    return (
        f"{said} Of {unknown['photos']:,} photos of {unknown['vehicles']:,} cars of no class "
        f"{per_cent(unknown['refused'])} are found ({per_cent(unknown['low'])} to {per_cent(unknown['high'])}); "
        "the largest probability alone would find "
        f"{per_cent(unknown['softmax_refused'])}. AUROC {unknown['auroc']:.3f}, of that alone "
        f"{unknown['softmax_auroc']:.3f}."
    )


def auroc(known: NDArray[np.float64], unknown: NDArray[np.float64]) -> float:
    """How often a known photo is more familiar than an unknown one; ties count a half."""
    return float(_placements(known, unknown)[0].mean())


def _weights(
    known: pd.DataFrame, unknown: pd.DataFrame | None, means: NDArray[Any], scale: NDArray[Any]
) -> NDArray[np.float64]:
    if unknown is None:
        return np.array(FIXED)
    from sklearn.linear_model import LogisticRegression

    photos = pd.concat([known, unknown])[["stand_out", "likeness"]].to_numpy(float)
    truth = np.arange(len(photos)) < len(known)
    fitted = LogisticRegression(class_weight="balanced").fit((photos - means) * scale, truth)
    best, like = np.maximum(fitted.coef_[0], 0)  # what is less like a class is never more familiar
    # Pictures of no car at all are not among the unknown ones, and likeness is what finds those.
    weights = np.array([best, max(like, best * FIXED[1] / FIXED[0])])
    return weights if (weights * (scale > 0)).any() else np.array(FIXED)


def _alike(scores: NDArray[np.float64], listings: "pd.Series[str]") -> float:
    """Correlation of the scores within listings, 0 to 1, by analysis of variance; 1 where no listing has two photos.

    Source: P. E. Shrout and J. L. Fleiss, "Intraclass correlations", Psychological Bulletin 86, 1979.
    """
    number = pd.factorize(listings)[0]
    sizes = np.bincount(number)
    groups, photos = len(sizes), len(scores)
    if groups < 2 or photos == groups:
        return 1.0
    centres = np.bincount(number, weights=scores) / sizes
    between = float((sizes * (centres - scores.mean()) ** 2).sum() / (groups - 1))
    within = float(((scores - centres[number]) ** 2).sum() / (photos - groups))
    size = (photos - (sizes**2).sum() / photos) / (groups - 1)
    whole = between + (size - 1) * within
    return float(np.clip((between - within) / whole, 0, 1)) if whole > 0 else 1.0


def _share(photos: pd.DataFrame, rule: Rule) -> float:
    return float((familiarity_of(photos, rule) < rule.threshold).mean())


def _refusals(photos: pd.DataFrame, rule: Rule) -> dict[str, Any]:
    out = familiarity_of(photos, rule) < rule.threshold
    low, high = interval(photos["vehicle"], out, confidence=CONFIDENCE)
    together = familiarity_of(photos, rule).groupby(photos["listing_uuid"]).agg(["mean", "size"])
    listings = [not rule.is_known(mean, photos=int(size)) for mean, size in together.itertuples(index=False)]
    return {
        "photos": len(photos),
        "vehicles": int(photos["vehicle"].nunique()),
        "refused": float(out.mean()),
        "low": low,
        "high": high,
        "listings": len(listings),
        "listings_refused": float(np.mean(listings)) if listings else None,
    }


def _compare_aurocs(rule: Rule, test: pd.DataFrame, unknown: pd.DataFrame) -> dict[str, float]:
    """Both AUROCs and their difference, with bounds.

    The variance is that of photos of one car being alike. Source: N. A. Obuchowski, "Nonparametric analysis of
    clustered ROC curve data", Biometrics 53, 1997; of the difference, by the differences of the components.
    """
    ours = _placements(_as_floats(familiarity_of(test, rule)), _as_floats(familiarity_of(unknown, rule)))
    plain = _placements(_as_floats(test["surest"]), _as_floats(unknown["surest"]))
    cars = [pd.factorize(rows["vehicle"])[0] for rows in (test, unknown)]
    more = tuple(one - other for one, other in zip(ours, plain, strict=True))
    z = float(norm.ppf(CONFIDENCE))
    area, gained = float(ours[0].mean()), float(more[0].mean())
    width = z * _deviation(more, cars)
    low, high = _logit_bounds(area, z * _deviation(ours, cars))
    return {
        "auroc": area,
        "auroc_low": low,
        "auroc_high": high,
        "softmax_auroc": float(plain[0].mean()),
        "gained": gained,
        "gained_low": gained - width,
        "gained_high": gained + width,
    }


def _as_floats(values: "pd.Series[float]") -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)


def _placements(known: NDArray[np.float64], unknown: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Of each known photo, the share of unknown ones below it; of each unknown one, of known ones above it."""
    ranks = rankdata(np.concatenate([known, unknown]))
    above = ranks[: len(known)] - rankdata(known)
    below = ranks[len(known) :] - rankdata(unknown)
    return above / len(unknown), 1 - below / len(known)


def _deviation(placements: tuple[NDArray[np.float64], ...], cars: list[NDArray[np.intp]]) -> float:
    area, total = float(placements[0].mean()), 0.0
    for values, number in zip(placements, cars, strict=True):
        sums = np.bincount(number, weights=values - area)
        total += len(sums) / max(len(sums) - 1, 1) * float((sums**2).sum()) / len(values) ** 2
    return math.sqrt(total)


def _logit_bounds(area: float, width: float) -> tuple[float, float]:
    """In the logarithm of the odds, where an area near 1 cannot exceed it."""
    if not 0 < area < 1:
        return area, area
    centre, half = math.log(area / (1 - area)), width / (area * (1 - area))
    low, high = (1 / (1 + math.exp(-(centre + side * half))) for side in (-1, 1))
    return low, high
