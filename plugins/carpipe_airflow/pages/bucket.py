"""The bucket as the pages see it: what has been read of it, labels taken in, photos made small."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from carpipe.config import load_config
from carpipe.manifest import Manifest
from carpipe.steps.cache import ResultCache
from carpipe.steps.labels.desk import LabelDesk
from carpipe.steps.labels.questions import QUESTIONS, Name
from carpipe.steps.session import open_session
from carpipe.steps.views.photo_indexes import PATIENCE_S, PhotoIndexes
from carpipe.steps.views.preview import LARGE, Previews
from carpipe_airflow.s3_access import find_access

if TYPE_CHECKING:
    from carpipe.photo_index import PhotoIndex

# A page must not hang for minutes where the bucket is away, as a task may.
IMPATIENT = {"store.timeout_s": 20, "store.max_retries": 2}
PAUSE_S = 10.0  # between two attempts to open the bucket; whoever asks after one that failed gets its error at once


@dataclass(frozen=True)
class Opened:
    """What goes with one set of keys."""

    cache: ResultCache
    label_desks: Mapping[str, LabelDesk]


class Bucket:
    """Opened at the first request, by the same settings and credentials as tasks; what failed is tried again later."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failure: Exception | None = None
        self._again_at = 0.0
        self._reopened_at = -PAUSE_S
        self._previews: Previews | None = None
        self._large: Previews | None = None

    @property
    def cache(self) -> ResultCache:
        """Its session, and what has been read of it."""
        return self._open().cache

    def label_desk(self, question: Name) -> LabelDesk:
        """Hands out photos to label, and takes labels in."""
        return self._open().label_desks[question]

    def _open(self) -> Opened:
        with self._lock:
            if self._failure and time.monotonic() < self._again_at:
                raise self._failure.with_traceback(None)
            try:
                return self._opened
            except Exception as error:  # of carpipe, Airflow or boto; it is raised again
                self._failure, self._again_at = error, time.monotonic() + PAUSE_S
                raise

    @property
    def previews(self) -> Previews:
        """Photos made small."""
        session = self.cache.session
        with self._lock:
            if not self._previews:
                self._previews = Previews(session)
            self._previews.store = session.store
            return self._previews

    @property
    def large_previews(self) -> Previews:
        """The same, as large as a screen."""
        session = self.cache.session
        with self._lock:
            if not self._large:
                self._large = Previews(session, side=LARGE)
            self._large.store = session.store
            return self._large

    def photo_index(self, dataset: Manifest, *, patience_s: float = PATIENCE_S) -> "PhotoIndex | None":
        """The photos of a dataset to choose from; None while they are being read."""
        return self._indexes.find(self.cache.session.store, dataset, patience_s=patience_s)

    @cached_property
    def _indexes(self) -> PhotoIndexes:
        return PhotoIndexes()

    def reopen(self) -> None:
        """Open the bucket anew for the next request: its keys have ended, and the connection may have others by now.

        Takes no lock, since the server's event loop must not wait. What fails soon after, failed by the old keys.
        """
        if time.monotonic() >= self._reopened_at + PAUSE_S:
            self._reopened_at = time.monotonic()
            self.__dict__.pop("_opened", None)

    @cached_property
    def _opened(self) -> Opened:
        cache = ResultCache(open_session(load_config(overrides=IMPATIENT), access=find_access(), reads_only=True))
        return Opened(cache, {name: LabelDesk(cache, question) for name, question in QUESTIONS.items()})
