"""The candidate of a channel: the newest model that is not live, held against the one that is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from carpipe.config import ClassifierConfig
from carpipe.manifest import Manifest
from carpipe.steps.views.figures import CLASSES, FIGURES, PHOTOS, SAME_PHOTOS, Change, Figure, change_of, say
from carpipe.steps.views.model_columns import ModelColumn, Source
from carpipe.weights.card import settings_of

# The figures that matter, in their order.
SHOWN = ("test_accuracy", "test_top5_accuracy", "test_macro_f1", "test_listing_accuracy", "test_ece", "test_nll")
# Numbers of a dataset, and what its photos are asked for by that each counts; None where it counts no photos.
COUNTED: Mapping[str, Mapping[str, str] | None] = {"photos": {}, "kept": {"in": "yes"}, "classes": None}


@dataclass(frozen=True)
class Row:
    """A figure of both models, as people read it; filters as in `ModelColumn`, empty where it counts no photos."""

    figure: Figure
    now: str
    before: str
    change: Change
    now_filters: str = ""
    before_filters: str = ""


@dataclass(frozen=True)
class Differing:
    """What one model has otherwise than the other.

    `source` where it is the data, which has a name and a page; filters where it counts photos, as in `ModelColumn`.
    """

    name: str
    now: str
    before: str
    now_source: Source | None = None
    before_source: Source | None = None
    now_filters: str = ""
    before_filters: str = ""


@dataclass(frozen=True)
class Candidate:
    """A model against the live one.

    Attributes:
        live: None where nothing is live, or that cannot be read.
        newer: whether it came after the live one.
        same_test: whether both were judged on the test photos of one dataset.
        decided_against_live: whether the gate's newest decision about it held it against what is live now.
        differs: settings and data in which they differ; None where a training is gone, so that nobody can tell.
    """

    model: ModelColumn
    live: ModelColumn | None
    newer: bool
    same_test: bool
    decided_against_live: bool
    rows: list[Row]
    differs: list[Differing] | None


def hold_against(model: ModelColumn, live: ModelColumn | None, *, newer: bool) -> Candidate:
    """The candidate beside the live model."""
    decision, other = model.decision, live.key if live else ""
    against = bool(decision) and decision is not None and decision["champion"] == other
    return Candidate(
        model=model,
        live=live,
        newer=newer,
        same_test=bool(live) and live is not None and live.dataset == model.dataset,
        decided_against_live=against,
        rows=[*_rows(model, live, decision["numbers"] if decision is not None and against else {})],
        differs=_differs(model, live) if live else [],
    )


def _rows(model: ModelColumn, live: ModelColumn | None, numbers: Mapping[str, Any]) -> Iterator[Row]:
    if live and {"candidate", "champion"} <= numbers.keys():
        row = _linked(_row(SAME_PHOTOS, numbers["candidate"], numbers["champion"]), "test_accuracy", model, None)
        yield replace(row, before_filters=model.filters.get("champion", ""))
    for key in SHOWN:
        now, before = model.metrics.get(key), live.metrics.get(key) if live else None
        if now is not None or before is not None:
            yield _linked(_row(FIGURES[key], now, before), key, model, live)
    yield _row(CLASSES, model.classes, live.classes if live else None)
    yield _linked(_row(PHOTOS, model.photos, live.photos if live else None), "photos", model, live)


def _row(figure: Figure, now: object, before: object) -> Row:
    return Row(figure, say(figure, now), say(figure, before), change_of(figure, now, before))


def _linked(row: Row, key: str, model: ModelColumn, live: ModelColumn | None) -> Row:
    now, before = (one.filters.get(key, "") if one else "" for one in (model, live))
    return replace(row, now_filters=now, before_filters=before)


def _differs(model: ModelColumn, live: ModelColumn) -> list[Differing] | None:
    data = [*_data(model.source, live.source)]
    if model.trained is None or live.trained is None:
        return data or None
    return [*data, *_facts(model.trained, live.trained), *_settings(model.trained, live.trained)]


def _data(now: Source, before: Source) -> Iterator[Differing]:
    if now.key == before.key:
        return
    yield Differing("trained on", _named(now), _named(before), now, before)
    for name, asked in COUNTED.items():
        ours, theirs = getattr(now, name), getattr(before, name)
        if ours != theirs:
            filters = ["" if asked is None else source.filters(**asked) for source in (now, before)]
            yield Differing(
                f"{name} of the dataset", _number(ours), _number(theirs),
                now_filters=filters[0], before_filters=filters[1],
            )  # fmt: skip


def _facts(now: Manifest, before: Manifest) -> Iterator[Differing]:
    """What a training was of beside its settings."""
    ours, theirs = (
        {
            "carpipe": done.carpipe,
            "start": _start(done.extra.get("start")),
            "weights of the backbone": done.weights.get("backbone"),
            "epochs": done.counts.get("epochs"),
        }
        for done in (now, before)
    )
    yield from (Differing(name, _text(ours[name]), _text(theirs[name])) for name in ours if ours[name] != theirs[name])


def _start(start: object) -> str | None:
    return f"{start.get('kind')}: {start.get('why')}" if isinstance(start, dict) else None


def _settings(now: Manifest, before: Manifest) -> Iterator[Differing]:
    """Settings that differ; where one start was warm and one cold, those alone that both use."""
    ours, theirs = settings_of(now), settings_of(before)
    of_one_start = {*ClassifierConfig.COLD, *ClassifierConfig.WARM}
    for name in sorted({*ours, *theirs}):
        if name in of_one_start and not (name in ours and name in theirs):
            continue
        if ours.get(name) != theirs.get(name):
            yield Differing(f"{now.partition}.{name}", _text(ours.get(name)), _text(theirs.get(name)))


def _named(source: Source) -> str:
    return source.called.name if source.called else "gone"


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else "–"


def _text(value: object) -> str:
    if value is None:
        return "–"
    return ", ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)
