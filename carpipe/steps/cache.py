"""What has been read and will be asked for again: results never change under their key, so one reading is enough.

For servers, where every request asks anew; steps of a run have no use for it.
"""

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from carpipe import manifest
from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest
from carpipe.steps import dataset_order
from carpipe.steps.session import Session
from carpipe.storage import ObjectInfo

# Requests at a time for manifests that are new here: one a night, and all of them after a start.
AT_ONCE = 16


class ResultCache:
    """Keeps the last `size` things that were made, nearly all of them small. Safe to share between threads.

    Only of what is immutable: manifests, history, decisions, samples, and what is computed from them.
    """

    def __init__(self, session: Session, *, size: int = 10_000):
        self.session = session
        self._size = size
        self._made: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()
        self._making: dict[Hashable, Future[Any]] = {}

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What is kept under the key, or made now: once, also when many ask at the same time.

        An error is that of all who wait for it; it is not kept.
        """
        with self._lock:
            if key in self._made:
                self._made.move_to_end(key)
                return self._made[key]
            others = self._making.get(key)
            if others is None:
                making = self._making[key] = Future()
        if others is not None:
            return others.result()
        try:
            value = make()
        except BaseException as error:
            with self._lock:
                del self._making[key]
            making.set_exception(error)
            raise
        with self._lock:
            self._keep(key, value)
            del self._making[key]
        making.set_result(value)
        return value

    def drop(self, key: Hashable, value: Any) -> None:
        """Make it anew when it is asked for again, if it is still this value."""
        with self._lock:
            if self._made.get(key) is value:
                self._made.pop(key, None)

    def manifest(self, key: str) -> Manifest:
        """A manifest by its key. Raises as `manifest.read` does."""
        found: Manifest = self.get(("manifest", key), lambda: manifest.read(self.session.store, key))
        return found

    def manifests(self, home: str, *, most: int | None = None) -> list[ObjectInfo]:
        """The manifests right below `<home>/<id>/` and when they were committed, the newest first. Each is read once.

        Args:
            most: so many of them; None: all.
        """
        if home == dataset_order.HOME:
            return self._dated_all(dataset_order.newest_first(self.session.store)[:most])
        found = self._dated_all(f"{folder}/manifest.json" for folder in self.session.store.list_folders(home))
        return sorted(found, key=lambda info: (str(info.modified), info.key), reverse=True)[:most]

    def _dated_all(self, keys: Iterable[str]) -> list[ObjectInfo]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return [info for info in pool.map(self._dated, keys) if info]

    def _dated(self, key: str) -> ObjectInfo | None:
        """A manifest and when it was committed; None, which is not kept, where there is nothing yet."""

        def ask() -> ObjectInfo:
            done = None
            with contextlib.suppress(InputError):  # of another version: the storage's time is what there is
                done = self.manifest(key)
            if done and manifest.COMMITTED in done.extra:
                return ObjectInfo(key, "", 0, manifest.committed_at(done, None))
            if info := self.session.store.head(key):
                return info
            raise MissingError(f"There is no {key} yet.")

        try:
            found: ObjectInfo = self.get(("dated", key), ask)
        except MissingError:
            return None
        return found

    def _keep(self, key: Hashable, value: Any) -> None:
        self._made[key] = value
        if len(self._made) > self._size:
            self._made.popitem(last=False)
