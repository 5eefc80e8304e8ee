"""Indexes of the datasets that somebody looks at: made in the background, once per dataset and machine."""

import contextlib
import shutil
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from carpipe import manifest
from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest
from carpipe.scratch import private_folder
from carpipe.steps import results
from carpipe.storage import Store

if TYPE_CHECKING:
    from carpipe.photo_index import PhotoIndex

# Indexes on disk at a time, those that were asked for last: 160 MB each at 1.6 million photos.
KEPT = 8
LEFT_S = 3600.0  # seconds after which what a killed process was making is nobody's
PATIENCE_S = 2.0  # seconds a request waits for an index; whoever asks again later finds it


class PhotoIndexes:
    """Finds and makes indexes, one at a time. Safe to share between threads, and with processes of the same user."""

    def __init__(self, *, folder: Path | None = None):
        self._given = folder
        self._lock = threading.Lock()
        self._made: dict[str, Future[PhotoIndex]] = {}
        self._maker = ThreadPoolExecutor(1, thread_name_prefix="photo-index")

    def find(self, store: Store, dataset: Manifest, *, patience_s: float = PATIENCE_S) -> "PhotoIndex | None":
        """The index of a dataset; None while it is being made.

        Args:
            patience_s: seconds to wait for it.

        Raises:
            InputError, TooLargeError, StoreError: it cannot be made. Whoever asks again tries again.
        """
        name = dataset.files[results.PHOTOS]["sha256"]  # datasets of two buckets may have one id
        with self._lock:
            making = self._made.get(name)
            if making is None:
                making = self._made[name] = self._maker.submit(self._make, store, dataset, name)
        try:
            found = making.result(patience_s)
        except TimeoutError:
            if not making.done():
                return None
            self._forget(name, making)
            raise
        except Exception:
            self._forget(name, making)
            raise
        if not found.path.exists():  # somebody has cleared temporary files away
            self._forget(name, making)
            return self.find(store, dataset, patience_s=patience_s)
        found.path.touch()  # those that nobody asks for go first
        return found

    @property
    def _folder(self) -> Path:
        """Made anew where somebody has cleared temporary files away."""
        return self._given or private_folder("photo-index")

    def _forget(self, name: str, making: "Future[PhotoIndex]") -> None:
        with self._lock:
            if self._made.get(name) is making:
                del self._made[name]

    def _make(self, store: Store, dataset: Manifest, name: str) -> "PhotoIndex":
        from carpipe.photo_index import VERSION, PhotoIndex, write_index

        path = self._folder / f"{name[:32]}-{VERSION}.duckdb"
        if path.exists() and (found := PhotoIndex(path)).is_whole():
            path.touch()
            return found
        photos = manifest.read_file(store, dataset, results.PHOTOS)
        try:
            made = write_index(photos, path, pairs=_pairs(store, dataset))
        except OSError as error:
            raise InputError(
                f"The photos of {dataset.key} cannot be kept in {path.parent} ({error.strerror}); make room there, or "
                "set TMPDIR to a folder that has some."
            ) from error
        self._clear()
        return made

    def _clear(self) -> None:
        """Remove the oldest, and what was left half made. Who is asking one goes on."""
        with contextlib.suppress(FileNotFoundError):  # another process has cleared as well
            for path in sorted(self._folder.glob("*.duckdb"), key=_age)[KEPT:]:
                path.unlink(missing_ok=True)
            for path in self._folder.glob("making-*"):
                if _age(path) > LEFT_S:
                    shutil.rmtree(path, ignore_errors=True)
        with self._lock:  # an open file takes room though it is gone
            gone = [name for name in self._made if _is_gone(self._made[name])]
            for name in gone:
                del self._made[name]


def _age(path: Path) -> float:
    """Seconds since it was last asked for."""
    return time.time() - path.stat().st_mtime


def _is_gone(making: "Future[PhotoIndex]") -> bool:
    return making.done() and not making.exception() and not making.result().path.exists()


def _pairs(store: Store, dataset: Manifest) -> bytes | None:
    """Which photos show one picture, as `identify` has found; None where that is gone."""
    try:
        done = dataset
        while done.stage != "identify":  # dataset, split, classes, identify
            done = manifest.read(store, done.inputs[0])
        return manifest.read_file(store, done, results.PAIRS)
    except (MissingError, InputError, IndexError):
        return None
