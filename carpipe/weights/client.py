"""The client for apps that use the weights: follow a channel, download, verify, predict.

    from carpipe.weights.client import open_channel

    model = open_channel("s3://my-bucket/cars", "classifier")
    [answer] = model.answer([crop_as_jpeg])
    print(answer.name, answer.score, answer.sure)

Needs the extra `client` only: no TensorFlow, no Airflow. Every file is held against the sha256 of the model's
manifest, whether downloaded or cached, and the golden pictures are replayed before a model is handed out.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from pydantic import ValidationError

from carpipe import manifest
from carpipe.config import StoreConfig
from carpipe.errors import InputError, MissingError, UnavailableError, explain_os_error
from carpipe.manifest import Manifest
from carpipe.pictures.model_input import Pixels, to_batch
from carpipe.probabilities import Probabilities, calibrate
from carpipe.storage import Store
from carpipe.weights import contract
from carpipe.weights.cache import Cache, model_id
from carpipe.weights.channel import Release, read_channel
from carpipe.weights.contract import CropPolicy
from carpipe.weights.runtime import Network, replay

log = logging.getLogger(__name__)

TOP = 5


@dataclass(frozen=True)
class Answer:
    """What a model says of one picture. Scores are calibrated probabilities; `top` holds the five best.

    `sure` is whether the best score reaches the model's threshold.
    """

    name: str
    score: float
    sure: bool
    top: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Model:
    """A verified model, ready to predict. Immutable, and safe to share between threads.

    Attributes:
        channel, generation: the release that named it.
        id: of the model; two models with one id are the same.
        classes: names in the order of the output.
        side: pixels of the square that pictures are stretched to.
        temperature, threshold: calibration; see `contract`.
        folder: its files on local disk.
        crop: how photos are cut before; None where the model takes whole photos.
        deviation: how far its answers on the golden pictures are off, at worst.
    """

    channel: str
    generation: int
    id: str
    classes: tuple[str, ...]
    side: int
    temperature: float
    threshold: float
    folder: Path
    crop: CropPolicy | None
    deviation: float
    _network: Network = field(repr=False, compare=False)

    def predict(self, pictures: Pixels) -> Probabilities:
        """Calibrated probabilities, float32 (n, classes), of pictures uint8 (n, side, side, 3) in RGB.

        Raises:
            InputError: the pictures have another type or shape.
        """
        expected = (self.side, self.side, 3)
        if pictures.dtype != np.uint8 or pictures.shape[1:] != expected:
            raise InputError(f"The model takes uint8 (n, {self.side}, {self.side}, 3), not {_shape(pictures)}.")
        if not len(pictures):
            return np.zeros((0, len(self.classes)), np.float32)
        return calibrate(self._network.predict(pictures), self.temperature)

    def answer(self, crops: Sequence[bytes]) -> list[Answer]:
        """The five best classes of each picture, given as JPEG and cut as `crop` says.

        Raises:
            InputError: one of them is no JPEG.
        """
        if not crops:
            return []
        try:
            pictures = to_batch(crops, self.side)
        except UnidentifiedImageError:
            raise InputError("A picture cannot be decoded as JPEG: it is none.") from None
        except (OSError, Image.DecompressionBombError) as error:
            raise InputError(f"A picture cannot be decoded as JPEG: {error}.") from None
        return [self.describe(row) for row in self.predict(pictures)]

    def describe(self, probabilities: Probabilities) -> Answer:
        """Name the best of one row of probabilities."""
        best = np.argsort(-probabilities, kind="stable")[:TOP]
        top = tuple((self.classes[number], float(probabilities[number])) for number in best)
        return Answer(*top[0], sure=top[0][1] >= self.threshold, top=top)


def open_channel(
    url: str,
    channel: str = "classifier",
    *,
    endpoint: str = "",
    ca_bundle: str = "",
    cache: Path | str | None = None,
    offline_ok: bool = False,
) -> Model:
    """The live model of a channel, by the bucket's address; credentials are those of the AWS chain.

    Args:
        url: `s3://bucket/prefix`.
        endpoint: URL of the S3 server; empty: AWS, or AWS_ENDPOINT_URL.
        ca_bundle: PEM file of authorities to trust beside the system's.
        cache, offline_ok: as in `pull`, which also says what is raised.
    """
    try:
        # An app that starts should not hang for minutes where the store is away.
        config = StoreConfig(url=url, endpoint=endpoint, ca_bundle=ca_bundle, max_retries=3, timeout_s=30)
    except ValidationError as error:
        said = "; ".join(str(problem["msg"]) for problem in error.errors())
        raise InputError(f"{url!r} is no address of a bucket, such as s3://my-bucket/cars: {said}.") from None
    return pull(Store(config), channel, cache=cache, offline_ok=offline_ok)


def pull(
    store: Store,
    channel: str = "classifier",
    *,
    cache: Path | str | None = None,
    offline_ok: bool = False,
    detector: bool = False,
) -> Model:
    """The live model of a channel, downloaded, verified and loaded.

    Args:
        cache: folder that downloads are kept in, shared between processes; None: `~/.cache/carpipe`.
        offline_ok: go on with the model that was live last time when the store cannot be reached.
        detector: download the detector too, for those who cut photos themselves.

    Raises:
        InputError: nothing was published, the model is gone, tampered with or of a later contract, or it
            does not answer as it did when it was published; or the cache cannot be written.
        UnavailableError: the store cannot be reached, and may not be done without, or was never reached before.
    """
    kept = Cache(Path(cache or Path.home() / ".cache" / "carpipe"), store=store, channel=channel)
    try:
        return _pull(kept, store, channel, offline_ok=offline_ok, detector=detector)
    except OSError as error:
        raise InputError(
            f"The cache {cache or '~/.cache/carpipe'} cannot be used: {explain_os_error(error)}"
        ) from error


def _pull(kept: Cache, store: Store, channel: str, *, offline_ok: bool, detector: bool) -> Model:
    try:
        release, model = _live(store, channel)
        loaded = _load(kept, release, model, detector=detector)
    except UnavailableError as error:
        known = kept.recall() if offline_ok else None
        if known is None:
            raise
        loaded = _load(kept, *known, detector=detector)
        log.warning("channel %s: going on with %s as cached, for %s", channel, loaded.id, error)
        return loaded
    kept.remember(release, model)
    return loaded


def load(store: Store, key: str, *, cache: Path) -> Model:
    """A model by its manifest key, live or not, downloaded, verified and loaded; raises as `pull` does."""
    try:
        model = manifest.read(store, key)
    except MissingError:
        raise InputError(f"There is no model {key} in {store.url}.") from None
    contract.check_contract(model)
    channel = key.split("/")[1]
    release = Release(channel, 0, key, reason="", run="", at="")
    return _load(Cache(cache, store=store, channel=channel), release, model, detector=False)


def _live(store: Store, channel: str) -> tuple[Release, Manifest]:
    release = read_channel(store, channel)
    if release is None:
        known = sorted(folder.split("/")[1] for folder in store.list_folders("channels"))
        there = f"; it has {', '.join(known)}" if known else ""
        raise InputError(f"Nothing was ever published to channel {channel} in {store.url}{there}.")
    try:
        model = manifest.read(store, release.model)
    except MissingError:
        raise InputError(
            f"Channel {channel} names {release.model}, which is gone from {store.url}; promote another model."
        ) from None
    contract.check_contract(model)
    return release, model


def _load(cache: Cache, release: Release, model: Manifest, *, detector: bool) -> Model:
    try:
        folder = cache.fetch(model, contract.needed(model, detector=detector))
    except MissingError as error:
        raise InputError(f"{model.key} has lost a file: {error}") from None
    described = contract.describe(model, lambda name: (folder / name).read_bytes())
    network = Network(folder / contract.NETWORK[0])
    golden = (folder / contract.GOLDEN).read_bytes()
    deviation = replay(network, golden, classes=len(described.classes))
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
        deviation=deviation,
        _network=network,
    )


def _shape(pictures: Pixels) -> str:
    return json.dumps([str(pictures.dtype), list(pictures.shape)])
