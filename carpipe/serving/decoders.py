"""Photos decoded in child processes, cheap ones and expensive ones each in a lane of their own.

A stranger's photo may cost its decoder as much as it can spend, and kill it. So it meets it in a process that can be
killed, and it spends a time that others need not wait for: what is expensive by its headers goes to the slow lane. That
is one child with the lowest priority and a short queue. A child that died is replaced by one that is warm already.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from queue import Empty, Queue

from carpipe.config import Config
from carpipe.errors import CarpipeError
from carpipe.pictures import decode
from carpipe.pictures.decode import PhotoError
from carpipe.pictures.isolation import Answer, Death, Isolated
from carpipe.pictures.look import LOOK, Refused, Visible, settings_for, understood
from carpipe.serving.workers import BusyError, Places
from carpipe.weights.contract import CropPolicy

log = logging.getLogger(__name__)

# Of `serving.photo_timeout_s`: what a photo of the fast lane is expected to cost at most, and what it may cost. With
# 2 s the first is 0.3 s: a JPEG of 50 megapixels, one of 15 in ten scans, a PNG of 8.
CHEAP, FAST = 0.15, 0.5
# So many times `serving.photo_timeout_s` a listing may spend in all on what is more than cheap.
LISTING_SHARE = 3
MAX_SLOW_PHOTOS = 4  # photos in the slow lane or waiting for it; more are answered 503 at once
# MiB that a child of the fast lane may allocate: what is cheap takes 200.
MAX_FAST_MEMORY_MB = 512
# Times a photo's seconds until it is given up by the clock. In the slow lane others go first.
FAST_PATIENCE, SLOW_PATIENCE = 10, 15
MAX_WAIT_S = 30.0  # for a child, until the answer is 503: none can be started, or all are busy
AGAIN_S = 5.0  # until a child that could not be started is tried again


class Allowance:
    """What the photos of one request may spend together on being expensive, in seconds of a processor.

    Attributes:
        client: whose request it is.
        lied_to: one of them has cost more than its headers say: headers count no more.
    """

    def __init__(self, seconds: float, *, client: str):
        self.client, self.lied_to = client, False
        self._left = seconds

    def check(self) -> None:
        """PhotoError: nothing is left."""
        if self._left <= 0:
            raise PhotoError("too_expensive", "The photos of this listing cost more to decode than they may.")

    def spend(self, seconds: float) -> None:
        """Take it off."""
        self._left -= seconds


class Decoders:
    """Both lanes."""

    def __init__(self, config: Config):
        """Nothing is started yet."""
        seconds = self._seconds = config.serving.photo_timeout_s
        memory_mb = config.clean.memory_mb
        self._max_pixels = config.serving.max_pixels
        fast = Isolation(FAST * seconds, FAST_PATIENCE * seconds, min(MAX_FAST_MEMORY_MB, memory_mb), niceness=0)
        slow = Isolation(seconds, SLOW_PATIENCE * seconds, memory_mb, niceness=19)
        self._fast = Lane("fast", fast, count=config.serving.workers)
        self._slow = Lane("slow", slow, count=1)
        self._slow_places = Places(MAX_SLOW_PHOTOS)

    def start(self) -> None:
        """Start children ahead, and do not wait for them."""
        self._fast.start()
        self._slow.start()

    def close(self) -> None:
        """End all children, whatever they do."""
        self._fast.close()
        self._slow.close()

    def allowance(self, client: str) -> Allowance:
        """For the photos of one request."""
        return Allowance(LISTING_SHARE * self._seconds, client=client)

    def see(self, data: bytes, policy: CropPolicy, *, allowance: Allowance) -> Visible:
        """A photo's pixels, in the size that detection wants.

        Args:
            data: the file.
            policy: limits of the photos that the live model has learnt from.
            allowance: of the request that the photo came with.

        Raises:
            PhotoError: there is no picture, or it costs too much: `too_expensive` or `bomb`, or it is `poison`.
            BusyError: too many are waiting, or there is no child just now.
        """
        cheap = CHEAP * self._seconds
        limits = partial(
            settings_for,
            max_pixels=min(policy.max_pixels, self._max_pixels),
            max_damage=policy.max_damage,
            enough=decode.DETAIL,
        )
        if allowance.lied_to:
            allowance.check()
        found = understood(self._fast.ask(data, limits(most_s=cheap)))
        at_most = FAST * self._seconds
        if found is None:
            allowance.check()
            with self._slow_places.taken(allowance.client):
                found = understood(self._slow.ask(data, limits()))
            at_most = self._seconds
        elif found.seconds is None:
            allowance.lied_to = True
        spent = at_most if found is None or found.seconds is None else found.seconds
        if spent > cheap:
            allowance.spend(spent)
        if isinstance(found, Visible):
            return found
        raise _as_error(found)


class Isolation:
    """How the children of a lane are started."""

    def __init__(self, timeout_s: float, wall_s: float, memory_mb: int, *, niceness: int):
        """As of `Isolated`."""
        self._limits = {"timeout_s": timeout_s, "wall_s": wall_s}
        self._memory_mb, self._niceness = memory_mb, niceness

    def new(self) -> Isolated:
        """A child that is not started yet."""
        return Isolated(LOOK, "{}", memory_mb=self._memory_mb, niceness=self._niceness, **self._limits)


class Lane:
    """Some children, each with one photo at a time, and a warm spare."""

    def __init__(self, name: str, isolation: Isolation, *, count: int):
        """`count` children, beside the spare."""
        self._name, self._isolation = name, isolation
        self._turns = threading.BoundedSemaphore(count)
        self._missing = threading.Semaphore(count + 1)  # children that shall be started
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._fill, name=f"carpipe-decode-{name}", daemon=True)
        self._lock = threading.Lock()
        self._children: set[Isolated] = set()
        self._idle: Queue[Isolated] = Queue()

    def start(self) -> None:
        """Start the children in a thread of its own, which replaces those that die."""
        self._thread.start()

    def close(self) -> None:
        """End all children, whatever they do."""
        self._closed.set()
        self._missing.release()
        with self._lock:
            for child in self._children:
                child.kill()
        if self._thread.is_alive():
            self._thread.join(MAX_WAIT_S)
        while not self._idle.empty():
            self._idle.get().stop()

    def ask(self, data: bytes, settings: str) -> Answer:
        """What a child answers to a photo.

        Raises:
            BusyError: no child is there.
        """
        with self._turn(), self._lent() as child:
            return child.once(data, settings)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._turns.acquire(timeout=MAX_WAIT_S):
            raise BusyError("The server is busy; try again in a moment.")
        try:
            yield
        finally:
            self._turns.release()

    @contextmanager
    def _lent(self) -> Iterator[Isolated]:
        child = self._take()
        try:
            yield child
        finally:
            if child.is_running:
                self._idle.put(child)
            else:
                self._forget(child)

    def _take(self) -> Isolated:
        while True:
            try:
                child = self._idle.get(timeout=MAX_WAIT_S)
            except Empty:
                raise BusyError("No photo can be decoded just now; try again in a moment.") from None
            if child.is_running:
                return child
            self._forget(child)  # somebody ended it while it had nothing to do

    def _forget(self, child: Isolated) -> None:
        with self._lock:
            self._children.discard(child)
        child.stop()
        self._missing.release()

    def _fill(self) -> None:
        while True:
            self._missing.acquire()
            child = self._isolation.new()
            with self._lock:  # so that `close` kills it, or it is not started at all
                if self._closed.is_set():
                    return
                self._children.add(child)
            try:
                child.start()
            except (CarpipeError, OSError) as error:
                self._not_started(child, error)
            else:
                self._idle.put(child)

    def _not_started(self, child: Isolated, error: Exception) -> None:
        if not self._closed.is_set():
            log.error("%s lane: no process for decoding can be started: %s", self._name, error)
        self._closed.wait(AGAIN_S)
        self._forget(child)


def _as_error(found: Refused | None) -> CarpipeError:
    if found is None or found.death is Death.WAITED:
        return BusyError("The server is too busy for a photo that costs so much; try again in a moment.")
    if found.death is Death.OUTSIDE:
        log.warning("a photo was not decoded: %s", found.message)
        return BusyError("The photo could not be looked at just now; try again in a moment.")
    if found.death is not None:
        log.warning("a photo is refused: %s", found.message)
    reason = "too_expensive" if found.death is Death.OVER_TIME else found.reason
    return PhotoError(reason, found.message, damage=found.damage, format=found.format)
