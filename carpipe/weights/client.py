"""The client for apps that use the weights: follow a channel, download, verify, predict.

    from carpipe.weights.client import open_channel

    model = open_channel("s3://my-bucket/cars", "classifier")
    [answer] = model.answer([crop_as_jpeg])
    print(answer.name, answer.score, answer.sure, answer.known)

Needs the extra `client` only: no TensorFlow, no Airflow. Every file is held against the sha256 of the model's
manifest, whether downloaded or cached, the manifest against the sum that the release names, and the golden pictures are
replayed before a model is handed out. Who wants models of known makers only says so, and needs the extra `signing` too.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError
from pydantic import ValidationError

from carpipe.config import SigningConfig, StoreConfig
from carpipe.errors import ConfigError, InputError, MissingError, UnavailableError, explain_os_error
from carpipe.familiarity import Numbers, Rule
from carpipe.names import shown
from carpipe.pictures.model_input import Pixels, to_batch
from carpipe.probabilities import Probabilities, calibrate
from carpipe.storage import Store
from carpipe.viewpoints import Told
from carpipe.weights import contract, signing
from carpipe.weights.cache import Cache, model_id
from carpipe.weights.channel import Committed, Release, read_channel, read_known, read_released
from carpipe.weights.contract import CropPolicy
from carpipe.weights.runtime import LIKENESS, VIEWS, YEAR, Network, replay
from carpipe.weights.signatures import InBucket, InFolder, Signature
from carpipe.years import YearRule

log = logging.getLogger(__name__)

TOP = 5


@dataclass(frozen=True)
class Answer:
    """What a model says of one picture. Scores are calibrated probabilities; `top` holds the five best.

    `sure` is whether the best score reaches the model's threshold. `known` is whether the picture shows a car of any of
    its classes: if not, the name means nothing, however high its score. `familiarity` is what that was decided by, in
    standard deviations: 0 is a photo of a known car as they are on average. Both are None where the model does not say.
    `years` are the first and the last year that the car is likely to be of; None where the model does not say, or where
    the car is not known.
    """

    name: str
    score: float
    sure: bool
    top: tuple[tuple[str, float], ...]
    known: bool | None = None
    familiarity: float | None = None
    years: tuple[int, int] | None = None


class Seen(NamedTuple):
    """What a model sees in n pictures: calibrated probabilities (n, classes), and (n,) what `describe` takes of each.

    `familiarity` and `newer` are None where the model does not say them.
    """

    probabilities: Probabilities
    familiarity: Numbers | None
    newer: Numbers | None


@dataclass(frozen=True)
class Model:
    """A verified model, ready to predict. Immutable, and safe to share between threads.

    Attributes:
        channel, generation: the release that named it.
        id: of the model; two models with one id are the same.
        classes: names in the order of the output.
        side: pixels of the square that pictures are stretched to.
        temperature, threshold: calibration; see `contract`.
        known: how cars that it knows are told from others; None: it does not say.
        years: how the years of a class are told; None: it does not say.
        views: from where photos show a car, as a car filter tells; None: it does not say.
        folder: its files on local disk.
        crop: how photos are cut before; None where the model takes whole photos.
        deviation: how far its answers on the golden pictures are off, at worst.
        signed_by: id of the trusted key that has signed it, with the name in its certificate; empty where none was
            asked for.
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
    known: Rule | None
    years: YearRule | None
    views: Told | None
    deviation: float
    signed_by: str
    _network: Network = field(repr=False, compare=False)

    def predict(self, pictures: Pixels) -> Probabilities:
        """Calibrated probabilities, float32 (n, classes), of pictures uint8 (n, side, side, 3) in RGB.

        Raises:
            InputError: the pictures have another type or shape.
        """
        return self.look(pictures)[0]

    def look(self, pictures: Pixels) -> tuple[Probabilities, Numbers | None]:
        """Probabilities as `predict` gives them, and the familiarity (n,); None where the model does not say it.

        `describe` takes a row of both. Of a listing, it takes the `probabilities.pool` and the mean.

        Raises:
            InputError: the pictures have another type or shape.
        """
        seen = self.see(pictures)
        return seen.probabilities, seen.familiarity

    def see(self, pictures: Pixels) -> Seen:
        """All that the model sees in pictures; `describe` takes a row of it. Of a listing it takes the means.

        Raises:
            InputError: the pictures have another type or shape.
        """
        self._check(pictures)
        if not len(pictures):
            none = np.zeros(0, np.float32)
            return Seen(np.zeros((0, len(self.classes)), np.float32), none if self.known else None,
                        none if self.years else None)  # fmt: skip
        found = self._network.run(pictures)
        p, likeness = found.probabilities, found.likeness
        familiarity = self.known.familiarity(p, likeness) if self.known and likeness is not None else None
        return Seen(calibrate(p, self.temperature), familiarity, found.year if self.years else None)

    def look_round(self, pictures: Pixels) -> tuple[Probabilities, Probabilities | None]:
        """Probabilities as `predict` gives them, and of each of `views.names` (n, views); None without `views`.

        Raises:
            InputError: the pictures have another type or shape.
        """
        if self.views is None or not len(pictures):
            none = None if self.views is None else np.zeros((0, len(self.views.names)), np.float32)
            return self.predict(pictures), none
        self._check(pictures)
        found = self._network.run(pictures)
        return calibrate(found.probabilities, self.temperature), found.views

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
        seen = self.see(pictures)
        none = [None] * len(pictures)
        familiarity, newer = (none if one is None else map(float, one) for one in (seen.familiarity, seen.newer))
        return [
            self.describe(row, familiarity=known, newer=new)
            for row, known, new in zip(seen.probabilities, familiarity, newer, strict=True)
        ]

    def _check(self, pictures: Pixels) -> None:
        if pictures.dtype != np.uint8 or pictures.shape[1:] != (self.side, self.side, 3):
            raise InputError(f"The model takes uint8 (n, {self.side}, {self.side}, 3), not {_shape(pictures)}.")

    def describe(
        self,
        probabilities: Probabilities,
        *,
        familiarity: float | None = None,
        newer: float | None = None,
        photos: int = 1,
    ) -> Answer:
        """Name the best of one row of probabilities.

        Args:
            familiarity, newer: of the picture, or the mean of so many `photos` of one listing; None: not said.
        """
        best = np.argsort(-probabilities, kind="stable")[:TOP]
        top = tuple((self.classes[number], float(probabilities[number])) for number in best)
        known = None
        if self.known and familiarity is not None:
            known = self.known.is_known(familiarity, photos=photos)
        years = None
        if self.years and newer is not None and known is not False:
            years = self.years.interval(top[0][0], newer)
        sure = top[0][1] >= self.threshold
        familiarity = None if known is None else familiarity
        return Answer(*top[0], sure=sure, top=top, known=known, familiarity=familiarity, years=years)


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
) -> Model:
    """The live model of a channel, downloaded, verified and loaded.

    Args:
        cache: folder that downloads are kept in, shared between processes; None: `~/.cache/carpipe`.
        offline_ok: go on with the model that was live last time when the store cannot be reached.
        detector: download the detector too, for those who cut photos themselves.
        makers: whose models are taken; None: anybody's.

    Raises:
        InputError: nothing was published, the model is gone, tampered with, not signed as `makers` wants it or of a
            later contract, or it does not answer as it did when it was published; or the cache cannot be written.
        ConfigError: a trusted key cannot be read, or `model-signing` is not installed.
        UnavailableError: the store cannot be reached, and may not be done without, or was never reached before.
    """
    kept = Cache(Path(cache or Path.home() / ".cache" / "carpipe"), store=store, channel=channel)
    try:
        return _pull(kept, store, channel, offline_ok=offline_ok, detector=detector, makers=makers or SigningConfig())
    except OSError as error:
        raise InputError(
            f"The cache {cache or '~/.cache/carpipe'} cannot be used: {explain_os_error(error)}"
        ) from error


def _pull(kept: Cache, store: Store, channel: str, *, offline_ok: bool, detector: bool, makers: SigningConfig) -> Model:
    try:
        release, model = _live(store, channel)
        signature = _signature(model, InBucket(store, release.model), makers)
        loaded = _load(kept, release, model, detector=detector, signature=signature)
    except UnavailableError as error:
        known = kept.recall() if offline_ok else None
        if known is None:
            raise
        release, model = known
        signature = _signature(model, InFolder(kept.folder_of(release.model)), makers)
        loaded = _load(kept, release, model, detector=detector, signature=signature)
        log.warning("channel %s: going on with %s as cached, for %s", channel, loaded.id, error)
        return loaded
    kept.remember(release, model, signature=(signature.file, signature.data) if signature else None)
    return loaded


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
    return _load(Cache(cache, store=store, channel=channel), release, model, detector=False, signature=signature)


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
        known = sorted(folder.split("/")[1] for folder in store.list_folders("channels"))
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
    cache: Cache, release: Release, committed: Committed, *, detector: bool, signature: Signature | None
) -> Model:
    model = committed.manifest
    try:
        folder = cache.fetch(model, contract.needed(model, detector=detector))
    except MissingError as error:
        raise InputError(f"{model.key} has lost a file: {error}") from None
    described = contract.describe(model, lambda name: cache.read(model, name))
    network = Network(folder / contract.NETWORK[0])
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
        deviation=deviation,
        signed_by=signature.by if signature else "",
        _network=network,
    )


def _shape(pictures: Pixels) -> str:
    return json.dumps([str(pictures.dtype), list(pictures.shape)])
