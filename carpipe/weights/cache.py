"""Published models on local disk: downloaded once, checked whenever they are used.

    <folder>/<bucket>/<channel>.json            what was live when last looked, for when the store is away
    <folder>/<bucket>/<channel>/<id>/           the model's files, its manifest and signatures

`manifest.json` there is what carpipe 0.1.0 reads, `committed.json` the manifest to the byte: as pinned and signed.

A file is written beside its place and moved there whole, and files of a model never change: any number of
processes may share a cache, and one that is killed leaves nothing that counts. A link, a pipe or a device where a file
belongs, or a longer file than it may be, is not read (`plain_files`): it is downloaded again. A folder in a file's
place, and a file or a link in a folder's, are refused: who has put it there must look.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from carpipe import forms, manifest
from carpipe.errors import InputError
from carpipe.manifest import Manifest
from carpipe.names import brief
from carpipe.storage import Store
from carpipe.weights import plain_files
from carpipe.weights.channel import Committed, Release, check_pin, named, parse_release, to_json

log = logging.getLogger(__name__)

# Models kept per channel: the live one, and those that a rollback may want.
KEPT = 3
COMMITTED = "committed.json"


class Cache:
    """The models of one bucket's channel on local disk."""

    def __init__(self, folder: Path, *, store: Store, channel: str):
        self._store, self._root = store, folder
        name = re.sub(r"\W+", "-", store.url.removeprefix("s3://"))
        self._home = folder / f"{name}-{hashlib.sha256(store.url.encode()).hexdigest()[:8]}"
        self._channel = channel

    def fetch(self, model: Manifest, names: Iterable[str]) -> Path:
        """The folder with the named files of a model, all verified; downloads what is not there, or not what it was.

        Raises:
            InputError: the bucket does not hold what the manifest says.
        """
        folder = self.folder_of(model.key)
        for name in names:
            path, entry = folder / _safe(name), model.files[name]
            plain_files.check_folders(path.parent, below=self._root)
            if not plain_files.holds(path, sha256=entry["sha256"], max_bytes=entry["bytes"]):
                self._write(path, manifest.verified(self._store, entry))
        with contextlib.suppress(PermissionError):  # another account's: it knows when it was used
            os.utime(folder)
        return folder

    def read(self, model: Manifest, name: str) -> bytes:
        """A file of a model that `fetch` has brought."""
        return plain_files.read(self.folder_of(model.key) / _safe(name), max_bytes=model.files[name]["bytes"])

    def remember(self, release: Release, model: Committed, *, signature: tuple[str, bytes] | None = None) -> None:
        """Keep what is needed to go on without the store; drop models that were not used for long.

        Args:
            signature: that which counts, by its name.
        """
        folder = self.folder_of(release.model)
        if signature:
            self._write(folder / signature[0], signature[1])
        self._write(folder / COMMITTED, model.data)
        self._write(folder / "manifest.json", _with_key(model.manifest))
        self._write(self._home / f"{self._channel}.json", to_json(release))
        self._prune()

    def recall(self) -> tuple[Release, Committed] | None:
        """What `remember` was told last, or None. Nothing of it is trusted: a cache is no better than the bucket."""
        try:
            path = self._home / f"{self._channel}.json"
            release = parse_release(plain_files.read(path, max_bytes=forms.MAX_JSON_BYTES), key=path.name)
            data = self._manifest_of(release)
            check_pin(data, key=release.model, sha256=release.manifest_sha256, by=named(release))
            return release, Committed(manifest.from_json(data, key=release.model), data)
        except FileNotFoundError:
            return None
        except (InputError, OSError) as error:
            log.warning("the cache %s is of no use: %s", self._home, error)
            return None

    def folder_of(self, model: str) -> Path:
        """Where the files of a model lie, by its manifest key."""
        return self._home / self._channel / model_id(model)

    def _manifest_of(self, release: Release) -> bytes:
        folder = self.folder_of(release.model)
        try:
            return plain_files.read(folder / COMMITTED, max_bytes=forms.MAX_JSON_BYTES)
        except FileNotFoundError:
            return plain_files.read(
                folder / "manifest.json", max_bytes=forms.MAX_JSON_BYTES
            )  # as carpipe 0.1.0 has left it

    def _write(self, path: Path, data: bytes) -> None:
        plain_files.write(path, data, below=self._root)

    def _prune(self) -> None:
        folders = [path for path in (self._home / self._channel).iterdir() if path.is_dir() and not path.is_symlink()]
        for folder in sorted(folders, key=_age)[KEPT:]:
            shutil.rmtree(folder, ignore_errors=True)


def model_id(key: str) -> str:
    """The id in a model's manifest key, `models/<channel>/<id>/manifest.json`.

    Raises:
        InputError: it is no such key.
    """
    match = re.fullmatch(r"models/[^/]+/([\w-]+)/manifest\.json", key)
    if not match:
        raise InputError(f"'{brief(key)}' is no key of a model, models/<channel>/<id>/manifest.json.")
    return match[1]


def _age(folder: Path) -> float:
    try:
        return -folder.stat().st_mtime
    except FileNotFoundError:  # another process prunes too
        return 0.0


def _with_key(model: Manifest) -> bytes:
    """The manifest as carpipe 0.1.0 wants it in a cache that it shares with this version."""
    return json.dumps({"key": model.key, **json.loads(manifest.to_json(model))}).encode()


def _safe(name: str) -> str:
    """A manifest is data: its names must not lead out of the folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or not path.parts:
        raise InputError(f"A model's manifest names a file '{brief(name)}', which is no place inside its folder.")
    return name
