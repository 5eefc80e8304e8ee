"""What the pages need of carpipe in the API server: the bucket, what has been read of it, photos made small."""

import threading
from functools import cached_property

from carpipe.config import load_config
from carpipe.steps.preview import Previews
from carpipe.steps.session import open_session
from carpipe.steps.shelf import Shelf
from carpipe_access import find_access

# A page must not hang for minutes where the bucket is away, as a task may.
IMPATIENT = {"store.timeout_s": 20, "store.max_retries": 2}


class Desk:
    """Opened at the first request, by the same settings as the DAGs; an attempt that failed is made again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @property
    def shelf(self) -> Shelf:
        """The bucket, and what has been read of it."""
        with self._lock:
            return self._shelf

    @property
    def previews(self) -> Previews:
        """Photos made small."""
        with self._lock:
            return self._previews

    @cached_property
    def _shelf(self) -> Shelf:
        return Shelf(open_session(load_config(overrides=IMPATIENT), access=find_access()))

    @cached_property
    def _previews(self) -> Previews:
        return Previews(self._shelf.session)
