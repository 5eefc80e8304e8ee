"""Bodies of requests: how long each may be, and how much of them is held at a time.

waitress keeps a body until its request is answered, in a temporary file if it is long. What each route takes is known
as soon as the headers are there, so nothing longer is ever read.
"""

import copy
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakSet

from waitress.adjustments import Adjustments  # type: ignore[import-untyped]  # it comes without types

MB = 1_000_000


@dataclass(frozen=True)
class Limit:
    """Of a body, and the sentence for who sends more."""

    max_bytes: int
    says: str


class Body(Protocol):
    """The body of a request: whose it is, bytes that are held, and whether it is there in full."""

    client: str
    completed: bool

    @property
    def held(self) -> int: ...

    def give_way(self) -> None: ...


class Bodies:
    """What bodies may have, and which of them are held. `make_room` is for one thread, the rest for any."""

    def __init__(self, limits: Mapping[str, Limit], *, max_bytes: int, max_client_bytes: int):
        """Args:
        limits: by path, of what may be posted there. Nothing else takes a body.
        max_bytes, max_client_bytes: of all bodies that are held, and of one client's.
        """
        self._limits, self._max_bytes, self._max_client_bytes = limits, max_bytes, max_client_bytes
        self._held: WeakSet[Body] = WeakSet()
        self._adjustments: dict[int, Adjustments] = {}
        self._lock = threading.Lock()

    def limit(self, method: str, path: str) -> Limit:
        """Of a request with these."""
        # waitress hands an app the path with one slash before it.
        known = self._limits.get("/" + path.lstrip("/")) if method == "POST" else None
        taking = ", ".join(f"POST {path}" for path in self._limits) or "nothing here"
        return known or Limit(0, f"No body is taken by this method at this address; what takes one: {taking}.")

    def adjusted(self, settings: Adjustments, limit: Limit) -> Any:
        """waitress's settings for a request with that limit: it refuses a body that has as many bytes as it names."""
        with self._lock:
            if limit.max_bytes not in self._adjustments:
                self._adjustments[limit.max_bytes] = copy.copy(settings)
                self._adjustments[limit.max_bytes].max_request_body_size = limit.max_bytes + 1
            return self._adjustments[limit.max_bytes]

    def hold(self, body: Body) -> None:
        """Count the body for as long as its request is there."""
        with self._lock:
            self._held.add(body)

    @property
    def held(self) -> int:
        """Bytes of all bodies that are held."""
        return sum(body.held for body in self._there())

    def make_room(self, body: Body) -> bool:
        """Whether more of the body may come; if not, it is of whoever sends most.

        Where all bodies are too much together, the longest that is arriving gives way of whoever has most.
        """
        held = Counter[str]()
        for one in (there := self._there()):
            held[one.client] += one.held
        if held[body.client] > self._max_client_bytes:
            return False
        if held.total() <= self._max_bytes:
            return True
        greedy, _ = held.most_common(1)[0]
        arriving = [one for one in there if one.client == greedy and one.held and not one.completed]
        if greedy == body.client or not arriving:
            return False
        max(arriving, key=lambda one: one.held).give_way()
        return True

    def _there(self) -> list[Body]:
        with self._lock:
            return list(self._held)
