"""How many photos are looked at at a time, and how many may wait."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from carpipe.errors import CarpipeError

T = TypeVar("T")


class BusyError(CarpipeError):
    """As many requests as may are waiting already; try again a little later."""


class Places(threading.BoundedSemaphore):
    """Places for requests in work and waiting: who finds none is refused at once, and can go elsewhere."""

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """One of them, for as long as the block runs.

        Raises:
            BusyError: none is free.
        """
        if not self.acquire(blocking=False):
            raise BusyError("The server is busy; try again in a moment.")
        try:
            yield
        finally:
            self.release()


class Workers:
    """A few threads that do the work of many requests.

    Looking at photos is arithmetic, and more threads than cores make all of it slower. So does a long queue: a
    request that would wait for long is refused at once, and its sender can go elsewhere.
    """

    def __init__(self, count: int, *, queue: int):
        """`queue` counts work that is done and work that waits."""
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="carpipe-look")
        self._places = Places(queue)

    def run(self, work: Callable[[], T]) -> T:
        """The result of the work, done by one of the threads.

        Raises:
            BusyError: the queue is full.
        """
        with self._places.taken():
            return self._pool.submit(work).result()

    def close(self) -> None:
        """Finish what is in work."""
        self._pool.shutdown()
