"""Channels: `channels/<name>/production.json` names the live model; `history/` keeps every change.

The one mutable key of the bucket. It is swapped with If-Match, `generation` + 1 each time, as a table
format commits: of two publishers one wins, the other reads again. The history entry of a generation is
written after the swap; should its writer die in between, the next one writes it first.

A release says which manifest it means, by its sha256: who may write `models/`, and no more, cannot change what is
live. In its JSON that stands at the end of `reason`, since carpipe 0.1.0 refuses a release with a field more.
"""

import contextlib
import hashlib
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from pydantic import Field

from carpipe import forms, manifest
from carpipe.errors import ConflictError, InputError, MissingError
from carpipe.manifest import Manifest
from carpipe.names import brief, is_printable, shown
from carpipe.storage import Store

log = logging.getLogger(__name__)

_PIN = re.compile(r"(?P<reason>.*?) ?\[manifest sha256 (?P<sha256>[0-9a-f]{64})\]", re.DOTALL)


@dataclass(frozen=True)
class Release:
    """One state of a channel. `model` is the manifest key of the live model, `at` UTC in ISO 8601.

    `manifest_sha256` is of the bytes under that key; empty in releases of carpipe 0.1.0. `unknown` holds what a later
    version of carpipe has added.
    """

    channel: str
    generation: int
    model: str
    reason: str
    run: str
    at: str
    manifest_sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""
    unknown: dict[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Committed:
    """A model's manifest and the bytes that it was read from: what a release pins, and what is signed."""

    manifest: Manifest
    data: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def read_channel(store: Store, name: str) -> Release | None:
    """The live release, or None where nothing was ever published."""
    release, _ = _read(store, name)
    return release


def live_channels(store: Store) -> list[str]:
    """Names of the channels with a live release. A folder alone is none: a run that ended early may have left it."""
    names = sorted(folder.split("/")[1] for folder in store.list_folders("channels"))
    return [name for name, found in zip(names, store.heads(map(_key, names)), strict=True) if found]


def read_model(store: Store, key: str, *, sha256: str = "", by: str = "") -> Committed:
    """A model by its manifest key.

    Args:
        sha256: of the manifest that is meant; empty: whatever is there.
        by: who means it, for the message.

    Raises:
        MissingError: there is none.
        InputError: it is no manifest, or another one than is meant.
    """
    data = store.get(key)
    found = Committed(manifest.from_json(data, key=key), data)
    check_pin(data, key=key, sha256=sha256, by=by)
    return found


def read_released(store: Store, release: Release) -> Committed:
    """The model of a release. Raises as `read_model` does; that an old release pins none is logged."""
    match = re.fullmatch(r"models/([^/]+)/[\w-]+/manifest\.json", release.model)
    if not match or match[1] != release.channel:  # signed perhaps, and for something else
        raise InputError(
            f"'{brief(release.model)}', which {named(release)} names, is no model of this channel; its models lie at "
            f"models/{brief(release.channel)}/<id>/manifest.json."
        )
    if not release.manifest_sha256:
        _say_unpinned(release.channel, release.generation)
    return read_model(store, release.model, sha256=release.manifest_sha256, by=named(release))


def read_known(store: Store, key: str) -> Committed:
    """A model by its manifest key, live now or before or never: that which the channel's newest release of it means.

    Raises:
        MissingError, InputError: as `read_model`.
    """
    name = key.split("/")[1] if key.startswith("models/") and key.count("/") > 2 else ""
    release = read_channel(store, name) if name else None
    if release and release.model != key:
        release = release_of(history(store, name), key)
    return read_released(store, release) if release else read_model(store, key)


def check_pin(data: bytes, *, key: str, sha256: str, by: str) -> None:
    """Refuse bytes that are not those which a release means. Raises InputError."""
    found = hashlib.sha256(data).hexdigest()
    if sha256 and found != sha256:
        raise InputError(
            f"{shown(key)} is not the manifest that {by} means: expected sha256 {sha256[:16]}…, found {found[:16]}…. "
            "Somebody has changed it since. Put back what was there, or promote another model."
        )


def named(release: Release | None) -> str:
    """A release, for messages."""
    return f"generation {release.generation} of channel {brief(release.channel)}" if release else "nobody"


def check_reason(reason: str) -> None:
    """Refuse a reason that cannot be shown as it is in one line. Raises InputError."""
    if not is_printable(reason):
        raise InputError(
            f"A reason is one line without control characters, got '{brief(reason)}'. Write it without them."
        )


def release_of(releases: Sequence[Release], model: str) -> Release | None:
    """The newest of some releases, oldest first, that pins a model's manifest."""
    return next((one for one in reversed(releases) if one.model == model and one.manifest_sha256), None)


def promote(
    store: Store,
    name: str,
    *,
    model: str,
    reason: str,
    run: str,
    at: str,
    expected: int | None = None,
    manifest_sha256: str = "",
) -> Release:
    """Make a model the live one; nothing happens when it is already, or when this run has done so before.

    Args:
        expected: generation that the decision rests on, 0 for none; None: whatever is live.
        manifest_sha256: of the model's manifest that the decision rests on; empty: as it is now.

    Raises:
        ConflictError: another publisher was faster; the channel holds its release.
        InputError: there is no such model, its manifest is not what was decided about or what an earlier release of
            this model means, or another generation than the expected is live.
    """
    current, etag = _read(store, name)
    generation = current.generation if current else 0
    if done := _done_before(store, name, current, model=model, run=run, expected=expected):
        return done
    if expected is not None and generation != expected:
        raise InputError(
            f"Channel {name} is at generation {generation}, the decision was made at {expected}: somebody has moved it "
            "since. Decide anew."
        )
    sha256 = _pin_of(store, name, model, decided=manifest_sha256)
    if current:
        _record(store, current)
    release = Release(name, generation + 1, model, reason, run, at, sha256)
    _swap(store, release, etag)
    return release


def _done_before(
    store: Store, name: str, current: Release | None, *, model: str, run: str, expected: int | None
) -> Release | None:
    """The release that a promotion would make, where there is one: the model is live, or this run has promoted it."""
    if current and current.model == model and (current.manifest_sha256 or current.run == run):
        check_pin(_model_bytes(store, model), key=model, sha256=current.manifest_sha256, by=named(current))
        _record(store, current)  # where the attempt that made it live was killed before it could
        return current
    # Where the expected generation is still live, this run cannot have moved it yet.
    if expected == (current.generation if current else 0):
        return None
    # By a retry of a task whose swap succeeded, or a task that was frozen; somebody has moved on since.
    return _release_by(store, name, run=run, model=model)


def _swap(store: Store, release: Release, etag: str | None) -> None:
    """Make the release the live one, unless the channel has changed since it had this etag (None: was empty)."""
    if etag is None:
        store.create(_key(release.channel), to_json(release))
    else:
        store.replace(_key(release.channel), to_json(release), etag=etag)
    _record(store, release)


def parse_release(data: bytes, *, key: str) -> Release:
    """A release from its JSON. Raises InputError where it is none, or one of a later form."""
    release = forms.read(Release, data, key=key, what="a release of a channel")
    pinned = _PIN.fullmatch(release.reason)
    if not pinned:
        return release
    if release.manifest_sha256 not in ("", pinned["sha256"]):
        raise InputError(f"{key} is no release of a channel: it names two sums of one manifest.")
    return replace(release, reason=pinned["reason"], manifest_sha256=pinned["sha256"])


def to_json(release: Release) -> bytes:
    """What lies under a release's key: what carpipe 0.1.0 reads too."""
    pin = f" [manifest sha256 {release.manifest_sha256}]" if release.manifest_sha256 else ""
    return forms.write(replace(release, reason=release.reason + pin), without=("manifest_sha256",))


def history(store: Store, name: str) -> list[Release]:
    """Every release of the channel, oldest first."""
    keys = entries_in(store, f"channels/{name}/history")
    releases = [parse_release(data, key=key) for key, data in store.get_many(keys) if data is not None]
    current = read_channel(store, name)
    if current and current not in releases:
        releases.append(current)
    return sorted(releases, key=lambda release: release.generation)


def entries_in(store: Store, folder: str) -> list[str]:
    """Keys of the JSON objects right in a folder of a channel, in the order of their names; other files are none."""
    keys = (info.key for info in store.list_usable(folder))
    return sorted(key for key in keys if key.endswith(".json") and key.rpartition("/")[0] == folder)


def _pin_of(store: Store, name: str, model: str, *, decided: str) -> str:
    """The sha256 of a model's manifest, which is what was decided about, and what earlier releases mean."""
    data = _model_bytes(store, model)
    if before := release_of(history(store, name), model):
        check_pin(data, key=model, sha256=before.manifest_sha256, by=named(before))
    check_pin(data, key=model, sha256=decided, by="the decision to publish it")
    return hashlib.sha256(data).hexdigest()


def _model_bytes(store: Store, model: str) -> bytes:
    try:
        return store.get(model)
    except MissingError:
        channel = model.split("/")[1] if "/" in model else model
        raise InputError(
            f"There is no model {shown(model)}; `carpipe weights list {shown(channel)}` shows those there are."
        ) from None


_SAID: set[tuple[str, int]] = set()


def _say_unpinned(channel: str, generation: int) -> None:
    """Once in a process: an app looks every few seconds."""
    if (channel, generation) not in _SAID:
        _SAID.add((channel, generation))
        log.warning(
            "channel %s generation %d was published by an older carpipe and does not say which manifest it means; "
            "the next promotion will.", channel, generation,
        )  # fmt: skip


def _release_by(store: Store, name: str, *, run: str, model: str) -> Release | None:
    return next((one for one in history(store, name) if (one.run, one.model) == (run, model)), None)


def _record(store: Store, release: Release) -> None:
    with contextlib.suppress(ConflictError):
        store.create(f"channels/{release.channel}/history/{release.generation:06d}.json", to_json(release))


def _read(store: Store, name: str) -> tuple[Release | None, str | None]:
    info = store.head(_key(name))
    if info is None:
        return None, None
    # A swap between the two requests makes the etag stale, and a later If-Match fail: never a wrong write.
    release = parse_release(store.get(info.key), key=info.key)
    if release.channel != name:
        raise InputError(f"{info.key} is not a release of channel {name}: it is one of '{brief(release.channel)}'.")
    return release, info.etag


def _key(name: str) -> str:
    return f"channels/{name}/production.json"
