"""The client for apps that use the weights: follow a channel, download, verify, predict.

    from carpipe.weights.client import open_channel

    model = open_channel("s3://my-bucket/cars", "classifier")
    [answer] = model.answer([crop_as_jpeg])
    print(answer.name, answer.score, answer.sure, answer.known)

Needs the extra `client` only: no TensorFlow, no Airflow. Every file is held against the sha256 of the model's
manifest, whether downloaded or cached, the manifest against the sum that the release names, and the golden pictures are
replayed before a model is handed out. Who wants models of known makers only says so, and needs the extra `signing` too.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from carpipe.config import SigningConfig, StoreConfig
from carpipe.errors import CarpipeError, ConfigError, InputError, MissingError, UnavailableError, explain_os_error
from carpipe.names import shown
from carpipe.storage import Store
from carpipe.weights import contract, signing
from carpipe.weights.cache import Cache, model_id
from carpipe.weights.channel import Committed, Release, live_channels, read_channel, read_known, read_released
from carpipe.weights.golden import replay
from carpipe.weights.model import Answer as Answer  # apps look for it here
from carpipe.weights.model import Model as Model
from carpipe.weights.runtime import LIKENESS, VIEWS, YEAR, Network
from carpipe.weights.signatures import InBucket, InFolder, Signature

log = logging.getLogger(__name__)


def open_channel(
    url: str,
    channel: str = "classifier",
    *,
    endpoint: str = "",
    ca_bundle: str = "",
    cache: Path | str | None = None,
    offline_ok: bool = False,
    trusted: Sequence[Path | str] = (),
    require_signature: bool | None = None,
    accept_unsigned: Sequence[str] = (),
) -> Model:
    """The live model of a channel, by the bucket's address; credentials are those of the AWS chain.

    Args:
        url: `s3://bucket/prefix`.
        endpoint: URL of the S3 server; empty: AWS, or AWS_ENDPOINT_URL.
        ca_bundle: PEM file of authorities to trust beside the system's.
        cache, offline_ok: as in `pull`, which also says what is raised.
        trusted: PEM files of the public keys and authorities whose signatures count.
        require_signature: refuse models that none of them has signed; None: where any are given.
        accept_unsigned: models that need no signature, as in the setting `signing.accept_unsigned`.
    """
    try:
        # An app that starts should not hang for minutes where the store is away.
        config = StoreConfig(url=url, endpoint=endpoint, ca_bundle=ca_bundle, max_retries=3, timeout_s=30)
    except ValidationError as error:
        said = "; ".join(str(problem["msg"]) for problem in error.errors())
        raise InputError(f"{url!r} is no address of a bucket, such as s3://my-bucket/cars: {said}.") from None
    makers = _makers(tuple(map(str, trusted)), require=require_signature, accept=tuple(accept_unsigned))
    return pull(Store(config), channel, cache=cache, offline_ok=offline_ok, makers=makers)


def pull(
    store: Store,
    channel: str = "classifier",
    *,
    cache: Path | str | None = None,
    offline_ok: bool = False,
    detector: bool = False,
    makers: SigningConfig | None = None,
    streams: int = 1,
) -> Model:
    """The live model of a channel, downloaded, verified and loaded.

    Args:
        cache: folder that downloads are kept in, shared between processes; None: `~/.cache/carpipe`.
        offline_ok: go on with the model that was verified here last, where none can be had now: the store cannot be
            reached, lets nobody in, or its live model is incomplete, refused or of a later contract. `instead` of the
            model says why.
        detector: download the detector too, for those who cut photos themselves.
        makers: whose models are taken; None: anybody's.
        streams: calls at a time that its network is made for, see `carpipe.weights.runtime.Network`.

    Raises:
        InputError: nothing was published, the model is gone, tampered with, not signed as `makers` wants it or of a
            later contract, or it does not answer as it did when it was published; or the cache cannot be written.
        ConfigError: a trusted key cannot be read, or `model-signing` is not installed.
        AccessError, UnavailableError: the store lets nobody in, or cannot be reached, and may not be done without, or
            was never of use before.
    """
    kept = Cache(Path(cache or Path.home() / ".cache" / "carpipe"), store=store, channel=channel)
    try:
        take = partial(_load, kept, detector=detector, streams=streams)
        return _pull(kept, store, channel, offline_ok=offline_ok, take=take, makers=makers or SigningConfig())
    except OSError as error:
        raise InputError(
            f"The cache {cache or '~/.cache/carpipe'} cannot be used: {explain_os_error(error)}"
        ) from error


def _pull(
    kept: Cache, store: Store, channel: str, *, offline_ok: bool, take: Callable[..., Model], makers: SigningConfig
) -> Model:
    try:
        release, model = _live(store, channel)
        signature = _signature(model, InBucket(store, release.model), makers)
        loaded = take(release, model, signature=signature)
    except ConfigError:  # what is asked for is not possible, of whatever model
        raise
    except CarpipeError as error:
        known = kept.recall() if offline_ok else None
        if known is None:
            raise
        cached = _cached(kept, *known, take=take, makers=makers, instead=error)
        log.warning("channel %s: going on with %s as cached, for %s", channel, cached.id, error)
        return cached
    kept.remember(release, model, signature=(signature.file, signature.data) if signature else None)
    return loaded


def _cached(
    kept: Cache,
    release: Release,
    model: Committed,
    *,
    take: Callable[..., Model],
    makers: SigningConfig,
    instead: CarpipeError,
) -> Model:
    """The model that was verified last, verified again: others may write the cache.

    Raises:
        CarpipeError: it is of no use. What led here is raised, but for a store that is away: that will be back.
    """
    try:
        signature = _signature(model, InFolder(kept.folder_of(release.model)), makers)
        loaded = take(release, model, signature=signature)
    except CarpipeError:
        if isinstance(instead, UnavailableError):
            raise
        raise instead from None
    return replace(loaded, instead=str(instead))


def load(store: Store, key: str, *, cache: Path, makers: SigningConfig | None = None) -> Model:
    """A model by its manifest key, live or not, downloaded, verified and loaded; raises as `pull` does."""
    try:
        model = read_known(store, key)
    except MissingError:
        raise InputError(f"There is no model {shown(key)} in {store.url}.") from None
    contract.check_contract(model.manifest)
    signature = _signature(model, InBucket(store, key), makers or SigningConfig())
    channel = key.split("/")[1]
    release = Release(channel, 0, key, reason="", run="", at="")
    kept = Cache(cache, store=store, channel=channel)
    return _load(kept, release, model, detector=False, streams=1, signature=signature)


def _makers(trusted: tuple[str, ...], *, require: bool | None, accept: tuple[str, ...]) -> SigningConfig:
    try:
        require = bool(trusted) if require is None else require
        return SigningConfig(trusted=trusted, require=require, accept_unsigned=accept)
    except ValidationError as error:
        said = "; ".join(str(problem["msg"]) for problem in error.errors())
        raise ConfigError(f"What open_channel is told of signatures is not possible: {said}.") from None


def _signature(model: Committed, where: signing.Where, makers: SigningConfig) -> Signature | None:
    return signing.check_for_use(model, where, makers, use="is used")


def _live(store: Store, channel: str) -> tuple[Release, Committed]:
    release = read_channel(store, channel)
    if release is None:
        known = live_channels(store)
        there = f"; it has {', '.join(map(shown, known))}" if known else ""
        raise InputError(f"Nothing was ever published to channel {channel} in {store.url}{there}.")
    try:
        model = read_released(store, release)
    except MissingError:
        raise InputError(
            f"Channel {channel} names {release.model}, which is gone from {store.url}; promote another model."
        ) from None
    contract.check_contract(model.manifest)
    return release, model


def _load(
    cache: Cache,
    release: Release,
    committed: Committed,
    *,
    detector: bool,
    streams: int,
    signature: Signature | None,
) -> Model:
    model = committed.manifest
    try:
        folder = cache.fetch(model, contract.needed(model, detector=detector))
    except MissingError as error:
        raise InputError(f"{model.key} has lost a file: {error}") from None
    described = contract.describe(model, lambda name: cache.read(model, name))
    if detector and described.crop is None:
        raise InputError(f"Model {model_id(model.key)} does not say how photos are cut: it is no classifier of cars.")
    network = Network(folder / contract.NETWORK[0], streams=streams)
    golden = cache.read(model, contract.GOLDEN)
    said = ((LIKENESS, described.known), (YEAR, described.years), (VIEWS, described.views))
    beside = [name for name, there in said if there is not None]
    views = len(described.views.names) if described.views else 0
    deviation = replay(network, golden, classes=len(described.classes), side=described.side, beside=beside, views=views)
    log.info("channel %s generation %d: %s, golden pictures off by %.1g",
             release.channel, release.generation, model.key, deviation)  # fmt: skip
    return Model(
        channel=release.channel,
        generation=release.generation,
        id=model_id(model.key),
        classes=described.classes,
        side=described.side,
        temperature=described.temperature,
        threshold=described.threshold,
        folder=folder,
        crop=described.crop,
        known=described.known,
        years=described.years,
        views=described.views,
        members=described.members,
        deviation=deviation,
        signed_by=signature.by if signature else "",
        _network=network,
    )
