"""Published models: found by channel and id, and copied to disk."""

import tempfile
from pathlib import Path

from carpipe import manifest
from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest
from carpipe.names import shown
from carpipe.steps import results
from carpipe.steps.session import Session
from carpipe.steps.short_ids import whole_key
from carpipe.weights import channel, signing
from carpipe.weights.channel import Committed
from carpipe.weights.signatures import InBucket


def pull_weights(session: Session, name: str, model: str | None, *, folder: Path) -> Path:
    """Copy all files of a model into a folder of its id, every one checked; returns it.

    Raises:
        InputError: a file is not what was published, the model is not signed as the settings want it, or the folder
            exists.
    """
    folder.mkdir(parents=True, exist_ok=True)
    committed = find_committed(session, name, model)
    signing.check_for_use(
        committed,
        InBucket(session.store, committed.manifest.key),
        session.config.signing,
        use="is downloaded",
    )
    found = committed.manifest
    target = folder / found.key.split("/")[2]
    if target.exists():
        raise InputError(f"{target} is there already; remove it, or name another folder.")
    with tempfile.TemporaryDirectory(prefix=".carpipe-", dir=folder) as scratch:
        part = Path(scratch) / target.name
        for file in found.files:
            results.place_in(part, file).write_bytes(manifest.read_file(session.store, found, file))
        part.rename(target)  # whole, or not at all
    return target


def find_model(session: Session, name: str, model: str | None) -> Manifest:
    """A model of a channel by manifest key, id or the first digits of that; None means the live one.

    Raises:
        InputError: there is none, or more than one, or its manifest is not what the channel means.
    """
    return find_committed(session, name, model).manifest


def find_committed(session: Session, name: str, model: str | None) -> Committed:
    """As `find_model`, with the bytes of the manifest."""
    current = channel.read_channel(session.store, name)
    if model is None and current is None:
        raise InputError(f"Nothing is live in channel {name}.")
    key = key_of(session, name, model) if model else current.model if current else ""
    try:
        return channel.read_known(session.store, key)
    except MissingError:
        raise InputError(
            f"There is no model {shown(key)}; `carpipe weights list {name}` shows those there are."
        ) from None


def key_of(session: Session, name: str, model: str) -> str:
    """The manifest key of a model of a channel, by its id or the first digits of that; a key stays as it is.

    Raises:
        InputError: several have such digits, or none.
    """
    return whole_key(session.store, model, f"models/{name}", what="model")
