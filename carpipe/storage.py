"""Bytes under keys in an S3 bucket: the only module that knows obstore.

A write is atomic: no reader sees part of an object. `create` and `replace` are conditional, which is
all that commits and channels rest on; `check` proves that the server honours the conditions. Requests
are retried here (network trouble, 5xx answers) and nowhere else, and a write whose answer was lost is
recognised as our own; what still fails is a StoreError with one sentence for the user.
"""

import contextlib
import dataclasses
import hashlib
import io
import logging
import os
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import obstore
from obstore import exceptions
from obstore.store import S3Store

from carpipe.ahead import work_ahead
from carpipe.config import StoreConfig
from carpipe.errors import (
    AccessError,
    CarpipeError,
    ConfigError,
    ConflictError,
    MissingError,
    StoreError,
    TooLargeError,
    UnavailableError,
)
from carpipe.forms import MAX_JSON_BYTES
from carpipe.names import is_foreign, is_odd, shown
from carpipe.odd_keys import OddKeys, Place, is_for_a_key
from carpipe.s3_access import Access, authorities_in, credentials_of
from carpipe.storage_errors import broke_off, impossible, translate

if TYPE_CHECKING:
    from obstore import GetResult

log = logging.getLogger(__name__)

# Of an object's body that is looked at at a time, and what is kept free for one of unknown size.
PART_BYTES = 1 << 20
MAX_PAUSE_S = 5.0  # between two tries of a request
# What is JSON by its name, and so no longer than carpipe reads: others may write it, and make it as long as they like.
_JSON = (".json", ".sig")
# Scratch, which no reader looks at: where conditional writes are tried, and where it says that they were honoured.
PROBES = "runs/probe"
MAX_PROOF_BYTES = 1000
PROOF = re.compile(rf"{PROBES}/[0-9a-f]{{20}}\.txt")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class ObjectInfo:
    """What a listing says of an object. `etag` is unquoted; `size` is in bytes."""

    key: str
    etag: str
    size: int
    modified: datetime | None = None

    @property
    def minute(self) -> str:
        """When it was written, to the minute (UTC), for people; empty where a listing does not say."""
        return f"{self.modified:%Y-%m-%d %H:%M}" if self.modified else ""


@dataclass(frozen=True)
class Fetched:
    """What came for a key: `etag` and `size` are those that the answer said.

    `data` is null where there is no object, and `size` too; and where it is larger than was asked for.
    """

    key: str
    data: bytes | None
    etag: str = ""
    size: int | None = None


# The process in which obstore's threads are; None before the first request.
_used_in: int | None = None


class Store:
    """The verbs that carpipe needs on a bucket. Safe to share between threads, and of one process.

    What obstore works with does not survive a fork: a child of a process that has used a bucket would wait for ever.

    `etags_are_md5` says, once `check` has seen one, whether the etag of an object written in one part is its MD5.

    Raises:
        ConfigError: `ca_bundle` cannot be read, no request can be signed with the keys, or none can be made for
            the URL.
        StoreError: from every verb: this process is a fork of one that has used a bucket.
    """

    def __init__(self, config: StoreConfig, *, access: Access | None = None):
        self.url = config.url
        self.access = access
        self.etags_are_md5 = False
        self._foreign: set[str] = set()
        self._is_due = False  # to be proven before the next conditional write
        self._endpoint = config.endpoint or (access.endpoint if access else "")
        self._threads = config.threads
        self._prefetch_bytes = config.prefetch_mb * 1_000_000
        self._max_retries = config.max_retries
        bucket, _, prefix = config.url.removeprefix("s3://").partition("/")
        options: dict[str, Any] = {"endpoint": self._endpoint} if self._endpoint else {}
        options |= credentials_of(access)
        # Plain HTTP only where the endpoint says http://: embedded and in-house servers.
        options["client_options"] = {
            "allow_http": True,
            "timeout": timedelta(seconds=config.timeout_s),
            "connect_timeout": timedelta(seconds=5),
        }
        authorities = authorities_in(config.ca_bundle, access.ca_bundle if access else "")
        if authorities:
            options["client_options"]["root_certificate"] = authorities
        options["retry_config"] = {
            "max_retries": config.max_retries,
            "retry_timeout": timedelta(seconds=config.timeout_s),
        }
        prefix = prefix.strip("/")
        # obstore could add the prefix itself, but up to 0.11, the last for Python 3.10, its listings keep it.
        self._root = f"{prefix}/" if prefix else ""
        if prefix and is_odd(prefix):
            raise ConfigError(f"{shown(config.url)} is no place that can be asked for: its path has an odd part.")
        self._store = S3Store(bucket, **options)
        self._odd = OddKeys(bucket, prefix, options, timeout_s=config.timeout_s, authorities=authorities)

    def get(self, key: str, *, max_bytes: int | None = None) -> bytes:
        """The whole object.

        Args:
            max_bytes: that it may have. Of a larger one nothing is kept, whatever the server has said of its size.
                None: no limit, but that of what is JSON by its name.

        Raises:
            MissingError: there is none.
            TooLargeError: it is larger than the limit.
        """
        data = self._fetch(key, max_bytes).data
        if data is None:
            raise self._too_large(key, max_bytes)
        return data

    def fetch(self, objects: Iterable[ObjectInfo], *, max_bytes: int | None = None) -> Iterator[Fetched]:
        """Objects in the order given, fetched by threads ahead: `store.prefetch_mb` at most, beside the one in turn.

        One that a listing says to be larger than that is not asked for. One that has grown since, or whose size
        is not known, waits for its turn where it takes more room than was kept for it.

        Args:
            objects: of each, `key` and `size` count; a size of 0 is taken for unknown.
            max_bytes: that an object may have.
        """

        def ahead(info: ObjectInfo) -> Fetched | ObjectInfo:
            if max_bytes is not None and info.size > max_bytes:
                return Fetched(info.key, None, info.etag, info.size)
            room = _room(info) if max_bytes is None else min(_room(info), max_bytes)
            found = self._found(info.key, room)
            waits = found.data is None and found.size is not None and (max_bytes is None or found.size <= max_bytes)
            return info if waits else found

        for found in work_ahead(ahead, objects, size=_room, threads=self._threads, budget=self._prefetch_bytes):
            yield self._found(found.key, max_bytes) if isinstance(found, ObjectInfo) else found
            del found

    def get_many(self, keys: Iterable[str], *, max_bytes: int | None = None) -> Iterator[tuple[str, bytes | None]]:
        """(key, bytes) in the order given, fetched ahead as `fetch` does; None where there is no object.

        Raises:
            TooLargeError: one is larger than the limit.
        """
        for found in self.fetch((ObjectInfo(key, "", 0) for key in keys), max_bytes=max_bytes):
            if found.data is None and found.size is not None:
                raise self._too_large(found.key, max_bytes)
            yield found.key, found.data

    def put(self, key: str, data: bytes) -> str:
        """Write, replacing what is there; returns the etag."""
        return self._put(key, data, {})

    def create(self, key: str, data: bytes) -> str:
        """Write only if there is no such key. Raises ConflictError where there is."""
        self._prove_if_due()
        return self._put(key, data, {"mode": "create"})

    def replace(self, key: str, data: bytes, *, etag: str) -> str:
        """Write only if the object still has this etag. Raises ConflictError where it has not."""
        self._prove_if_due()
        return self._put(key, data, {"mode": {"e_tag": f'"{etag}"'}})

    def head(self, key: str) -> ObjectInfo | None:
        """What is under the key, or None."""
        _refuse_forks()
        try:
            return dataclasses.replace(_info(obstore.head(self._store, self._at(key))), key=key)
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._translate(error, key) from error

    def heads(self, keys: Iterable[str]) -> Iterator[ObjectInfo | None]:
        """As `head`, in the order given, asked ahead by threads; None, too, where no request can be made for a key."""
        usable = (None if is_odd(key) else key for key in keys)
        yield from work_ahead(
            lambda key: self.head(key) if key else None, usable, size=lambda _: 0, threads=self._threads, budget=0
        )

    def is_encrypted(self, key: str) -> bool:
        """Whether the store says that it encrypts the object in a way that makes its etag no MD5."""
        try:
            said = self._odd.headers(key)
        except exceptions.BaseError:
            return False
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html, `ETag`
        kept_by_a_key = said.get("x-amz-server-side-encryption", "").startswith("aws:kms")
        return kept_by_a_key or "x-amz-server-side-encryption-customer-algorithm" in said

    def list_objects(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object under `prefix/`, in key order. Keys that no other verb but `delete` can use are there too."""
        place, batches = Place(), None
        refused: list[Exception] = []

        def following() -> Any:
            nonlocal batches
            if batches is None:
                batches = iter((self._odd.list_objects if refused else self._list)(prefix, offset=place.resume()))
            try:
                return next(batches, None)
            except exceptions.BaseError as error:
                batches = None
                if refused or not is_for_a_key(error):
                    raise
                refused.append(error)
                return ()

        while (batch := self._listed(following, prefix, refused)) is not None:
            for meta in batch:
                if place.moves_to(meta["path"]):
                    yield _info(meta)

    def list_usable(self, prefix: str) -> Iterator[ObjectInfo]:
        """As `list_objects`, without what is none of carpipe's: keys that no other verb can use, and what tools leave.

        Of the latter each is logged once.
        """
        for info in self.list_objects(prefix):
            if is_foreign(info.key):
                if info.key not in self._foreign:
                    self._foreign.add(info.key)
                    log.info("%s is of another tool and is passed over", shown(info.key))
            elif not is_odd(info.key):
                yield info

    def list_folders(self, prefix: str) -> list[str]:
        """The keys one level under `prefix/` that other objects lie under, but for folders of other tools."""
        refused: list[Exception] = []

        def listed() -> list[str]:
            if not refused:
                try:
                    found = obstore.list_with_delimiter(self._store, prefix=self._at(prefix))["common_prefixes"]
                    return [self._below(folder) for folder in found]
                except exceptions.BaseError as error:
                    if not is_for_a_key(error):
                        raise
                    refused.append(error)
            return [folder for folder in self._odd.list_folders(prefix) if not is_odd(folder)]

        return [folder for folder in self._listed(listed, prefix, refused) if not is_foreign(folder)]

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; those already gone are no error. Raises StoreError where a key cannot be asked for."""
        for key in keys:
            if {".", ".."} & set(key.split("/")):
                raise impossible(key, self._where, "")
            place = self._at(key)
            remove = partial(self._odd.delete, key) if is_odd(key) else partial(obstore.delete, self._store, place)
            with contextlib.suppress(MissingError):
                self._persist(remove, key)

    def check(self) -> None:
        """Make sure that the bucket is there and honours conditional writes: by what an earlier `prove` left, or anew.

        Raises as `prove` does.
        """
        try:
            found = self._fetch(self._proof, MAX_PROOF_BYTES)
        except (MissingError, AccessError):  # who may not read it has to prove it
            self.prove()
            return
        self.etags_are_md5 = found.data is not None and found.etag == _md5(found.data)

    def look(self) -> None:
        """As `check`, for those who mean to read: it writes nothing. Before the first conditional write comes `check`.

        Raises:
            AccessError: wrong bucket, endpoint or credentials.
        """
        next(self.list_objects("channels"), None)
        self._is_due = True

    def _prove_if_due(self) -> None:
        if self._is_due:
            self._is_due = False
            self.check()

    def prove(self) -> None:
        """Prove that the bucket is there, may be written, and honours conditional writes; the next ones need not.

        Raises:
            AccessError: wrong bucket, endpoint or credentials, or a server that ignores conditions.
        """
        next(self.list_objects("channels"), None)
        probe = f"{PROBES}/{uuid.uuid4()}"
        etag = self.create(probe, b"1")
        self.etags_are_md5 = etag == _md5(b"1")
        try:
            if self._wins("create", probe) or self._wins("replace", probe):
                raise AccessError(
                    f"{self.url} ignores conditional writes, so two runs could overwrite each other; "
                    "use an S3 server that supports If-Match and If-None-Match."
                )
            self.replace(probe, b"3", etag=etag)
        finally:
            self.delete([probe])
        with contextlib.suppress(ConflictError):
            self.create(self._proof, b"This server honours conditional writes.\n")

    @property
    def _proof(self) -> str:
        """Where it says that this server has proved itself: a copy of the bucket on another one has not."""
        server = self._endpoint or os.environ.get("AWS_ENDPOINT_URL", "")  # obstore asks for it too
        return f"{PROBES}/{hashlib.sha256(f'{server} {self.url}'.encode()).hexdigest()[:20]}.txt"

    def _fetch(self, key: str, max_bytes: int | None) -> Fetched:
        _refuse_forks()
        try:
            answer = obstore.get(self._store, self._at(key))
            max_bytes = _max_bytes_of(key) if max_bytes is None else max_bytes
            data = bytes(answer.bytes()) if max_bytes is None else _body(answer, max_bytes)
            return Fetched(key, data, _etag(answer.meta), int(answer.meta["size"]))
        except Exception as error:
            raise self._translate(error, key) from error

    def _at(self, key: str) -> str:
        """Where the key is in the bucket."""
        return self._root + key

    def _below(self, path: str) -> str:
        """The key of what lies there; of the empty object that stands for the prefix itself, none."""
        return path.removeprefix(self._root) if f"{path}/" != self._root else ""

    def _list(self, prefix: str, *, offset: str | None) -> Iterator[list[dict[str, Any]]]:
        after = None if offset is None else self._at(offset)
        for batch in obstore.list(self._store, prefix=self._at(prefix), offset=after):
            yield [{**meta, "path": self._below(meta["path"])} for meta in batch]

    def _found(self, key: str, max_bytes: int | None) -> Fetched:
        try:
            return self._fetch(key, max_bytes)
        except MissingError:
            return Fetched(key, None)

    def _too_large(self, key: str, max_bytes: int | None) -> TooLargeError:
        most = _max_bytes_of(key) if max_bytes is None else max_bytes
        return TooLargeError(
            f"{shown(key)} in {self._where} has more than the {most:,} bytes that are read of such an object. It "
            "cannot be what belongs there: look at it, then delete it or put it right."
        )

    def _wins(self, verb: str, key: str) -> bool:
        """Whether a conditional write succeeds that must not."""
        try:
            if verb == "create":
                self.create(key, b"2")
            else:
                self.replace(key, b"2", etag="0" * 32)
        except ConflictError:
            return False
        return True

    def _put(self, key: str, data: bytes, options: dict[str, Any]) -> str:
        def write() -> str:
            try:
                # One part: conditions do not hold over multipart uploads everywhere.
                done = obstore.put(self._store, self._at(key), data, use_multipart=False, **options)
                return str(done["e_tag"]).strip('"')
            except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
                # A retried request may have lost to its own first try: then the object is what we wrote.
                found = self.head(key)
                if found and found.size == len(data) and self.get(key) == data:
                    return found.etag
                raise

        return self._persist(write, key)

    def _persist(self, request: Callable[[], Answer], key: str) -> Answer:
        """The answer to a request that obstore does not repeat when its connection breaks: conditional writes,
        deletions, listings half read."""
        _refuse_forks()
        attempt = 0
        while True:
            try:
                return request()
            except CarpipeError:
                raise
            except Exception as error:
                if attempt >= self._max_retries or not broke_off(error):
                    raise self._translate(error, key) from error
            time.sleep(min(0.1 * 2**attempt, MAX_PAUSE_S))
            attempt += 1

    def _listed(self, request: Callable[[], Answer], prefix: str, refused: Sequence[Exception]) -> Answer:
        """The answer of a listing. Where the second way fails too, the first one's error says which key it was."""
        try:
            return self._persist(request, prefix)
        except UnavailableError:
            raise
        except StoreError:
            for first in refused:
                raise self._translate(first, prefix) from first
            raise

    def _translate(self, error: Exception, key: str) -> Exception:
        return translate(error, key, url=self.url, where=self._where, given=self.access is not None)

    @property
    def _where(self) -> str:
        return f"{self.url} at {self._endpoint}" if self._endpoint else self.url


def _refuse_forks() -> None:
    global _used_in
    if _used_in is None:
        _used_in = os.getpid()
    elif _used_in != os.getpid():
        raise StoreError(
            "This process is a fork of one that has used a bucket already, and would wait for ever for an answer. Open "
            "the bucket in each worker, after the fork: gunicorn without --preload, Celery in worker_process_init, "
            "multiprocessing with `spawn`."
        )


def _body(answer: "GetResult", max_bytes: int) -> bytes | None:
    """The bytes of an answer; None where it says, or turns out, to be larger: the rest is not read."""
    if int(answer.meta["size"]) > max_bytes:
        return None
    data = io.BytesIO()  # hands over what it holds without a copy
    for part in answer.stream(min_chunk_size=PART_BYTES):
        if data.tell() + len(part) > max_bytes:
            return None
        data.write(part)
    return data.getvalue()


def _room(info: ObjectInfo) -> int:
    return info.size or PART_BYTES


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _etag(meta: Mapping[str, Any]) -> str:
    return str(meta["e_tag"] or "").strip('"')


def _max_bytes_of(key: str) -> int | None:
    """Bytes that an object may have by its name alone."""
    return MAX_JSON_BYTES if key.endswith(_JSON) and not key.startswith("raw/") else None


def _info(meta: Mapping[str, Any]) -> ObjectInfo:
    return ObjectInfo(meta["path"], _etag(meta), int(meta["size"]), meta["last_modified"])
