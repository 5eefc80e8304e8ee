"""Who was refused as the server is busy is not read before it may come again.

Else being refused is the fastest way to ask: whoever does not wait sends its next photo at once, and to receive and
look at it costs what others wait for. It is the connection that rests: others of the same address are somebody else's.
"""

import time
from collections import defaultdict


class OwedRests:
    """What connections that are gone have not rested. The next ones of their clients do it for them, each for one.

    For the one thread that looks at all connections.
    """

    def __init__(self) -> None:
        self._owed: defaultdict[str, list[float]] = defaultdict(list)

    def leave(self, client: str, until: float) -> None:
        """A connection closes that was to rest until then; as `time.monotonic` says it."""
        if until > time.monotonic():
            self._owed[client].append(until)

    def take(self, client: str) -> float:
        """Until when a new connection rests; 0 where it need not."""
        self._forget_what_is_over()
        owed = self._owed.get(client)
        return owed.pop(0) if owed else 0.0

    def _forget_what_is_over(self) -> None:
        now = time.monotonic()
        for client, owed in list(self._owed.items()):
            self._owed[client] = [until for until in owed if until > now]
            if not self._owed[client]:
                del self._owed[client]
