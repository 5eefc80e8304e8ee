"""What has been read and will be asked for again: results never change under their key, so one reading is enough.

For servers, where every request asks anew; steps of a run have no use for it.
"""

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from carpipe import manifest
from carpipe.manifest import Manifest
from carpipe.steps.session import Session


class Shelf:
    """Keeps the last `size` things that were made. Safe to share between threads.

    Only of what is immutable: manifests, history, decisions, and what is computed from them.
    """

    def __init__(self, session: Session, *, size: int = 2000):
        self.session = session
        self._size = size
        self._made: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()
        self._making: dict[Hashable, threading.Lock] = {}

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What is kept under the key, or made now: once, also when many ask at the same time."""
        with self._lock:
            if key in self._made:
                self._made.move_to_end(key)
                return self._made[key]
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                if key in self._made:
                    return self._made[key]
            try:
                value = make()
                self._keep(key, value)
            finally:
                self._making.pop(key, None)
            return value

    def drop(self, key: Hashable) -> None:
        """Make it anew when it is asked for again."""
        with self._lock:
            self._made.pop(key, None)

    def manifest(self, key: str) -> Manifest:
        """A manifest by its key. Raises as `manifest.read` does."""
        found: Manifest = self.get(("manifest", key), lambda: manifest.read(self.session.store, key))
        return found

    def json(self, key: str) -> dict[str, Any]:
        """A JSON object that is written once, such as an entry of a channel's history."""
        found: dict[str, Any] = self.get(("json", key), lambda: json.loads(self.session.store.get(key)))
        return found

    def _keep(self, key: Hashable, value: Any) -> None:
        with self._lock:
            self._made[key] = value
            if len(self._made) > self._size:
                self._made.popitem(last=False)
