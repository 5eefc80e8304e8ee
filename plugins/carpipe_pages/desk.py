"""What the pages need of carpipe in the API server: the bucket, what has been read of it, photos made small."""

import threading
import time
from functools import cached_property

from carpipe.config import load_config
from carpipe.steps.preview import Previews
from carpipe.steps.session import open_session
from carpipe.steps.shelf import Shelf
from carpipe_access import find_access

# A page must not hang for minutes where the bucket is away, as a task may.
IMPATIENT = {"store.timeout_s": 20, "store.max_retries": 2}
PAUSE_S = 10.0  # between two attempts to open the bucket; whoever asks after one that failed gets its error at once


class Desk:
    """Opened at the first request, by the same settings and credentials as tasks; what failed is tried again later."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failure: Exception | None = None
        self._again_at = 0.0
        self._reopened_at = -PAUSE_S
        self._previews: Previews | None = None

    @property
    def shelf(self) -> Shelf:
        """The bucket, and what has been read of it."""
        with self._lock:
            if self._failure and time.monotonic() < self._again_at:
                raise self._failure.with_traceback(None)
            try:
                return self._shelf
            except Exception as error:  # of carpipe, Airflow or boto; it is raised again
                self._failure, self._again_at = error, time.monotonic() + PAUSE_S
                raise

    @property
    def previews(self) -> Previews:
        """Photos made small."""
        session = self.shelf.session
        with self._lock:
            if not self._previews:
                self._previews = Previews(session)
            self._previews.store = session.store
            return self._previews

    def reopen(self) -> None:
        """Open the bucket anew for the next request: its keys have ended, and the connection may have others by now.

        Takes no lock, since the server's event loop must not wait. What fails soon after, failed by the old keys.
        """
        if time.monotonic() >= self._reopened_at + PAUSE_S:
            self._reopened_at = time.monotonic()
            self.__dict__.pop("_shelf", None)

    @cached_property
    def _shelf(self) -> Shelf:
        return Shelf(open_session(load_config(overrides=IMPATIENT), access=find_access()))
