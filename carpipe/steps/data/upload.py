"""Upload: a local folder of listing photos to `raw/`. For people whose photos are not in S3 yet."""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from carpipe.errors import InputError
from carpipe.names import normalise_key
from carpipe.steps.data.inventory import forgotten_listings
from carpipe.steps.session import Session


@dataclass(frozen=True)
class Uploaded:
    """How many files were written, how many were there already, and how many are of listings to be forgotten."""

    uploaded: int
    skipped: int
    forgotten: int = 0


def upload(session: Session, folder: Path) -> Uploaded:
    """Copy every file of `folder/<make>_<model>_<year>/` under raw/, with a progress bar.

    A file that is there already with the same content is skipped, and so are photos of listings that `carpipe forget`
    removed; nothing is ever deleted.

    Raises:
        InputError: no such folder, or it holds no folders with files.
    """
    files = dict(_find(folder))
    if not files:
        raise InputError(
            f"There are no photos in {folder}; expected folders named <make>_<model>_<year> with files in them."
        )
    forgotten = set(forgotten_listings(session))
    wanted = {key: path for key, path in files.items() if forgotten.isdisjoint(key.lower().split("_"))}
    there = {info.key: (info.size, info.etag) for info in session.store.list_objects("raw")}

    def copy(item: tuple[str, Path]) -> bool:
        key, path = item
        data = path.read_bytes()
        if there.get(key) == (len(data), hashlib.md5(data, usedforsecurity=False).hexdigest()):
            return False
        session.store.put(key, data)
        return True

    with ThreadPoolExecutor(8) as pool:
        bar = tqdm(pool.map(copy, wanted.items()), total=len(wanted), desc="upload", unit=" photos", mininterval=1)
        uploaded = sum(bar)
    return Uploaded(uploaded, len(wanted) - uploaded, len(files) - len(wanted))


def _find(folder: Path) -> Iterator[tuple[str, Path]]:
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}.")
    for directory in sorted(item for item in folder.iterdir() if item.is_dir()):
        # scandir: a big bucket's copy has millions of entries, and Path objects are slow.
        with os.scandir(directory) as entries:
            names = sorted(entry.name for entry in entries if entry.is_file())
        for name in names:
            yield normalise_key(f"raw/{directory.name}/{name}"), directory / name
