"""How many photos are looked at at a time, and how many may wait."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from carpipe.errors import CarpipeError

T = TypeVar("T")


class BusyError(CarpipeError):
    """As many requests as may are waiting already; try again a little later."""


class Workers:
    """A few threads that do the work of many requests.

    Looking at photos is arithmetic, and more threads than cores make all of it slower. So does a long queue: a
    request that would wait for long is refused at once, and its sender can go elsewhere.
    """

    def __init__(self, count: int, *, queue: int):
        """`queue` counts requests in work and waiting."""
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="carpipe-look")
        self._places = threading.BoundedSemaphore(queue)

    def run(self, work: Callable[[], T]) -> T:
        """The result of the work, done by one of the threads.

        Raises:
            BusyError: the queue is full.
        """
        if not self._places.acquire(blocking=False):
            raise BusyError("The server is busy; try again in a moment.")
        try:
            return self._pool.submit(work).result()
        finally:
            self._places.release()

    def close(self) -> None:
        """Finish what is in work."""
        self._pool.shutdown()
