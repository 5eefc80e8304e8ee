"""Published models, for people: what there is, what is live, what the gate said."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from carpipe.errors import InputError
from carpipe.figures import figure, label
from carpipe.manifest import Manifest
from carpipe.names import counted, shown
from carpipe.steps import bundles
from carpipe.steps.models.decisions import decisions
from carpipe.steps.models.score_log import scores
from carpipe.steps.models.weights import find_committed
from carpipe.steps.session import Session
from carpipe.steps.viewpoints.store import current_views
from carpipe.steps.views.extra import check_shown
from carpipe.weights import channel, contract

log = logging.getLogger(__name__)

_OUTCOMES = {"publish": "the gate let it pass", "ask": "the gate asked a person", "refuse": "refused"}
_UNASKED = "the gate was not asked"


def list_weights(session: Session, name: str) -> str:
    """The channel's history, and the models that were never live."""
    releases = bundles.history(session, name)
    packaged = session.store.list_folders(f"models/{name}")
    if not releases and not packaged:
        known = (session.config.classifier.channel, session.config.car_filter.channel)
        if name in known:
            return f"Channel {name} has no models yet."
        raise InputError(f"There are no models for channel {name}; the channels are {' and '.join(known)}.")
    lines = [f"{'':>4}  {'when':<20}  model, run, reason"]
    for one in releases:
        texts = f"{one.at:<20}  {one.model}  {one.run}  {one.reason}"
        lines += [f"{one.generation:>4}  {shown(texts)}"]
    live = {release.model for release in releases}
    never = [f"{folder}/manifest.json" for folder in packaged if f"{folder}/manifest.json" not in live]
    said = last_said(session, name)
    lines += [f"{'':>4}  {'never live':<20}  {shown(f'{key}  {said.get(key, _UNASKED)}')}" for key in never]
    return "\n".join(lines)


def last_said(session: Session, name: str) -> dict[str, str]:
    """By model, what the gate said of it when it was last asked and had something to decide."""
    found = {}
    for entry in decisions(session, name, passed_over=InputError):
        if entry["outcome"] in _OUTCOMES:
            found[entry["model"]] = f"{_OUTCOMES[entry['outcome']]} {entry['at']}: {entry['reasons'][0]}"
    return found


def show_weights(session: Session, name: str, model: str | None) -> str:
    """Figures of a model, what it answered on newer listings, and every decision about it.

    Args:
        model: id or manifest key; None means the live one.

    Raises:
        InputError: there is no such model, or its manifest lacks what is shown. An odd decision costs itself only.
    """
    committed = find_committed(session, name, model)
    found = check_shown(committed.manifest)
    current = channel.read_channel(session.store, name)
    extra = found.extra
    state = f"live, generation {current.generation}" if current and current.model == found.key else "not live"
    lines = [found.key, f"  {state}", shown(f"  {len(extra['classes'])} classes, trained on {extra['dataset']}")]
    lines += [f"  manifest sha256 {committed.sha256}"]
    lines += [shown(f"  {label(key):<30} {figure(value)}") for key, value in extra["metrics"].items()]
    if name == session.config.car_filter.channel:
        lines += [f"  {sentence}" for sentence in _views(session, found)]
    lines += [shown(_answered(entry)) for entry in scores(session, name) if entry["model"] == found.key]
    for entry in decisions(session, name, passed_over=InputError):
        if entry["model"] == found.key:
            lines += map(shown, _said(entry))
    return "\n".join(lines)


def _views(session: Session, model: Manifest) -> Iterator[str]:
    """Why a car filter tells no views, where people have labelled some."""
    if contract.VIEWS in model.files:
        return
    try:
        labels = len(current_views(session))
    except InputError as error:
        log.warning("%s", error)
        return
    if labels:
        from carpipe.evaluation.viewpoints import told_enough

        yield f"views: it tells none. {counted(labels, 'photo')} {'has' if labels == 1 else 'have'} a view label now."
        yield told_enough()


def _answered(entry: Mapping[str, Any]) -> str:
    """On listings that came after the model."""
    if not entry["photos"]:
        return f"newest listings, {entry['at']}: none that counts"
    return (
        f"newest listings, {entry['at']}: {100 * entry['accuracy']:.1f} % of {entry['photos']:,} photos of "
        f"{entry['listings']:,} listings right ({100 * entry['low']:.1f} to {100 * entry['high']:.1f} %)"
    )


def _said(entry: Mapping[str, Any]) -> Iterator[str]:
    yield f"gate, {entry['at']}, run {entry['run']}: {entry['outcome']}"
    yield from (f"  {reason}" for reason in entry["reasons"])
    yield from (f"  check {check['name']}: {check['message']}" for check in entry["checks"])
