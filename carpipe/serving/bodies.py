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
    """Of a body: bytes, at most, and the sentence for who sends more."""

    bytes: int
    says: str


class Request(Protocol):
    """A request and its body: whose it is, bytes that are held, and whether it is there in full."""

    client: str
    completed: bool

    @property
    def held(self) -> int: ...

    def give_way(self) -> None: ...


class Bodies:
    """What bodies may have, and which of them are held."""

    def __init__(self, limits: Mapping[str, Limit], *, most: int, per_client: int):
        """Args:
        limits: by path, of what may be posted there. Nothing else takes a body.
        most, per_client: bytes of all bodies that are held, and of one client's.
        """
        self._limits, self._most, self._per_client = limits, most, per_client
        self._held: WeakSet[Request] = WeakSet()
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
            if limit.bytes not in self._adjustments:
                self._adjustments[limit.bytes] = copy.copy(settings)
                self._adjustments[limit.bytes].max_request_body_size = limit.bytes + 1
            return self._adjustments[limit.bytes]

    def hold(self, request: Request) -> None:
        """Count the request's body for as long as it is there."""
        with self._lock:
            self._held.add(request)

    @property
    def held(self) -> int:
        """Bytes of all bodies that are held."""
        return sum(request.held for request in self._there())

    def has_room(self, request: Request) -> bool:
        """Whether the request may go on; if not, it is of whoever sends most.

        Where all bodies are too much together, the longest that is arriving gives way of whoever has most.
        """
        held = Counter[str]()
        for one in (there := self._there()):
            held[one.client] += one.held
        if held[request.client] > self._per_client:
            return False
        if held.total() <= self._most:
            return True
        greedy, _ = held.most_common(1)[0]
        arriving = [one for one in there if one.client == greedy and one.held and not one.completed]
        if greedy == request.client or not arriving:
            return False
        max(arriving, key=lambda one: one.held).give_way()
        return True

    def _there(self) -> list[Request]:
        with self._lock:
            return list(self._held)
