"""The live model of a channel: followed, verified, and swapped while requests run.

A request holds on to the model it started with. A new one is downloaded, verified and warmed up beside it before it
takes its place; one that fails that is refused, and the old one goes on.
"""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from carpipe.config import ServingConfig, SigningConfig
from carpipe.errors import CarpipeError
from carpipe.pictures.detection.detector import Detector
from carpipe.storage import Store
from carpipe.weights.channel import Release, read_channel
from carpipe.weights.client import Model, pull
from carpipe.weights.contract import CropPolicy

log = logging.getLogger(__name__)

# Seconds until a refused release is looked at again: somebody may have mended it in the bucket.
SECOND_CHANCE = 600.0


class NotReadyError(CarpipeError):
    """No model is loaded yet."""


class Detectors:
    """As many copies of a detector as there are workers: one is not safe to share between threads."""

    def __init__(self, weights: Path, *, crop: CropPolicy, count: int):
        self._free: queue.SimpleQueue[Detector] = queue.SimpleQueue()
        for _ in range(count):
            self._free.put(Detector(weights, config=crop.config))

    @contextlib.contextmanager
    def borrow(self) -> Iterator[Detector]:
        """One of them, for as long as the block runs."""
        detector = self._free.get()
        try:
            yield detector
        finally:
            self._free.put(detector)


@dataclass(frozen=True)
class Live:
    """A model and the detectors that cut photos for it."""

    model: Model
    crop: CropPolicy
    detectors: Detectors


@dataclass(frozen=True)
class Health:
    """What the follower knows. `polled_s` is the age of the last look at the channel that got an answer."""

    live: Live | None
    polled_s: float | None
    problem: str


@dataclass(frozen=True)
class _RefusedRelease:
    release: Release
    reason: str
    at: float


class Follower:
    """Keeps the live model of a channel loaded."""

    def __init__(self, store: Store, config: ServingConfig, makers: SigningConfig | None = None):
        """Args:
        makers: whose models are served; None: anybody's.
        """
        self._store, self._config, self._makers = store, config, makers
        self._live: Live | None = None
        self._refused: _RefusedRelease | None = None
        self._polled: float | None = None
        self._problem = "no model has been loaded yet"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="carpipe-follow", daemon=True)

    def current(self) -> Live:
        """The live model.

        Raises:
            NotReadyError: there is none yet.
        """
        if self._live is None:
            raise NotReadyError("No model is loaded yet; try again in a moment.")
        return self._live

    def health(self) -> Health:
        """What is live, and how fresh that is."""
        age = None if self._polled is None else time.monotonic() - self._polled
        return Health(self._live, age, self._problem)

    def start(self) -> None:
        """Follow the channel in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Follow it no longer; what is being loaded is not waited for."""
        self._stop.set()

    def refresh(self) -> None:
        """Look at the channel once, and load its model if it is another. Never raises: what is wrong is logged."""
        release: Release | None = None
        try:
            release = self._look()
            if not self._is_known(release):
                self._load()
        except CarpipeError as error:
            self._refuse(release, str(error))
        except Exception as error:  # a model that breaks its runtime in a way nobody foresaw must not end the following
            log.exception("channel %s: a new model cannot be loaded", self._config.channel)
            self._refuse(release, f"{type(error).__name__}: {error}")

    def _look(self) -> Release | None:
        try:
            release = read_channel(self._store, self._config.channel)
        except CarpipeError:
            if self._live or not self._config.offline_ok:
                raise
            return None  # a first model may come from the cache
        self._polled = time.monotonic()
        return release

    def _follow(self) -> None:
        while not self._stop.is_set():
            self.refresh()
            self._stop.wait(self._config.poll_s)

    def _is_known(self, release: Release | None) -> bool:
        """Whether nothing has to be loaded: the release is live, or was refused a short while ago."""
        live = self._live
        if release is None or live is None:
            return False
        if release.generation == live.model.generation and release.model.split("/")[-2] == live.model.id:
            self._problem = ""
            return True
        if self._refused is None or self._refused.release != release:
            return False
        self._problem = self._refused.reason
        return time.monotonic() - self._refused.at < SECOND_CHANCE

    def _load(self) -> None:
        """Load the live model; at the start, another one that was verified before where that cannot be had."""
        config = self._config
        cache = Path(config.cache).expanduser() if config.cache else None
        offline_ok = config.offline_ok and self._live is None
        model = pull(
            self._store, config.channel, cache=cache, offline_ok=offline_ok, detector=True, makers=self._makers,
            streams=config.workers,
        )  # fmt: skip
        crop = cast("CropPolicy", model.crop)  # asked for with its detector
        live = Live(model, crop, self._detectors(model, crop))
        before = self._live
        self._refused, self._problem = None, model.instead  # first: nobody sees a new model with an old problem
        self._live = live
        log.info("channel %s: generation %d, model %s is live", config.channel, model.generation, model.id)
        if before and (changes := model.changes_since(before.model)):
            log.warning("channel %s: answers may mean something else than before: %s", config.channel, changes)

    def _detectors(self, model: Model, crop: CropPolicy) -> Detectors:
        """Those of the last model where they are the same, else new ones."""
        live = self._live
        if live and live.crop.detector_sha256 == crop.detector_sha256 and live.crop.config == crop.config:
            return live.detectors
        return Detectors(model.folder / crop.detector, crop=crop, count=self._config.workers)

    def _refuse(self, release: Release | None, reason: str) -> None:
        self._problem = reason
        if release:
            self._refused = _RefusedRelease(release, reason, time.monotonic())
        if self._live:
            log.error("channel %s: %s Model %s goes on.", self._config.channel, reason, self._live.model.id)
        else:
            log.error("channel %s: %s", self._config.channel, reason)
