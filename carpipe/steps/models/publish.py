"""Publish: move a channel to a model, forward or back."""

import logging
import re
from collections.abc import Sequence

from carpipe.config import TrainingConfig
from carpipe.errors import InputError, MissingError
from carpipe.figures import figure, label
from carpipe.metrics import Metric
from carpipe.names import meant, shown
from carpipe.steps import bundles
from carpipe.steps.models.train import Model
from carpipe.steps.models.weights import key_of
from carpipe.steps.session import Session
from carpipe.weights import channel, contract, signing
from carpipe.weights.channel import Committed, Release
from carpipe.weights.signatures import InBucket

log = logging.getLogger(__name__)

_MODEL = re.compile(r"models/([^/]+)/[^/]+/manifest\.json")


def publish(
    session: Session,
    packaged: str,
    *,
    model: Model,
    reason: str,
    run: str,
    at: str,
    expected: int | None,
    manifest_sha256: str = "",
) -> Release:
    """Make a packaged model the channel's live one.

    Args:
        expected: generation of the channel that the gate looked at; None publishes over whatever is live.
        manifest_sha256: of the model's manifest that the gate judged; empty: a gate of an older carpipe did not say.

    Raises:
        ConflictError: another publisher was faster.
        InputError: that is no model of this channel, it is not signed as the settings want it, or somebody has moved
            the channel or changed the manifest since the gate looked; it must decide anew.
    """
    config: TrainingConfig = getattr(session.config, model)
    _check_channel(packaged, config.channel)
    found = _usable(session, packaged, config.channel)
    channel.check_pin(found.data, key=packaged, sha256=manifest_sha256, by="the gate's decision")
    release = channel.promote(
        session.store, config.channel, model=packaged, reason=reason, run=run, at=at, expected=expected,
        manifest_sha256=found.sha256,
    )  # fmt: skip
    log.info("publish %s: generation %d is %s", release.channel, release.generation, release.model)
    session.send(_generation(release))
    return release


def promote(
    session: Session, name: str, model: str, *, run: str, at: str, reason: str, manifest_sha256: str = ""
) -> Release:
    """Make any published model the live one of a channel, an older one too: a rollback.

    Args:
        model: manifest key, id, or the first digits of that.
        manifest_sha256: of the model's manifest that is meant; empty: as it is now, or as it was when it was live.

    Raises:
        InputError: the reason cannot be shown in one line, that is no model of this channel that apps can use, it is
            not signed as the settings want it, or its manifest is not what is meant.
    """
    channel.check_reason(reason)
    model_key = key_of(session, name, model)
    found = _usable(session, model_key, name)
    contract.check_contract(found.manifest)
    release = channel.promote(
        session.store, name, model=model_key, reason=reason, run=run, at=at,
        manifest_sha256=manifest_sha256 or found.sha256,
    )  # fmt: skip
    session.send(_generation(release))
    return release


def describe_release(session: Session, release: Release) -> str:
    """Channel, generation, model, the figures of its evaluation and the reason, as text for people."""
    figures = channel.read_released(session.store, release).manifest.extra.get("metrics", {})
    rows = [
        ("channel", f"{release.channel}, generation {release.generation}"),
        ("model", f"{session.store.url}/{release.model}"),
        ("figures", ", ".join(f"{label(name)} {figure(value)}" for name, value in figures.items()) or "none"),
        ("reason", release.reason),
        ("run", release.run),
    ]
    return "\n".join(f"{name + ':':<11} {shown(value)}" for name, value in rows)


def _generation(release: Release) -> list[Metric]:
    return [Metric("channel_generation", (release.channel,), release.generation)]


def rollback(session: Session, name: str, *, run: str, at: str, reason: str) -> Release:
    """Make the model live again that was so before the one that is, with the manifest that it had then.

    Raises:
        InputError: there is none, or as `promote`.
    """
    before = release_before(bundles.history(session, name))
    if before is None:
        raise InputError(f"Channel {name} has no earlier model to go back to.")
    return promote(session, name, before.model, run=run, at=at, reason=reason, manifest_sha256=before.manifest_sha256)


def release_before(history: Sequence[Release]) -> Release | None:
    """The release that a rollback goes back to, None where there is none.

    Args:
        history: of the channel, oldest first.
    """
    # Where the live model was live for the first time: going back twice goes back two models, not forth again.
    first = next((place for place, release in enumerate(history) if release.model == history[-1].model), 0)
    return history[first - 1] if first else None


def _usable(session: Session, model_key: str, name: str) -> Committed:
    """A model that may go live in a channel."""
    try:
        found = channel.read_model(session.store, model_key)
    except MissingError:
        raise InputError(
            f"There is no model {shown(model_key)}; `carpipe weights list {name}` shows those there are."
            f"{_alike(session, model_key, name)}"
        ) from None
    _check_channel(model_key, name)
    signing.check_for_use(
        found,
        InBucket(session.store, model_key),
        session.config.signing,
        use="goes live",
    )
    return found


def _check_channel(model_key: str, name: str) -> None:
    if not model_key.startswith(f"models/{name}/"):
        of = f" It is one of channel {shown(found[1])}." if (found := _MODEL.fullmatch(model_key)) else ""
        raise InputError(
            f"{shown(model_key)} is no model of channel {shown(name)}; its models lie under models/{shown(name)}/.{of}"
        )


def _alike(session: Session, model_key: str, name: str) -> str:
    """Which model of the channel may have been meant."""
    ids = [folder.rpartition("/")[2] for folder in session.store.list_folders(f"models/{name}")]
    return meant(model_key.removesuffix("/manifest.json").rpartition("/")[2], ids)
