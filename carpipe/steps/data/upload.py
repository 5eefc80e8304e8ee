"""Upload: a local folder of listing photos to `raw/`. For people whose photos are not in S3 yet."""

import hashlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from carpipe.ahead import work_ahead
from carpipe.errors import AccessError, InputError, StoreError, UnavailableError, explain_unreadable
from carpipe.names import MAX_KEY_BYTES, is_odd, normalise_key, shown
from carpipe.steps.data.inventory import forgotten_listings
from carpipe.steps.session import Session

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Uploaded:
    """How many files were written, how many were there already, and how many are of listings to be forgotten.

    `refused` says of each file or folder that could not be uploaded which it is, and why not.
    """

    uploaded: int
    skipped: int
    forgotten: int = 0
    refused: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Found:
    """The files to upload by key, and what cannot be, with the reason."""

    files: dict[str, Path] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    def refuse(self, path: Path | str, why: str) -> None:
        sentence = f"{shown(str(path))}: {why.rstrip('.')}"
        log.warning("not uploaded: %s", sentence)
        self.refused.append(sentence)


def upload(session: Session, folder: Path) -> Uploaded:
    """Copy every file of `folder/<make>_<model>_<year>/` under raw/.

    A file that is there already with the same content is skipped, and so are photos of listings that `carpipe forget`
    removed; nothing is ever deleted. A file that cannot be read, is larger than `clean.max_bytes`, or whose name no
    key can have, is named, and the others are uploaded.

    Raises:
        InputError: no such folder, or it holds no folders with files.
    """
    found = _find(folder, longest=MAX_KEY_BYTES - len(_before_keys(session.store.url).encode()))
    if not found.files and not found.refused:
        raise InputError(
            f"There are no photos in {shown(str(folder))}; expected folders named <make>_<model>_<year> with files in "
            "them."
        )
    forgotten = set(forgotten_listings(session))
    wanted = {key: path for key, path in found.files.items() if forgotten.isdisjoint(key.lower().split("_"))}
    uploaded, failed = _copy(session, wanted, found)
    skipped = len(wanted) - uploaded - failed
    return Uploaded(uploaded, skipped, len(found.files) - len(wanted), tuple(found.refused))


def _before_keys(url: str) -> str:
    """What S3 has before each key of a store."""
    prefix = url.removeprefix("s3://").partition("/")[2]
    return f"{prefix}/" if prefix else ""


def _copy(session: Session, files: Mapping[str, Path], found: _Found) -> tuple[int, int]:
    """How many files were uploaded, and how many could not be."""
    there = {info.key: (info.size, info.etag) for info in session.store.list_objects("raw")}
    largest = session.config.clean.max_bytes

    def copy(item: tuple[str, Path]) -> bool | str:
        """Whether it was uploaded, or why it could not be."""
        key, path = item
        try:
            if (size := path.stat().st_size) > largest:
                return f"it has {size:,} bytes, and a photo has {largest:,} at most (clean.max_bytes)"
            data = path.read_bytes()
            if there.get(key) == (len(data), hashlib.md5(data, usedforsecurity=False).hexdigest()):
                return False
            session.store.put(key, data)
        except OSError as error:
            return f"it cannot be read. {explain_unreadable(error)}"
        except (AccessError, UnavailableError):
            raise  # the next file would fare no better
        except StoreError as error:
            return str(error)
        return True

    uploaded = failed = 0
    budget = session.config.store.prefetch_mb * 1_000_000
    copies = work_ahead(copy, files.items(), size=lambda item: _size(item[1], largest), threads=8, budget=budget)
    with session.progress.bar("upload", total=len(files), unit="photos") as bar:
        for path, outcome in zip(files.values(), bar.each(copies), strict=True):
            if isinstance(outcome, str):
                found.refuse(path, outcome)
                failed += 1
            else:
                uploaded += outcome
    return uploaded, failed


def _size(path: Path, largest: int) -> int:
    """Bytes that copying a file takes; none where it is not read."""
    try:
        size = path.stat().st_size
    except OSError:
        return 0
    return size if size <= largest else 0


def _find(folder: Path, *, longest: int) -> _Found:
    """The files of the folder's folders.

    Args:
        longest: bytes that a key may have.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {shown(str(folder))}.")
    found = _Found()
    for directory in sorted(item for item in folder.iterdir() if item.is_dir()):
        try:
            names = _names(directory, found)
        except OSError as error:
            found.refuse(directory, f"the folder cannot be read. {explain_unreadable(error)}")
            continue
        for name in names:
            key = normalise_key(f"raw/{directory.name}/{name}")
            if why := _fault_of(key, longest):
                found.refuse(directory / name, why)
            elif key in found.files:
                found.refuse(directory / name, f"it has the same name as {found.files[key]}, written in other Unicode")
            else:
                found.files[key] = directory / name
    return found


def _names(directory: Path, found: _Found) -> list[str]:
    # scandir: a big bucket's copy has millions of entries, and Path objects are slow.
    with os.scandir(directory) as entries:
        return sorted(entry.name for entry in entries if _is_file(entry, found))


def _is_file(entry: os.DirEntry[str], found: _Found) -> bool:
    try:
        return entry.is_file()
    except OSError as error:  # a link that leads to itself
        found.refuse(entry.path, f"it cannot be read: {error.strerror or error}")
        return False


def _fault_of(key: str, longest: int) -> str:
    """Why a file's key cannot be one; empty where it can."""
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        return "its name is not in UTF-8; rename it"
    if is_odd(key):
        return "its name has control characters; rename it"
    return f"its name is longer than the {MAX_KEY_BYTES:,} bytes that S3 allows for a key" if size > longest else ""
