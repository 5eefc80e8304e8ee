"""What the page Weights shows: channels, the candidate against the live model, models side by side, and the history.

All of it but the live release is written once, so a page costs five listings (channels; the channel's models, history,
decisions and comparisons), the live release, what is new since the last one, and one listing of each model that it
shows: somebody may have changed it. In what order they stand, manifests tell that have been read before.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from carpipe import manifest
from carpipe.called import Called, call, call_committed
from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest
from carpipe.steps import results
from carpipe.steps.cache import ResultCache
from carpipe.steps.models import comparison
from carpipe.steps.models.decisions import parse_decision
from carpipe.steps.models.evaluate import PAGE
from carpipe.steps.models.publish import release_before
from carpipe.steps.short_ids import whole_id
from carpipe.steps.views.candidate import Candidate, hold_against
from carpipe.steps.views.figures import Figure, ordered
from carpipe.steps.views.judged import compared_photos, judged_photos
from carpipe.steps.views.kept import read_all
from carpipe.steps.views.model_columns import Decision, ModelColumn, Sort, columns, in_order, newest_decisions
from carpipe.steps.views.weights_makers import Standing, look_at
from carpipe.storage import ObjectInfo
from carpipe.weights.channel import Release, parse_release, read_channel

COLUMNS = 6  # models side by side, and so many more at a time
MOST = 60  # of them on one page
ENTRIES = 40  # of the history, and of the decisions
DECIDED = 400  # newest decisions among which those about the models are looked for
CARD = "README.md"


@dataclass(frozen=True)
class ChannelView:
    """A channel in full.

    Attributes:
        channels: the names of all channels.
        live: what is live; None before anything was published.
        back: what a rollback goes back to; None where there is nothing, or a newer carpipe alone knows.
        candidate: the newest model that is not live; None where there is none that can be read.
        models: the live one, then the others in the order asked for; `packaged` is how many there are.
        figures: by its name in the metrics, every figure that a model of these has.
        decisions, history: the newest first; `released` is how many releases there are.
        called: names of models, by manifest key, of all that the page mentions.
        compared: by model, the decision whose comparison `read_comparison` has; of models that have one.
        judged: by model that a decision is about, the photos that it was judged on: how many, and the filters by which
            the page Photos shows them; of models of which it can. `compared_by`: by model and the one that it was held
            against, the same with what that answered.
        problem: why the live model is not to be used; empty where it may be.
        newer: how many models, decisions and releases only a newer carpipe understands.
    """

    name: str
    channels: list[str]
    live: Release | None
    back: Release | None
    candidate: Candidate | None
    models: list[ModelColumn]
    packaged: int
    figures: dict[str, Figure]
    decisions: list[Decision]
    history: list[Release]
    released: int
    called: Mapping[str, Called]
    problem: str
    newer: int
    compared: Mapping[str, Decision]
    judged: Mapping[str, tuple[int, str]]
    compared_by: Mapping[tuple[str, str], str]


def list_channels(cache: ResultCache) -> list[str]:
    """The configured channels, then others that there are."""
    config = cache.session.config
    known = [config.classifier.channel, config.car_filter.channel]
    found = [folder.split("/")[1] for folder in cache.session.store.list_folders("channels")]
    return [*known, *(name for name in found if name not in known)]


def show_channel(
    cache: ResultCache, name: str, *, most: int = COLUMNS, sort: Sort = "date", whole_history: bool = False
) -> ChannelView:
    """A channel by its name.

    Args:
        most: models side by side.
        sort: their order, behind the live one.
        whole_history: more than the newest releases.

    Raises:
        InputError: there is no such channel.
    """
    channels = list_channels(cache)
    if name not in channels:
        raise InputError(f"There is no channel {name}; the channels are {', '.join(channels)}.")
    live = read_channel(cache.session.store, name)
    past = read_all(cache, f"channels/{name}/history", parse_release)
    history = _history(past, live)
    # An odd decision costs itself only. A rollback goes by the history, so of that only what is newer is passed over.
    decided = read_all(cache, f"channels/{name}/decisions", parse_decision, newest=DECIDED, passed_over=InputError)
    known = [one for one in reversed(decided) if one is not None]
    infos = cache.manifests(f"models/{name}")
    found = _models(cache, infos, history, live, known, most=min(most, MOST), sort=sort)
    judged = _judged(cache, known[:ENTRIES])
    return ChannelView(
        name=name,
        channels=channels,
        live=live,
        back=release_before(history) if history and None not in past else None,
        candidate=found.candidate,
        models=found.shown,
        packaged=len(infos),
        figures=ordered(model.metrics for model in found.shown),
        decisions=known[:ENTRIES],
        history=history[::-1] if whole_history else history[: -ENTRIES - 1 : -1],
        released=len(history),
        called={info.key: call(info.key, info.modified) for info in infos},
        problem=_problem(live, found.standings),
        newer=sum(one is None for one in (*past, *decided)) + sum(one.newer for one in found.standings.values()),
        compared=_compared(cache, name, [*known[:ENTRIES], *_about(known[ENTRIES:], found)]),
        judged=judged,
        compared_by={
            (one["model"], one["champion"]): compared_photos(cache, cache.manifest(one["model"]), one["champion"])
            for one in known[:ENTRIES]
            if one["model"] in judged
        },
    )


@dataclass(frozen=True)
class _Models:
    """Those that a page shows, and how they stand, the live one among them."""

    candidate: Candidate | None
    shown: list[ModelColumn]
    standings: Mapping[str, Standing]


def _models(
    cache: ResultCache,
    infos: Sequence[ObjectInfo],
    history: Sequence[Release],
    live: Release | None,
    decided: Sequence[Decision],
    *,
    most: int,
    sort: Sort,
) -> _Models:
    key = live.model if live else ""
    shown = in_order(cache, infos, key, sort=sort)[:most]
    # Some more than one: the newest may be a newer carpipe's, or odd.
    others = [info for info in infos if info.key != key][:COLUMNS]
    wanted = {info.key: info for info in (*shown, *others)}
    standings = look_at(cache, [*wanted], history)
    made = columns(
        cache, [*wanted.values()], standings,
        live=key, before={release.model for release in history}, decisions=newest_decisions(decided),
    )  # fmt: skip
    found = {column.key: column for column in made}
    first = next((found[info.key] for info in others if info.key in found), None)
    order = [info.key for info in infos]
    newer = first is not None and (key not in order or order.index(first.key) < order.index(key))
    candidate = hold_against(first, found.get(key), newer=newer) if first else None
    return _Models(candidate, [found[info.key] for info in shown if info.key in found], standings)


def _about(decided: Sequence[Decision], found: _Models) -> Iterator[Decision]:
    """Those about models that are shown."""
    shown = {model.key for model in found.shown} | ({found.candidate.model.key} if found.candidate else set())
    return (one for one in decided if one["model"] in shown)


def call_model(done: Manifest) -> Called:
    """What people call a model."""
    return call_committed(done)


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


def _compared(cache: ResultCache, name: str, decided: Sequence[Decision]) -> dict[str, Decision]:
    """By model, its newest decision whose comparison is there."""
    config = cache.session.config
    sections = {config.classifier.channel: "classifier", config.car_filter.channel: "car_filter"}
    if name not in sections or not any(one["champion"] for one in decided):
        return {}
    there = {*cache.session.store.list_folders(f"stages/{results.COMPARISON}/{sections[name]}")}
    found: dict[str, Decision] = {}
    for one in decided:
        key = comparison.comparison_key(sections[name], one, today=config.gate)
        if one["champion"] and key.rpartition("/")[0] in there:
            found.setdefault(one["model"], one)
    return found


def _judged(cache: ResultCache, decided: Sequence[Decision]) -> dict[str, tuple[int, str]]:
    found = {}
    for key in dict.fromkeys(one["model"] for one in decided if one["model"]):
        with contextlib.suppress(InputError, MissingError):  # deleted since, or a newer carpipe's
            model = cache.manifest(key)
            if filters := judged_photos(cache, model):
                found[key] = (model.extra["metrics"]["test_photos"], filters)
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
