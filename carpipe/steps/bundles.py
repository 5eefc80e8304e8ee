"""Many small objects that never change, read as one: decisions, releases, labels of years.

`runs/bundles/<folder's digest>/<sha256>.json.gz` holds what was read before, by key and etag. It is a copy that anybody
may delete: what it lacks is read from the objects themselves, and whoever may write keeps it when that is much. It is
believed where its bytes are those of the object, by the MD5 that the listing says. Where etags are no MD5, it is of no
use.
"""

import gzip
import hashlib
import io
import json
import logging
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from carpipe import manifest
from carpipe.errors import AccessError, InputError, MissingError, StoreError
from carpipe.steps.session import Session
from carpipe.storage import ObjectInfo
from carpipe.weights.channel import Release, parse_release, read_channel

log = logging.getLogger(__name__)

HOME = "runs/bundles"
# So many objects that are read one by one are worth a bundle.
MANY = 200
# Of a bundle, unpacked.
MAX_BYTES = 2**29

T = TypeVar("T")
Held = dict[tuple[str, str], bytes]


def read_objects(
    session: Session, folder: str, infos: Sequence[ObjectInfo], *, max_bytes: int | None = None
) -> Iterator[tuple[str, bytes | None]]:
    """(key, bytes) of objects of a folder in the order given; None of one that has gone.

    Args:
        infos: as they are listed: the etag tells whether an object is the one that was read before.
        max_bytes: that an object may have.
    """
    held = _read_bundles(session, folder) if len(infos) > MANY else {}
    loose = [info for info in infos if (info.key, info.etag) not in held]
    read: Held = {}
    found = session.store.get_many((info.key for info in loose), max_bytes=max_bytes)
    for info in infos:
        if (info.key, info.etag) in held:
            yield info.key, held[info.key, info.etag]
            continue
        _, data = next(found)
        if data is not None and _md5(data) == info.etag:
            read[info.key, info.etag] = data
        yield info.key, data
    if len(read) > MANY and not session.reads_only:
        _keep(session, folder, {**held, **read})


def entries(session: Session, folder: str) -> list[ObjectInfo]:
    """The JSON objects right in a folder, in the order of their names."""
    there = (info for info in session.store.list_usable(folder) if info.key.endswith(".json"))
    return sorted((info for info in there if info.key.rpartition("/")[0] == folder), key=lambda info: info.key)


def history(session: Session, name: str) -> list[Release]:
    """Every release of a channel, oldest first, as `carpipe.weights.channel.history` says it."""
    folder = f"channels/{name}/history"
    read = read_objects(session, folder, entries(session, folder))
    releases = [parse_release(data, key=key) for key, data in read if data is not None]
    current = read_channel(session.store, name)
    if current and current not in releases:
        releases.append(current)
    return sorted(releases, key=lambda release: release.generation)


def parsed(
    session: Session, folder: str, known: dict[str, T], parse: Callable[[str, bytes], T], *, newest: int = 0
) -> list[T]:
    """What the objects of a folder say, in the order of their names; the last `newest`, 0: all.

    Args:
        known: what was read before, by key; what is new is added to it.
        parse: of a key and its bytes.
    """
    infos = entries(session, folder)[-newest:]
    for key, data in read_objects(session, folder, [info for info in infos if info.key not in known]):
        if data is not None:
            known[key] = parse(key, data)
    return [known[info.key] for info in infos if info.key in known]


def _place(folder: str) -> str:
    return f"{HOME}/{manifest.digest([folder])}"


def _read_bundles(session: Session, folder: str) -> Held:
    held: Held = {}
    try:
        keys = [info.key for info in session.store.list_usable(_place(folder))]
        for _, data in session.store.get_many(keys, max_bytes=MAX_BYTES):
            held.update(_unpacked(data or b""))
    except (AccessError, MissingError, InputError) as error:  # no right to read there, say: read the objects
        log.info("the bundle of %s is not read: %s", folder, error)
    return held


def _unpacked(data: bytes) -> Held:
    """What a bundle holds that can be believed; nothing where it is none."""
    try:
        with gzip.open(io.BytesIO(data)) as file:
            objects = json.loads(file.read(MAX_BYTES))["objects"]
        pairs = [((one["key"], one["etag"]), one["data"].encode("latin-1")) for one in objects]
        return {place: data for place, data in pairs if _md5(data) == place[1]}
    except (OSError, EOFError, zlib.error, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _keep(session: Session, folder: str, read: Held) -> None:
    """Write all that was read as one bundle, in the place of earlier ones."""
    objects = [{"key": key, "etag": etag, "data": data.decode("latin-1")} for (key, etag), data in read.items()]
    text = json.dumps({"objects": objects}).encode()
    if len(text) >= MAX_BYTES:  # nobody could read it
        return
    data = gzip.compress(text, mtime=0)
    key = f"{_place(folder)}/{hashlib.sha256(data).hexdigest()[:20]}.json.gz"
    try:
        before = [info.key for info in session.store.list_usable(_place(folder))]
        session.store.put(key, data)
        session.store.delete(one for one in before if one != key)
    except StoreError as error:  # no right to write there, say: it was read all the same
        log.info("the bundle of %s is not kept: %s", folder, error)
