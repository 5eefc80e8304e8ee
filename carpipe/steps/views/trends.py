"""How datasets and the live classifier did, night by night: what lines on pages are drawn from."""

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from carpipe import manifest
from carpipe.called import Called
from carpipe.config import CostConfig
from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest
from carpipe.reasons import in_words
from carpipe.steps import results
from carpipe.steps.cache import ResultCache
from carpipe.steps.data.cost import Cost, describe_money, night_cost
from carpipe.steps.models.score_log import parse_score
from carpipe.steps.views.datasets import call_dataset, newest
from carpipe.steps.views.judged import newest_photos
from carpipe.steps.views.kept import read_all

NIGHTS = 30


@dataclass(frozen=True)
class Night:
    """A dataset in figures.

    `out` is photos by reason; empty where the dataset does not say. `cost` is of what was new in it; null where nobody
    knows.
    """

    dataset: Called
    photos: int
    kept: int
    vehicles: int
    classes: int
    out: Mapping[str, int]
    cost: Cost | None = None


@dataclass(frozen=True)
class Trend:
    """A figure over nights, oldest first.

    Attributes:
        name: of the figure.
        values: None where a night has none.
        said: the last value, as people read it.
        change: what came to it since the value before, as people read it; empty where nothing did.
        better: 1 where more is better, -1 where less is, 0 where that is not for a page to say.
        filters: of the photos that the last value counts, as an address has them; empty: it counts none. They are of
            the newest dataset, unless they name another.
    """

    name: str
    values: Sequence[float | None]
    said: str
    change: str = ""
    better: int = 0
    filters: str = ""

    @property
    def direction(self) -> int:
        """1 where the last value is above the one before, -1 where it is below, 0 else."""
        there = [value for value in self.values if value is not None]
        return 0 if len(there) < 2 else (there[-1] > there[-2]) - (there[-1] < there[-2])


def nights(cache: ResultCache, *, most: int = NIGHTS) -> list[Night]:
    """The newest datasets in figures, oldest first."""
    return [_night(cache, done) for done in newest(cache, most=most)][::-1]


def nights_up_to(cache: ResultCache, done: Manifest, *, most: int = NIGHTS) -> list[Night]:
    """A dataset and those before it, as far as there are so many newer ones at most, in figures, oldest first."""
    found = [*newest(cache, most=2 * most)]
    place = next((place for place, one in enumerate(found) if one.key == done.key), None)
    return [_night(cache, one) for one in ([done] if place is None else found[place : place + most])][::-1]


def dataset_trends(past: Sequence[Night]) -> list[Trend]:
    """Photos, what is kept of them, vehicles, classes, and the reasons that put most photos out."""
    if not past:
        return []
    trends = [
        _counts("photos", [one.photos for one in past], filters="-"),
        _share("kept", [one.kept / one.photos if one.photos else None for one in past], filters="in=yes"),
        _counts("vehicles", [one.vehicles for one in past]),
        _counts("classes", [one.classes for one in past]),
    ]
    reasons = sorted(past[-1].out, key=lambda reason: -past[-1].out[reason])[:3]
    trends += [
        _share(
            in_words(reason),
            [one.out.get(reason, 0) / one.photos if one.photos else None for one in past],
            filters=f"reason={reason}",
        )
        for reason in reasons
    ]
    return trends


def cost_trend(past: Sequence[Night], prices: CostConfig) -> Trend | None:
    """What nights have cost: money where there are prices, else minutes of workers; None where no night says."""
    spent = [one.cost.money(prices) if one.cost else None for one in past]
    if any(value is not None for value in spent):
        return _amounts("cost of a night", spent, lambda value: describe_money(value, prices))
    minutes = [60 * (one.cost.cpu_hours + one.cost.gpu_hours) if one.cost else None for one in past]
    return _amounts("minutes of workers", minutes, lambda value: f"{value:,.1f} min")


def _amounts(name: str, values: Sequence[float | None], say: Callable[[float], str]) -> Trend | None:
    there = [value for value in values if value is not None]
    return Trend(name, values, say(there[-1])) if there else None


def newest_listings(cache: ResultCache, channel: str, *, most: int = NIGHTS) -> Trend | None:
    """How often the live model was right on listings that came after it; None where it was never asked."""
    found = read_all(cache, f"channels/{channel}/scores", parse_score, newest=most, passed_over=InputError)
    there = [one for one in found if one is not None and one["accuracy"] is not None]
    if not there:
        return None
    right = newest_photos(cache, there[-1], right="yes")
    return _share("top-1 on new listings", [one["accuracy"] for one in there], better=1, filters=right)


def duration(name: str, minutes: Sequence[float]) -> Trend:
    """How long something took, night by night."""
    change = minutes[-1] - minutes[-2] if len(minutes) > 1 else 0.0
    said = f"{'+' if change > 0 else '−'}{lasted(abs(change))}" if abs(change) >= 0.05 else ""
    return Trend(f"{name} took", minutes, lasted(minutes[-1]), said)


def lasted(minutes: float) -> str:
    """A duration: `18 s`, `12 min`, `3.2 h`."""
    if minutes < 1:
        return f"{60 * minutes:.0f} s"
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def _night(cache: ResultCache, done: Manifest) -> Night:
    out: Mapping[str, int] = cache.get(("out", done.key), lambda: _out(cache, done))
    facts = done.extra
    return Night(
        call_dataset(done),
        done.counts["in"],
        done.counts["kept"],
        facts["vehicles"],
        len(facts["classes"]),
        out,
        _cost(cache, done),
    )


def _cost(cache: ResultCache, done: Manifest) -> Cost | None:
    with contextlib.suppress(InputError, MissingError, IndexError):  # deleted since, or of another version
        return night_cost(cache.manifest(done.inputs[1]))
    return None


def _out(cache: ResultCache, done: Manifest) -> dict[str, int]:
    try:
        funnel: list[dict[str, Any]] = manifest.read_json(cache.session.store, done, results.FUNNEL)
    except (InputError, MissingError, LookupError):  # deleted since, or of another version
        return {}
    out: Counter[str] = Counter()
    for stage in funnel:
        out.update(stage["dropped"])
    return dict(out)


def _counts(name: str, values: Sequence[int], *, filters: str = "") -> Trend:
    change = values[-1] - values[-2] if len(values) > 1 else 0
    return Trend(name, values, f"{values[-1]:,}", f"{change:+,}" if change else "", filters=filters)


def _share(name: str, values: Sequence[float | None], *, better: int = 0, filters: str = "") -> Trend:
    there = [value for value in values if value is not None]
    said = f"{100 * there[-1]:.1f} %" if there else "none"
    change = f"{100 * (there[-1] - there[-2]):+.1f}" if len(there) > 1 else ""
    change = "" if change in ("+0.0", "-0.0", "") else f"{change} points"
    return Trend(name, values, said, change, better, filters)
