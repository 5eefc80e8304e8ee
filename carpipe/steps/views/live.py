"""What is live in each channel, and since when."""

import contextlib
from dataclasses import dataclass

from carpipe.backports import from_iso
from carpipe.called import Called, call, moment
from carpipe.errors import InputError, MissingError
from carpipe.steps.cache import ResultCache
from carpipe.steps.models.score_log import accuracy_of
from carpipe.steps.views.channels import list_channels
from carpipe.weights.channel import Release, read_channel


@dataclass(frozen=True)
class Live:
    """A channel's live model: since when, why, and its top-1 where it says so; `model` is None where none is live.

    `problem` says why that cannot be told.
    """

    channel: str
    model: Called | None = None
    since: str = ""
    generation: int = 0
    reason: str = ""
    top1: float | None = None
    problem: str = ""


def show_live(cache: ResultCache) -> list[Live]:
    """All channels, the configured ones first."""
    return [_of_channel(cache, name) for name in list_channels(cache)]


def _of_channel(cache: ResultCache, name: str) -> Live:
    try:
        return _live(cache, name, read_channel(cache.session.store, name))
    except InputError as error:  # of a later version, or odd
        return Live(name, problem=str(error))


def _live(cache: ResultCache, name: str, release: Release | None) -> Live:
    if release is None:
        return Live(name)
    top1 = None
    with contextlib.suppress(MissingError, InputError):  # the page Weights says what is wrong with it
        top1 = accuracy_of(cache.manifest(release.model))
    try:
        since = from_iso(release.at)
    except ValueError:  # put there by hand
        return Live(name, call(release.model, None), release.at, release.generation, release.reason, top1)
    return Live(name, call(release.model, since), moment(since), release.generation, release.reason, top1)
