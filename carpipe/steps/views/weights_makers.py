"""For the page Weights: whether a model's manifest is the one that was published, and who has signed it."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from carpipe.errors import CarpipeError, InputError, MissingError
from carpipe.forms import LaterFormError
from carpipe.manifest import Manifest
from carpipe.steps.cache import AT_ONCE, ResultCache
from carpipe.steps.views.extra import check_shown
from carpipe.weights import signing
from carpipe.weights.channel import Committed, Release, check_pin, named, read_model, release_of
from carpipe.weights.signatures import InBucket, claims_of

# Seconds until a signature is looked at again that nobody has touched: its certificate may have ended.
AGAIN = 600


@dataclass(frozen=True)
class Standing:
    """A model as it lies in the bucket now.

    Attributes:
        model: its manifest; None where it cannot be read, or is gone.
        sha256: of the manifest; empty where there is none to be read.
        maker: who has signed it, in a few words.
        problem: why it is not to be used, a sentence; empty where it may be.
        newer: it may be a newer carpipe's, and is not understood.
    """

    model: Manifest | None
    sha256: str = ""
    maker: str = ""
    problem: str = ""
    newer: bool = False


def look_at(cache: ResultCache, models: Sequence[str], releases: Sequence[Release]) -> dict[str, Standing]:
    """How models stand, by manifest key. One listing each; they are read where something has changed.

    Args:
        releases: of the channel, oldest first.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = pool.map(lambda key: _standing(cache, key, release_of(releases, key)), models)
        return dict(zip(models, found, strict=True))


def _standing(cache: ResultCache, key: str, release: Release | None) -> Standing:
    home = key.rpartition("/")[0]
    seen = {info.key: info.etag for info in cache.session.store.list_usable(home)}
    state = tuple(sorted(item for item in seen.items() if item[0] == key or item[0].endswith(".sig")))
    pin = release.manifest_sha256 if release else ""
    place = ("standing", key, state, pin, int(time.monotonic() // AGAIN))
    standing: Standing = cache.get(place, lambda: _look(cache, key, release))
    return standing


def _look(cache: ResultCache, key: str, release: Release | None) -> Standing:
    try:
        model = read_model(cache.session.store, key)
    except LaterFormError:
        return Standing(None, newer=True)
    except MissingError:
        return Standing(None)
    except InputError as error:
        return Standing(None, problem=str(error))
    try:
        check_shown(model.manifest)
    except InputError as error:
        return Standing(None, problem=str(error), newer=True)
    try:
        if release:
            check_pin(model.data, key=key, sha256=release.manifest_sha256, by=named(release))
        return Standing(model.manifest, model.sha256, _maker(cache, model))
    except CarpipeError as error:
        return Standing(model.manifest, model.sha256, problem=str(error))


def _maker(cache: ResultCache, model: Committed) -> str:
    config, place = cache.session.config.signing, InBucket(cache.session.store, model.manifest.key)
    said: list[str] = []
    signature = signing.check(model, place, config, warn=said.append)
    if signature:
        return f"signed by {signature.by}"
    if said:
        return said[0]
    if config.trusted or config.require:
        return "not signed, and accepted"
    names = [claim.by if claim else "nobody knows whom" for claim in claims_of(place)]
    return f"says to be signed by {', '.join(names)}; no keys are trusted here to check it" if names else "not signed"
