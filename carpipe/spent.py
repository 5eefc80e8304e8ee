"""Where the time of a stage goes: seconds by what they are spent on."""

import math
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

# What stages tell apart, in the order in which they say it.
KINDS = ("fetching", "decoding", "network", "encoding", "writing")


class Spent:
    """Seconds by what they were spent on, as the clock has it. Safe to share between threads.

    What begins within something else is not counted for that. Work that threads do side by side counts for each, so
    that all of it may come to more than has gone by.
    """

    def __init__(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)
        self._lock = threading.Lock()
        # Per thread, how long what is going on was interrupted by something within it: the innermost last.
        self._inner = threading.local()

    @contextmanager
    def on(self, what: str) -> Iterator[None]:
        """What happens within is `what`."""
        stack: list[float] = self._inner.__dict__.setdefault("stack", [])
        stack.append(0.0)
        started = time.monotonic()
        try:
            yield
        finally:
            seconds = time.monotonic() - started
            own = seconds - stack.pop()
            if stack:
                stack[-1] += seconds
            with self._lock:
                self._seconds[what] += own

    def waiting(self, what: str, items: Iterable[T]) -> Iterator[T]:
        """The same items; what it takes until each comes is `what`."""
        remaining = iter(items)
        while True:
            with self.on(what):
                try:
                    item = next(remaining)
                except StopIteration:
                    return
            yield item
            del item

    @property
    def seconds(self) -> dict[str, float]:
        """By what they were spent on, to a millisecond."""
        with self._lock:
            return {what: round(self._seconds[what], 3) for what in KINDS if what in self._seconds}


def read_spent(said: object) -> dict[str, float]:
    """What a manifest says under `spent`, which may be anything: seconds by the kinds that are known here."""
    found = said if isinstance(said, dict) else {}
    numbers = {what: found[what] for what in KINDS if isinstance(found.get(what), int | float)}
    return {what: float(seconds) for what, seconds in numbers.items() if 0 <= seconds < math.inf}
