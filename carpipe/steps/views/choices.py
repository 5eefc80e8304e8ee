"""What a person may choose in a form: datasets, models and channels, each with what tells it from the others.

The newest come first. What cannot be shown, as of a later version, is no choice.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from carpipe.called import call
from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest
from carpipe.steps.cache import ResultCache
from carpipe.steps.models.score_log import accuracy_of
from carpipe.steps.views.channels import list_channels
from carpipe.steps.views.extra import check_shown
from carpipe.weights.channel import read_channel

MOST = 20  # datasets, and models of a channel


@dataclass(frozen=True)
class Choice:
    """`value` is an id, a key or a name; `label` is for people."""

    value: str
    label: str


def dataset_choices(cache: ResultCache) -> list[Choice]:
    """The newest datasets by id, as `27 Nov 2026 15:39, 918 photos (ce749f44)`; UTC."""
    return [
        Choice(named.id, f"{named.name} ({named.short})")
        for done, at in _newest(cache, "datasets")
        for named in [call(done.key, at, done.counts["kept"])]
    ]


def model_choices(cache: ResultCache) -> list[Choice]:
    """The newest models of each channel by key, as `classifier: 27 Nov 2026 15:39, top-1 91.2 % (ce749f44), live`."""
    return [choice for name in list_channels(cache) for choice in _models(cache, name)]


def channel_choices(cache: ResultCache) -> list[Choice]:
    """All channels, the configured ones first."""
    return [Choice(name, name) for name in list_channels(cache)]


def _models(cache: ResultCache, channel: str) -> Iterator[Choice]:
    live = None
    with contextlib.suppress(InputError):  # of a later version
        live = read_channel(cache.session.store, channel)
    for done, at in _newest(cache, f"models/{channel}"):
        named, top1 = call(done.key, at), accuracy_of(done)
        right = f", top-1 {100 * top1:.1f} %" if top1 is not None else ""
        now = ", live" if live and live.model == done.key else ""
        yield Choice(done.key, f"{channel}: {named.name}{right} ({named.short}){now}")


def _newest(cache: ResultCache, home: str) -> Iterator[tuple[Manifest, datetime | None]]:
    for info in cache.manifests(home, most=MOST):
        with contextlib.suppress(InputError, MissingError):  # of a later version; deleted since
            yield check_shown(cache.manifest(info.key)), info.modified
