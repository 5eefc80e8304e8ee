"""Published models, for people: what there is, what is live, what the gate said; and a copy on disk."""

import tempfile
from pathlib import Path

from carpipe import manifest
from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest
from carpipe.steps import results
from carpipe.steps.models.gate import decisions
from carpipe.steps.session import Session
from carpipe.weights import channel
from carpipe.weights.card import show_figure


def list_weights(session: Session, name: str) -> str:
    """The channel's history, and the models that were never live."""
    releases = channel.history(session.store, name)
    packaged = session.store.list_folders(f"models/{name}")
    if not releases and not packaged:
        known = (session.config.classifier.channel, session.config.car_filter.channel)
        if name in known:
            return f"Channel {name} has no models yet."
        raise InputError(f"There are no models for channel {name}; the channels are {' and '.join(known)}.")
    lines = [f"{'':>4}  {'when':<20}  model, run, reason"]
    lines += [f"{one.generation:>4}  {one.at:<20}  {one.model}  {one.run}  {one.reason}" for one in releases]
    live = {release.model for release in releases}
    never = [f"{folder}/manifest.json" for folder in packaged if f"{folder}/manifest.json" not in live]
    lines += [f"{'':>4}  {'never live':<20}  {key}" for key in never]
    return "\n".join(lines)


def show_weights(session: Session, name: str, model: str | None) -> str:
    """Figures of a model, and every decision about it.

    Args:
        model: id or manifest key; None means the live one.
    """
    found = find_model(session, name, model)
    current = channel.read_channel(session.store, name)
    state = f"live, generation {current.generation}" if current and current.model == found.key else "not live"
    lines = [found.key, f"  {state}", f"  {len(found.extra['classes'])} classes, trained on {found.extra['dataset']}"]
    lines += [f"  {key:<30} {show_figure(value)}" for key, value in found.extra["metrics"].items()]
    for entry in decisions(session, name):
        if entry["model"] == found.key:
            lines += [f"gate, {entry['at']}, run {entry['run']}: {entry['outcome']}"]
            lines += [f"  {reason}" for reason in entry["reasons"]]
            lines += [f"  check {check['name']}: {check['message']}" for check in entry["checks"]]
    return "\n".join(lines)


def pull_weights(session: Session, name: str, model: str | None, *, folder: Path) -> Path:
    """Copy all files of a model into a folder of its id, every one checked; returns it.

    Raises:
        InputError: a file is not what was published, or the folder exists.
    """
    found = find_model(session, name, model)
    target = folder / found.key.split("/")[2]
    if target.exists():
        raise InputError(f"{target} is there already; remove it, or name another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".carpipe-", dir=folder) as scratch:
        part = Path(scratch) / target.name
        for file in found.files:
            results.place_in(part, file).write_bytes(manifest.read_file(session.store, found, file))
        part.rename(target)  # whole, or not at all
    return target


def find_model(session: Session, name: str, model: str | None) -> Manifest:
    """A model of a channel by id or manifest key; None means the live one.

    Raises:
        InputError: there is none.
    """
    current = channel.read_channel(session.store, name)
    if model is None and current is None:
        raise InputError(f"Nothing is live in channel {name}.")
    key = key_of(name, model) if model else current.model if current else ""
    try:
        return manifest.read(session.store, key)
    except MissingError:
        raise InputError(f"There is no model {key}; `carpipe weights list {name}` shows those there are.") from None


def key_of(name: str, model: str) -> str:
    """The manifest key of a model's id; a key stays as it is."""
    return model if "/" in model else f"models/{name}/{model}/manifest.json"
