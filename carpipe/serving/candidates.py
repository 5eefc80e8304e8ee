"""Candidates for labelling: photos that the model is unsure of, and what people say of its answers.

    labels/<channel>/candidates/<YYYYmmdd>/<id>.jpg              the photo, scaled down, without EXIF
    labels/<channel>/candidates/<YYYYmmdd>/<id>.json             the answer, where it was unsure or of no known car
    labels/<channel>/candidates/<YYYYmmdd>/<id>-<8 digits>.json  what somebody said of the answer, once per saying

Written behind the answers' back, by a thread that the answers never wait for: a bucket in trouble costs candidates,
not predictions. Objects are created and never changed, so nothing anybody said is overwritten; old ones go (`room`).
"""

import contextlib
import datetime
import json
import logging
import math
import queue
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from carpipe.backports import UTC
from carpipe.config import ServingConfig
from carpipe.errors import CarpipeError, ConflictError
from carpipe.serving.room import LOOK_S, Room
from carpipe.storage import Store
from carpipe.weights.contract import candidates_folder

log = logging.getLogger(__name__)

UNSURE, RIGHT, WRONG = "unsure", "right", "wrong"
# Candidates waiting to be written, at most: 100 photos of 1024 px are about 20 MB.
MAX_WAITING_CANDIDATES = 100
# Answers that feedback may still be given on: photos and bytes, at most.
MAX_REMEMBERED_ANSWERS = 500
MAX_REMEMBERED_BYTES = 64_000_000
# Times that one answer may be judged.
MAX_SAYINGS = 5
_HOUR = 3600.0


@dataclass(frozen=True)
class Seen:
    """A photo that was answered: `jpeg` as it may be kept, `answer` as it was given; `at` UTC, ISO 8601."""

    id: str
    at: str
    jpeg: bytes
    answer: Mapping[str, Any]


class Memory:
    """The latest answers, since feedback names one by its id. Bounded in number and bytes."""

    def __init__(self) -> None:
        self._seen: dict[str, Seen] = {}
        self._client: dict[str, str] = {}
        self._said: dict[str, int] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, seen: Seen, *, client: str) -> None:
        """Remember an answer to a client. Where there are too many, the oldest goes of whoever has most."""
        with self._lock:
            self._seen[seen.id], self._client[seen.id] = seen, client
            self._bytes += len(seen.jpeg)
            while len(self._seen) > MAX_REMEMBERED_ANSWERS or self._bytes > MAX_REMEMBERED_BYTES:
                most, _ = Counter(self._client.values()).most_common(1)[0]
                self._forget(next(name for name, owner in self._client.items() if owner == most))

    def take_back(self, name: str) -> None:
        """A saying that was not kept does not count."""
        with self._lock:
            if self._said.get(name):
                self._said[name] -= 1

    def _forget(self, name: str) -> None:
        del self._client[name]
        self._said.pop(name, None)
        self._bytes -= len(self._seen.pop(name).jpeg)

    def judged(self, name: str) -> Seen | None:
        """The answer of that id, None where it is forgotten or was judged often enough."""
        with self._lock:
            if name not in self._seen or self._said.get(name, 0) >= MAX_SAYINGS:
                return None
            self._said[name] = self._said.get(name, 0) + 1
            return self._seen[name]


class Budget:
    """So many an hour and no more, and of those a share for each client."""

    def __init__(self, per_hour: int, *, client_share: float):
        self._per_hour = per_hour
        self._per_client = math.ceil(client_share * per_hour)
        self._spent: deque[tuple[float, str]] = deque()
        self._by: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, client: str) -> bool:
        """Whether there was one left for this client."""
        now = time.monotonic()
        with self._lock:
            while self._spent and now - self._spent[0][0] > _HOUR:
                self._give_back(self._spent.popleft()[1])
            if len(self._spent) >= self._per_hour or self._by[client] >= self._per_client:
                return False
            self._spent.append((now, client))
            self._by[client] += 1
            return True

    def _give_back(self, client: str) -> None:
        self._by[client] -= 1
        if not self._by[client]:
            del self._by[client]  # as many are remembered as have spent something


@dataclass(frozen=True)
class _Task:
    key: str
    jpeg: bytes
    record: Mapping[str, Any]
    suffix: str = field(default="")


class Candidates:
    """Writes candidates to the bucket, in a thread of its own."""

    def __init__(self, store: Store, config: ServingConfig):
        self._store, self._channel = store, config.channel
        share = config.client_share
        self._budgets = {
            reason: Budget(config.candidates_per_hour, client_share=share) for reason in (UNSURE, RIGHT, WRONG)
        }
        self._room = Room(store, config)
        self._waiting: queue.Queue[_Task | None] = queue.Queue(MAX_WAITING_CANDIDATES)
        self._thread = threading.Thread(target=self._write_all, name="carpipe-candidates", daemon=True)
        self._thread.start()

    def keep(self, seen: Seen, reason: str, *, client: str, class_name: str | None = None) -> bool:
        """Have a photo written; False where the hour's budget is spent or the bucket does not keep up.

        Args:
            reason: `unsure`, or the saying `right` or `wrong`.
            client: whose photo or saying it is.
            class_name: what it is, by who says so.
        """
        if not self._budgets[reason].take(client):
            return False
        record: dict[str, Any] = {"id": seen.id, "reason": reason, "at": seen.at, "answer": dict(seen.answer)}
        if reason != UNSURE:
            record |= {"said_at": utc_now(), "class_name": class_name}
        key = f"{candidates_folder(self._channel)}/{seen.at[:10].replace('-', '')}/{seen.id}"
        suffix = "" if reason == UNSURE else f"-{uuid.uuid4().hex[:8]}"
        try:
            self._waiting.put_nowait(_Task(key, seen.jpeg, record, suffix))
        except queue.Full:
            log.warning("candidate %s is lost: the bucket does not keep up", seen.id)
            return False
        return True

    def close(self, *, timeout_s: float = 10.0) -> None:
        """Write what is waiting, for no longer than that."""
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=timeout_s)
        self._thread.join(timeout_s)

    def _write_all(self) -> None:
        while task := self._next():
            try:
                self._write(task)
            except CarpipeError as error:
                log.warning("candidate %s is lost: %s", task.key, error)
            except Exception:  # whatever happens to one, the others must be written
                log.exception("candidate %s is lost", task.key)

    def _next(self) -> _Task | None:
        """The next one to write, or None at the end. While there is none, what has become too old is deleted."""
        while True:
            try:
                return self._waiting.get(timeout=LOOK_S)
            except queue.Empty:
                self._room.tidy()

    def _write(self, task: _Task) -> None:
        record = json.dumps(task.record, ensure_ascii=False).encode()
        if not self._room.takes(len(task.jpeg) + len(record)):
            log.warning("candidate %s is lost: serving.candidates_mb are full", task.key)
            return
        self._create(f"{task.key}.jpg", task.jpeg)
        self._create(f"{task.key}{task.suffix}.json", record)

    def _create(self, key: str, data: bytes) -> None:
        with contextlib.suppress(ConflictError):
            self._store.create(key, data)


@contextlib.contextmanager
def kept_candidates(store: Store, config: ServingConfig) -> Iterator[Candidates]:
    """Candidates for as long as the block runs; what is waiting at its end is written."""
    candidates = Candidates(store, config)
    try:
        yield candidates
    finally:
        candidates.close()


def utc_now() -> str:
    """The time of day, UTC, ISO 8601."""
    return datetime.datetime.now(UTC).isoformat(timespec="seconds")
