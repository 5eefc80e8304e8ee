"""What the page Weights shows: channels, their models side by side, what the gate said, and the history.

All of it but the live release is written once, so a page costs five listings (channels; the channel's models, history,
decisions and comparisons), the live release, what is new since the last one, and one listing of each model that it
shows: somebody may have changed it.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from carpipe import manifest
from carpipe.errors import InputError, MissingError
from carpipe.figures import FIGURES, label
from carpipe.manifest import Manifest
from carpipe.steps import results
from carpipe.steps.cache import ResultCache
from carpipe.steps.data.cost import model_cost
from carpipe.steps.models import comparison
from carpipe.steps.models.decisions import parse_decision
from carpipe.steps.models.evaluate import PAGE
from carpipe.steps.models.publish import release_before
from carpipe.steps.short_ids import whole_id
from carpipe.steps.views.costs import say_cost
from carpipe.steps.views.kept import read_all
from carpipe.steps.views.weights_makers import Standing, look_at
from carpipe.storage import ObjectInfo
from carpipe.weights.channel import Release, parse_release, read_channel

COLUMNS = 6  # models side by side
ENTRIES = 40  # of the history, and of the decisions
CARD = "README.md"


@dataclass(frozen=True)
class ModelColumn:
    """A packaged model. `made` is UTC; `live` says that it is, `was_live` that it has been.

    `manifest_sha256` is of the manifest that is shown. `maker` says who has signed it; `problem` what is wrong with its
    manifest or its signature, a sentence, or nothing. `cost` says what it has cost, without its dataset; empty where
    that cannot be known any more.
    """

    id: str
    key: str
    made: str
    live: bool
    was_live: bool
    classes: int
    dataset: str
    metrics: dict[str, Any]
    has_page: bool
    manifest_sha256: str
    maker: str
    problem: str
    cost: str


@dataclass(frozen=True)
class ChannelView:
    """A channel in full.

    Attributes:
        channels: the names of all channels.
        live: what is live; None before anything was published.
        back: what a rollback goes back to; None where there is nothing, or a newer carpipe alone knows.
        models: the live one, then the newest.
        figures: name on the page by name in the metrics, of every figure that a model of these has.
        decisions, history: the newest first.
        compared: by model, the decision whose comparison `read_comparison` has; of models that have one.
        problem: why the live model is not to be used; empty where it may be.
        newer: how many models, decisions and releases only a newer carpipe understands.
    """

    name: str
    channels: list[str]
    live: Release | None
    back: Release | None
    models: list[ModelColumn]
    figures: dict[str, str]
    decisions: list[dict[str, Any]]
    history: list[Release]
    problem: str
    newer: int
    compared: Mapping[str, Mapping[str, Any]]


def list_channels(cache: ResultCache) -> list[str]:
    """The configured channels, then others that there are."""
    config = cache.session.config
    known = [config.classifier.channel, config.car_filter.channel]
    found = [folder.split("/")[1] for folder in cache.session.store.list_folders("channels")]
    return [*known, *(name for name in found if name not in known)]


def show_channel(cache: ResultCache, name: str) -> ChannelView:
    """A channel by its name. Raises InputError where there is none."""
    channels = list_channels(cache)
    if name not in channels:
        raise InputError(f"There is no channel {name}; the channels are {', '.join(channels)}.")
    live = read_channel(cache.session.store, name)
    past = read_all(cache, f"channels/{name}/history", parse_release)
    history = _history(past, live)
    # An odd decision costs itself only. A rollback goes by the history, so of that only what is newer is passed over.
    decided = read_all(cache, f"channels/{name}/decisions", parse_decision, newest=ENTRIES, passed_over=InputError)
    decided_last = [one for one in reversed(decided) if one is not None]
    infos = cache.manifests(f"models/{name}")
    infos.sort(key=lambda info: not (live and info.key == live.model))  # stable: the others stay newest first
    standings = look_at(cache, [info.key for info in infos[:COLUMNS]], history)
    models = [*_models(cache, infos, standings, live, history)]
    names = {figure: label(figure) for model in models for figure in model.metrics}
    order = [*(figure for figure in FIGURES if figure in names), *(figure for figure in names if figure not in FIGURES)]
    return ChannelView(
        name=name,
        channels=channels,
        live=live,
        back=release_before(history) if history and None not in past else None,
        models=models,
        figures={figure: names[figure] for figure in order},
        decisions=decided_last,
        history=history[: -ENTRIES - 1 : -1],
        problem=_problem(live, standings),
        newer=sum(one is None for one in (*past, *decided)) + sum(one.newer for one in standings.values()),
        compared=_compared(cache, name, decided_last),
    )


def find_model(cache: ResultCache, name: str, model: str) -> Manifest:
    """A model of a channel by its id, or the first digits of that. Raises InputError where there is none."""
    model = whole_id(cache.session.store, model, f"models/{name}", what="model")
    key = f"models/{name}/{model}/manifest.json"
    if name not in list_channels(cache) or cache.session.store.head(key) is None:
        raise InputError(f"There is no model {model} in channel {name}.")
    return cache.manifest(key)


def read_page(cache: ResultCache, name: str, model: str) -> bytes:
    """The evaluation page of a model. Raises InputError where it has none."""
    return manifest.read_file(cache.session.store, find_model(cache, name, model), PAGE)


def read_card(cache: ResultCache, name: str, model: str) -> str:
    """The model card, Markdown. Raises InputError where the model has none."""
    return manifest.read_file(cache.session.store, find_model(cache, name, model), CARD).decode()


def read_comparison(cache: ResultCache, name: str, model: str, file: str) -> bytes:
    """A file of the comparison of a model with the one that was live at its newest decision that has one.

    It is by the rules of that decision: other rules may come to another one.

    Raises:
        InputError: there is no such model, or no comparison of it.
    """
    found, store = find_model(cache, name, model), cache.session.store
    decided = read_all(cache, f"channels/{name}/decisions", parse_decision, passed_over=InputError)
    for one in reversed(decided):
        if one is None or one["model"] != found.key or not one["champion"]:
            continue
        with contextlib.suppress(MissingError):  # nobody has made it, or gc has deleted it
            key = comparison.comparison_key(found.partition, one, today=cache.session.config.gate)
            return manifest.read_file(store, manifest.read(store, key), file)
    raise InputError(
        f"The gate has compared model {model} with none, or `carpipe gc` has deleted the page. "
        f"`carpipe weights compare {name} {model} --out comparison.html` writes one to your disk."
    )


def read_comparison_card(cache: ResultCache, name: str, model: str) -> str:
    """The comparison for the model card, Markdown; empty where there is none."""
    try:
        return read_comparison(cache, name, model, comparison.CARD).decode()
    except InputError:
        return ""


def _compared(cache: ResultCache, name: str, decided: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """By model, its newest decision whose comparison is there."""
    config = cache.session.config
    sections = {config.classifier.channel: "classifier", config.car_filter.channel: "car_filter"}
    if name not in sections or not any(one["champion"] for one in decided):
        return {}
    there = {*cache.session.store.list_folders(f"stages/{results.COMPARISON}/{sections[name]}")}
    found: dict[str, Mapping[str, Any]] = {}
    for one in decided:
        key = comparison.comparison_key(sections[name], one, today=config.gate)
        if one["champion"] and key.rpartition("/")[0] in there:
            found.setdefault(one["model"], one)
    return found


def _history(past: Sequence[Release | None], live: Release | None) -> list[Release]:
    """Every release, oldest first."""
    found = sorted((release for release in past if release), key=lambda release: release.generation)
    # The entry of a release is written right after it; its writer may have died in between.
    return [*found, live] if live and live not in found else found


def _problem(live: Release | None, standings: Mapping[str, Standing]) -> str:
    if live is None:
        return ""
    standing = standings.get(live.model)
    if standing is None or not (standing.model or standing.problem or standing.newer):
        return f"{live.model} is gone."
    return standing.problem


def _models(
    cache: ResultCache,
    infos: Sequence[ObjectInfo],
    standings: Mapping[str, Standing],
    live: Release | None,
    history: list[Release],
) -> Iterator[ModelColumn]:
    """The live model, then the newest, but for those that cannot be read."""
    before = {release.model for release in history}
    for info in infos[:COLUMNS]:
        standing = standings[info.key]
        if (done := standing.model) is None:
            continue
        yield ModelColumn(
            id=info.key.split("/")[2],
            key=info.key,
            made=info.minute,
            live=bool(live and live.model == info.key),
            was_live=info.key in before,
            classes=len(done.extra["classes"]),
            dataset=done.extra["dataset"],
            metrics=done.extra["metrics"],
            has_page=PAGE in done.files,
            manifest_sha256=standing.sha256,
            maker=standing.maker,
            problem=standing.problem,
            cost=cache.get(("cost", info.key), partial(say_cost, cache.session, done, model_cost)),
        )
