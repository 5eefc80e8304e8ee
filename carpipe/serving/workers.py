"""How many photos are looked at at a time, and how many may wait."""

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from carpipe.errors import CarpipeError

T = TypeVar("T")


class BusyError(CarpipeError):
    """As many requests as may are waiting already; try again a little later."""


class Places:
    """Places for requests in work and waiting: who finds none is refused at once, and can go elsewhere.

    A quarter of them is out of reach of each client, so that there is one for others.
    """

    def __init__(self, count: int):
        """`count` of them."""
        self._count, self._per_client = count, max(1, count - max(1, count // 4))
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def taken(self, client: str) -> Iterator[None]:
        """One of them, for as long as the block runs.

        Raises:
            BusyError: none is free, or the client has its share.
        """
        with self._lock:
            if self._taken.total() >= self._count or self._taken[client] >= self._per_client:
                raise BusyError("The server is busy; try again in a moment.")
            self._taken[client] += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken -= Counter((client,))  # whoever has none is forgotten


class Workers:
    """A few threads that do the work of many requests.

    Looking at photos is arithmetic, and more threads than cores make all of it slower.
    """

    def __init__(self, count: int):
        """`count` of them."""
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="carpipe-look")

    def run(self, work: Callable[[], T]) -> T:
        """The result of the work, done by one of the threads."""
        return self._pool.submit(work).result()

    def close(self) -> None:
        """Finish what is in work."""
        self._pool.shutdown()
