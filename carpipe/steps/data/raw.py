"""Photos as they lie under `raw/`, read while a stage works on the ones before, and held against what the store says.

What a listing says of an object tells its bytes from others: their number, and their MD5 where the etag is one. What
comes otherwise did not come from whoever uploaded the photo, but from the storage or what is between: it is asked for
again, and never becomes a row unasked. The same holds for a photo that the storage lists, and says it has not.
"""

import hashlib
import logging
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import tee
from typing import TYPE_CHECKING

from carpipe.errors import UnavailableError
from carpipe.names import shown
from carpipe.steps.data.same_etags import etags_now
from carpipe.steps.session import Session
from carpipe.storage import Fetched, ObjectInfo

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

# So often a photo is asked for again, after so many seconds, doubled each time.
TRIES = 3
PAUSE_S = 0.1
# So many photos that came otherwise are enough to know that something is wrong.
MAX_OTHERWISE_PHOTOS = 20
NAMED = 5
# So many encrypted objects are asked about; then etags are taken for no MD5 at all.
ENCRYPTED = 20
_MD5 = re.compile("[0-9a-f]{32}")


def objects_of(session: Session, photos: "pd.DataFrame", *, partition: str) -> Iterator[ObjectInfo]:
    """What a photo table says of the objects of its photos, with the etags that they have now; keys without `raw/`."""
    now = etags_now(session, partition)
    rows = photos[["key", "etag", "size"]].itertuples(index=False, name=None)
    return (ObjectInfo(key, now.get((key, etag), etag), int(size)) for key, etag, size in rows)


def objects_named(session: Session, keys: Iterable[str]) -> Iterator[ObjectInfo]:
    """Objects of which no more is known than the names, so that they are taken as they come; keys without `raw/`.

    Their sizes are asked for ahead, so that large ones are fetched ahead too, within `store.prefetch_mb`.
    """
    asked, wanted = tee(keys)
    for key, found in zip(asked, session.store.heads(f"raw/{key}" for key in wanted), strict=True):
        yield ObjectInfo(key, "", found.size if found else 0)


def mark_too_large(found: "pd.DataFrame", source: "Raw") -> "pd.DataFrame":
    """A stage's results, in which photos that were too large to be read are `bomb`, not `missing`."""
    return found.assign(reason=found["reason"].mask(found["key"].isin(source.too_large), "bomb"))


class Raw:
    """(photo key, bytes) of photos under `raw/`, fetched ahead; None for one that has gone or is too large.

    `bytes` counts what went through. `too_large` holds the keys of photos of more than `clean.max_bytes`: what was
    listed so is not asked for. `otherwise` holds the keys of those that came otherwise than they lie there, again and
    again.

    Args:
        objects: keys without `raw/`. One without an etag is taken as it comes.
        instead: repaired copies, by photo key, that take the place of the originals.

    Raises:
        UnavailableError: photos came otherwise, and `clean.accept_unreadable` is off. At the end, or after many.
    """

    def __init__(self, session: Session, objects: Iterable[ObjectInfo], *, instead: Mapping[str, bytes] | None = None):
        self.bytes = 0
        self.too_large: set[str] = set()
        self.otherwise: list[str] = []
        self._instead = instead or {}
        self._objects = objects
        self._store = session.store
        self._max_bytes = session.config.clean.max_bytes
        self._accept = session.config.clean.accept_unreadable
        self._encrypted = 0
        self._folder: str | None = None  # of the last photo that had gone, and what is listed there
        self._there: set[str] = set()

    def __iter__(self) -> Iterator[tuple[str, bytes | None]]:
        asked: deque[ObjectInfo] = deque()

        def wanted() -> Iterator[ObjectInfo]:
            for info in self._objects:
                asked.append(info)
                yield replace(info, key=f"raw/{info.key}")

        for found in self._store.fetch(wanted(), max_bytes=self._max_bytes):
            key = found.key.removeprefix("raw/")
            data = self._sound(asked.popleft(), found)
            self.bytes += len(data or b"")
            del found
            yield key, data and self._instead.get(key, data)
            del data
        if self.otherwise:
            self._complain()

    def _sound(self, info: ObjectInfo, found: Fetched) -> bytes | None:
        """The bytes of the object; where they cannot be had, those that came last."""
        for attempt in range(TRIES + 1):
            if found.data is None and found.size is None and not self._is_listed(info):
                return None
            if found.data is None and found.size is not None:
                self.too_large.add(info.key)
                return None
            if found.data is not None and (not info.etag or self._is(info, found)):
                return found.data
            if attempt == TRIES or len(self.otherwise) >= MAX_OTHERWISE_PHOTOS:
                break
            time.sleep(PAUSE_S * 2**attempt)
            now = self._store.head(f"raw/{info.key}")
            # It may have been overwritten since it was listed. Who names no etag is no store.
            info = replace(info, etag=now.etag, size=now.size) if now and now.etag else info
            if now is None or not self._is(info, found):
                (found,) = self._store.fetch(
                    [ObjectInfo(f"raw/{info.key}", info.etag, info.size)], max_bytes=self._max_bytes
                )
        self._note(info, found)
        return found.data

    def _is_listed(self, info: ObjectInfo) -> bool:
        """Whether the storage lists what it says it has not. Of what was not listed before, it is believed."""
        folder = info.key.rpartition("/")[0]
        if info.etag and folder != self._folder:
            self._folder = folder
            self._there = {one.key for one in self._store.list_objects(f"raw/{folder}")}
        return bool(info.etag) and f"raw/{info.key}" in self._there

    def _is(self, info: ObjectInfo, found: Fetched) -> bool:
        """Whether these can be the bytes of the object."""
        data = found.data or b""
        if len(data) != info.size or found.etag not in ("", info.etag):
            return False
        if not (self._store.etags_are_md5 and _MD5.fullmatch(info.etag)) or self._encrypted >= ENCRYPTED:
            return True
        if hashlib.md5(data, usedforsecurity=False).hexdigest() == info.etag:
            return True
        # With a key of somebody's own, an etag looks like an MD5 and is none.
        if not self._store.is_encrypted(f"raw/{info.key}"):
            return False
        self._encrypted += 1
        return True

    def _note(self, info: ObjectInfo, found: Fetched) -> None:
        log.warning(
            "%s came otherwise than it lies in the storage: %s bytes with etag '%s', not %d with '%s'",
            shown(info.key), len(found.data or b""), shown(found.etag), info.size, shown(info.etag),
        )  # fmt: skip
        self.otherwise.append(info.key)
        if len(self.otherwise) >= MAX_OTHERWISE_PHOTOS and not self._accept:
            self._complain()

    def _complain(self) -> None:
        number = len(self.otherwise)
        sentence = (
            f"{number:,} photos came otherwise than they lie in the storage, with other bytes than their size or etag "
            f"says: {named(self.otherwise)}. The storage, or what is between, seems to be in trouble. {WAY_PAST}"
        )
        if not self._accept:
            raise UnavailableError(sentence)
        log.warning("accepted as they came: %s", sentence)


WAY_PAST = (
    "If that does not pass, look at these photos, and upload them again or delete them; or start the run once with "
    "`accept_unreadable` (`carpipe run --accept-unreadable`), which takes them for broken photos and goes on."
)


def named(keys: Iterable[str]) -> str:
    """The first of some keys, for a message."""
    keys = list(keys)
    more = f" and {len(keys) - NAMED:,} more" if len(keys) > NAMED else ""
    return ", ".join(f"'{shown(key)}'" for key in keys[:NAMED]) + more
