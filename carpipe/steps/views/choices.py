"""What a person may choose in a form: datasets, models and channels, each with what tells it from the others.

The newest come first. What cannot be shown, as of a later version, is no choice.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest
from carpipe.steps.cache import ResultCache
from carpipe.steps.views.channels import list_channels
from carpipe.steps.views.extra import check_shown
from carpipe.weights.channel import read_channel

MOST = 20  # datasets, and models of a channel
SHORT = 8  # digits of an id that are shown


@dataclass(frozen=True)
class Choice:
    """`value` is an id, a key or a name; `label` is for people."""

    value: str
    label: str


def dataset_choices(cache: ResultCache) -> list[Choice]:
    """The newest datasets by id, as `27 Nov 15:39, 918 photos (ce749f44)`; UTC."""
    return [
        Choice(_id(done), f"{when}, {done.counts['kept']:,} photos ({_id(done)[:SHORT]})")
        for when, done in _newest(cache, "datasets")
    ]


def model_choices(cache: ResultCache) -> list[Choice]:
    """The newest models of each channel by key, as `classifier: 27 Nov 15:39, 91.2 % right (ce749f44), live`; UTC."""
    return [choice for name in list_channels(cache) for choice in _models(cache, name)]


def channel_choices(cache: ResultCache) -> list[Choice]:
    """All channels, the configured ones first."""
    return [Choice(name, name) for name in list_channels(cache)]


def _models(cache: ResultCache, channel: str) -> Iterator[Choice]:
    live = None
    with contextlib.suppress(InputError):  # of a later version
        live = read_channel(cache.session.store, channel)
    for when, done in _newest(cache, f"models/{channel}"):
        accuracy = done.extra["metrics"].get("test_accuracy")
        right = f", {100 * accuracy:.1f} % right" if isinstance(accuracy, int | float) else ""
        now = ", live" if live and live.model == done.key else ""
        yield Choice(done.key, f"{channel}: {when}{right} ({_id(done)[:SHORT]}){now}")


def _newest(cache: ResultCache, home: str) -> Iterator[tuple[str, Manifest]]:
    year = None
    for info in cache.manifests(home, most=MOST):
        with contextlib.suppress(InputError, MissingError):  # of a later version; deleted since
            done = check_shown(cache.manifest(info.key))
            year = year or (info.modified.year if info.modified else None)
            yield _when(info.modified, year), done


def _when(at: datetime | None, year: int | None) -> str:
    """To the minute; the year only where it is not that of the newest."""
    if at is None:
        return "at an unknown time"
    return f"{at.day} {at:%b %H:%M}" if at.year == year else f"{at.day} {at:%b %Y %H:%M}"


def _id(done: Manifest) -> str:
    return done.key.split("/")[-2]
