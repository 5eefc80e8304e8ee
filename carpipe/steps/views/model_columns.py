"""Packaged models as the page Weights shows them, each once: figures, data, maker, and what the gate last said."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal
from urllib.parse import urlencode

from carpipe.called import Called, call, call_committed
from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest
from carpipe.names import is_odd
from carpipe.steps.cache import ResultCache
from carpipe.steps.data.cost import model_cost
from carpipe.steps.models.evaluate import PAGE
from carpipe.steps.models.score_log import accuracy_of
from carpipe.steps.views.costs import say_cost
from carpipe.steps.views.judged import compared_photos, judged_photos
from carpipe.steps.views.weights_makers import Standing
from carpipe.storage import ObjectInfo

Sort = Literal["date", "top-1"]
# What a decision may be; `nothing_to_do` decides nothing.
OUTCOMES = ("publish", "ask", "refuse")

Decision = Mapping[str, Any]


@dataclass(frozen=True)
class Source:
    """What a model was trained on.

    Attributes:
        called: None where its data is gone, or a newer carpipe's.
        path: its page, below the mount; empty where it has none: labels have none.
        photos, kept, classes: of the whole of it; `train`: photos to train on; None where that is not known.
    """

    key: str
    called: Called | None = None
    path: str = ""
    photos: int | None = None
    kept: int | None = None
    classes: int | None = None
    train: int | None = None

    def filters(self, **asked: str) -> str:
        """Some of its photos, as an address of the page Photos has them; empty where it is no dataset."""
        return urlencode({"dataset": self.called.id, **asked}) if self.called and self.path else ""


@dataclass(frozen=True)
class ModelColumn:
    """A packaged model. `live` says that it is, `was_live` that it has been.

    `manifest_sha256` is of the manifest that is shown. `maker` says who has signed it; `problem` what is wrong with its
    manifest or its signature, a sentence, or nothing. `cost` says what it has cost, without its dataset; empty where
    that cannot be known any more. `trained` is the manifest of its training, and `photos` how many it learnt from; None
    where that is gone. `decision` is the gate's newest about it. `filters` are, by figure, the photos that it counts,
    as an address of the page Photos has them, `photos` those that it learnt from, `champion` those that the
    model was right on that it was held against; without those that nobody knows.
    """

    key: str
    called: Called
    live: bool
    was_live: bool
    classes: int
    source: Source
    trained: Manifest | None
    photos: int | None
    metrics: dict[str, Any]
    has_page: bool
    manifest_sha256: str
    maker: str
    problem: str
    cost: str
    decision: Decision | None
    filters: Mapping[str, str]

    @property
    def id(self) -> str:
        return self.called.id

    @property
    def dataset(self) -> str:
        """Manifest key of its dataset or label set."""
        return self.source.key

    @property
    def refused(self) -> str:
        """Why the gate refused it when it was last asked, sentences; empty where it did not."""
        said = self.decision if self.decision and self.decision["outcome"] == "refuse" else None
        return " ".join(said["reasons"]) if said else ""


def in_order(cache: ResultCache, infos: Sequence[ObjectInfo], live: str, *, sort: Sort) -> list[ObjectInfo]:
    """The live model, then the others: the newest first, or those that were right most often.

    Args:
        infos: the newest first.
        live: manifest key; empty where none is live.
    """
    found = sorted(infos, key=lambda info: -_top1(cache, info.key)) if sort == "top-1" else list(infos)
    return sorted(found, key=lambda info: info.key != live)


def newest_decisions(decided: Sequence[Decision]) -> dict[str, Decision]:
    """By model, the newest that decided something.

    Args:
        decided: the newest first.
    """
    found: dict[str, Decision] = {}
    for one in decided:
        if one["outcome"] in OUTCOMES:
            found.setdefault(one["model"], one)
    return found


def columns(
    cache: ResultCache,
    infos: Sequence[ObjectInfo],
    standings: Mapping[str, Standing],
    *,
    live: str,
    before: set[str],
    decisions: Mapping[str, Decision],
) -> Iterator[ModelColumn]:
    """The models in the order given, but for those that cannot be read."""
    for info in infos:
        standing = standings[info.key]
        if (done := standing.model) is None:
            continue
        trained, source = _trained(cache, done), _source(cache, done.extra["dataset"])
        photos = trained.counts.get("in") if trained else None
        yield ModelColumn(
            key=info.key,
            called=call(info.key, info.modified),
            live=live == info.key,
            was_live=info.key in before,
            classes=len(done.extra["classes"]),
            source=source,
            trained=trained,
            photos=photos,
            metrics=done.extra["metrics"],
            has_page=PAGE in done.files,
            manifest_sha256=standing.sha256,
            maker=standing.maker,
            problem=standing.problem,
            cost=cache.get(("cost", info.key), partial(say_cost, cache.session, done, model_cost)),
            decision=decisions.get(info.key),
            filters=_filters(cache, done, source, photos, decisions.get(info.key)),
        )


def _filters(
    cache: ResultCache, model: Manifest, source: Source, photos: int | None, decision: Decision | None
) -> dict[str, str]:
    found = {"test_photos": judged_photos(cache, model), "test_accuracy": judged_photos(cache, model, right="yes")}
    found["champion"] = compared_photos(cache, model, decision["champion"], right="yes") if decision else ""
    if photos == source.train:  # a model that started from the live one may have learnt from some of them
        found["photos"] = source.filters(split="train")
    return {figure: filters for figure, filters in found.items() if filters}


def _top1(cache: ResultCache, key: str) -> float:
    """Of a manifest that was read for its date; below all others where it does not say."""
    with contextlib.suppress(MissingError, InputError):
        return accuracy_of(cache.manifest(key)) or 0.0
    return -1.0


def _trained(cache: ResultCache, model: Manifest) -> Manifest | None:
    """Its training; None where that has been deleted since, or nobody says which it was."""
    done = _read(cache, model.extra.get("trained"))
    return done if done and "backbone" in done.config else None


def _source(cache: ResultCache, key: str) -> Source:
    if (done := _read(cache, key)) is None:
        return Source(key)
    photos, kept = (done.counts.get(name) for name in ("in", "kept"))
    named, classes = call_committed(done, kept if isinstance(kept, int) else None), done.extra.get("classes")
    splits = done.extra.get("splits")
    return Source(
        key, named, f"/data/{named.id}" if key.startswith("datasets/") else "", photos, kept,
        len(classes) if isinstance(classes, list) else None,
        splits.get("train") if isinstance(splits, dict) else None,
    )  # fmt: skip


def _read(cache: ResultCache, key: object) -> Manifest | None:
    """A manifest that another one names, in whatever way; None where it is gone, or cannot be read."""
    if not isinstance(key, str) or is_odd(key):
        return None
    with contextlib.suppress(MissingError, InputError):
        return cache.manifest(key)
    return None
