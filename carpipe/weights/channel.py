"""Channels: `channels/<name>/production.json` names the live model; `history/` keeps every change.

The one mutable key of the bucket. It is swapped with If-Match, `generation` + 1 each time, as a table
format commits: of two publishers one wins, the other reads again. The history entry of a generation is
written after the swap; should its writer die in between, the next one writes it first.
"""

import contextlib
from dataclasses import dataclass, field
from typing import Any

from carpipe import forms
from carpipe.errors import ConflictError, InputError
from carpipe.storage import Store


@dataclass(frozen=True)
class Release:
    """One state of a channel. `model` is the manifest key of the live model, `at` UTC in ISO 8601.

    `unknown` holds what a later version of carpipe has added.
    """

    channel: str
    generation: int
    model: str
    reason: str
    run: str
    at: str
    unknown: dict[str, Any] = field(default_factory=dict, compare=False)


def read_channel(store: Store, name: str) -> Release | None:
    """The live release, or None where nothing was ever published."""
    release, _ = _read(store, name)
    return release


def promote(
    store: Store, name: str, *, model: str, reason: str, run: str, at: str, expected: int | None = None
) -> Release:
    """Make a model the live one; nothing happens when it is already, or when this run has done so before.

    Args:
        expected: generation that the decision rests on, 0 for none; None: whatever is live.

    Raises:
        ConflictError: another publisher was faster; the channel holds its release.
        InputError: there is no such model, or another generation than the expected is live.
    """
    current, etag = _read(store, name)
    if current and current.model == model:
        _record(store, current)  # where the attempt that made it live was killed before it could
        return current
    generation = current.generation if current else 0
    # Where the expected generation is still live, this run cannot have moved it yet.
    done = _release_of(store, name, run=run, model=model) if generation != expected else None
    if done:  # a retry of a task whose swap succeeded, or a task that was frozen; somebody has moved on since
        return done
    if expected is not None and generation != expected:
        raise InputError(
            f"Channel {name} is at generation {generation}, the decision was made at {expected}: somebody has moved it "
            "since. Decide anew."
        )
    if store.head(model) is None:
        raise InputError(f"There is no model {model}; `carpipe weights list {name}` shows those there are.")
    if current:
        _record(store, current)
    release = Release(name, generation + 1, model, reason, run, at)
    data = forms.write(release)
    if etag is None:
        store.create(_key(name), data)
    else:
        store.replace(_key(name), data, etag=etag)
    _record(store, release)
    return release


def parse_release(data: bytes, *, key: str) -> Release:
    """A release from its JSON. Raises InputError where it is none, or one of a later form."""
    return forms.read(Release, data, key=key, what="a release of a channel")


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


def _release_of(store: Store, name: str, *, run: str, model: str) -> Release | None:
    return next((one for one in history(store, name) if (one.run, one.model) == (run, model)), None)


def _record(store: Store, release: Release) -> None:
    with contextlib.suppress(ConflictError):
        store.create(f"channels/{release.channel}/history/{release.generation:06d}.json", forms.write(release))


def _read(store: Store, name: str) -> tuple[Release | None, str | None]:
    info = store.head(_key(name))
    if info is None:
        return None, None
    # A swap between the two requests makes the etag stale, and a later If-Match fail: never a wrong write.
    return parse_release(store.get(info.key), key=info.key), info.etag


def _key(name: str) -> str:
    return f"channels/{name}/production.json"
