"""Run a function on hostile bytes in a child process: what kills or hangs the child costs one item.

The child is a fresh interpreter that imports the function's module and nothing else of the pipeline, so it starts
fast, owns no thread and inherits no lock. It ends itself when its parent is gone (end of its input) and when an item
spends too much (a timer of the kernel's, which no decoder can hold up).
"""

import enum
import io
import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, TypeVar

from carpipe.backports import Self
from carpipe.errors import UnavailableError
from carpipe.names import shown

# Items larger than this go over one by one: a child holds one chunk in memory.
CHUNK_BYTES = 8_000_000
CHUNK_ITEMS = 64
START_S = 120  # for the imports, on a machine that has other things to do
# How many times its processor time an item may take by the clock, unless the caller says otherwise. No decoder of an
# honest photo waits for anything, but on a busy machine it waits for the processor.
PATIENCE = 10
IDLE = 19  # the niceness from which on a child runs only where nobody else wants to
GRACE_S = 10  # for a child to end by itself
OUT_OF_TIME = signal.SIGPROF  # ends a child whose item has spent its processor time; nothing else sends it
# All that a child gets of its parent's environment, which holds keys and passwords. CARPIPE_LOCAL marks the processes
# of a service on this machine, so that it can be stopped with all of them.
HANDED_ON = {"CARPIPE_LOCAL", "HOME", "LANG", "PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "TMPDIR"}
HANDED_ON_PREFIXES = ("LC_", "LD_")
# What glibc comes to by itself after the first large photo: pages that are given back are cleared for the next photo.
_MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(64 << 20)}
_LENGTH = struct.Struct("<I")
_BUFFER_BYTES = 65_536  # of a pipe, which holds no more
_LONGEST_POLL_MS = 2**31 - 1

Tag = TypeVar("Tag")


class Death(enum.Enum):
    """Why an item has no answer."""

    OVER_TIME = "it spent more processor time than a photo may"
    KILLED = "it ended the process that decoded it"
    WAITED = "its decoder came to no end, though it spent little"
    OUTSIDE = "somebody else ended the process that decoded it: the system, where memory runs out, or a person"


Answer = tuple[bytes, ...] | Death
_DEATHS = {OUT_OF_TIME: Death.OVER_TIME, signal.SIGALRM: Death.WAITED}
# What no decoder does to its own process.
_FROM_OUTSIDE = {signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGPWR}


class Isolated:
    """A function in a child process: `(bytes, settings) -> tuple of bytes`, given by name.

    Example:
        >>> with Isolated("carpipe.stages.clean_photo:clean_photo", settings, timeout_s=20, memory_mb=1024) as child:
        ...     answers = child.run([b"...", b"..."])
    """

    def __init__(
        self,
        function: str,
        settings: str,
        *,
        timeout_s: float,
        memory_mb: int,
        wall_s: float | None = None,
        niceness: int = 0,
    ):
        """Nothing is started yet.

        Args:
            function: `module:name`.
            settings: text that the function gets with each item; JSON as a rule.
            timeout_s: seconds of processor time for one item, all threads of the child together.
            memory_mb: MiB that the child may allocate.
            wall_s: seconds by the clock for one item; by default `PATIENCE` times as many.
            niceness: 0 to 19; with 19 the child has what others leave of the processors.
        """
        self._wall_s = PATIENCE * timeout_s if wall_s is None else wall_s
        self._command = [sys.executable, "-m", "carpipe.pictures.isolation_child", function]
        self._command += [str(timeout_s), str(self._wall_s), str(memory_mb), str(niceness)]
        self._settings = settings
        self._child: subprocess.Popen[bytes] | None = None
        self._pipe: _Pipe | None = None
        self._said: BinaryIO | None = None
        self._killed = False  # by us
        self.restarts = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def run(self, items: Sequence[bytes]) -> list[Answer]:
        """The function's answer to each item, in order; a `Death` for one that its process did not survive.

        Raises:
            UnavailableError: no child could be started, or somebody else ends them; that is no item's fault.
        """
        return list(self.answers(items))

    def answers(self, items: Sequence[bytes]) -> Iterator[Answer]:
        """As `run`, one by one: the child works on the next ones meanwhile, as far as its answers fit the pipe.

        When the child dies, the first item without an answer is the suspect, and the others go on in a fresh child.
        One that was over its time is the culprit, and is not tried again: it would spend that time twice. One that was
        there when the child crashed gets a second look alone, since what went before may have broken the child.

        Raises:
            UnavailableError: as `run`.
        """
        done = 0
        while done < len(items):
            for answer in self._ask(items[done:]):
                done += 1
                yield answer
            if done < len(items):
                death = self._bury()
                yield death if death is Death.OVER_TIME else self._once_more(items[done])
                done += 1

    def _once_more(self, item: bytes) -> Answer:
        answer = self.once(item)
        if answer is Death.OUTSIDE:
            raise UnavailableError(
                "The process that decodes photos was killed twice from outside. Most often memory has run out: give "
                "the machine more, let fewer tasks run at a time, or lower clean.memory_mb."
            )
        return answer

    def once(self, item: bytes, settings: str | None = None) -> Answer:
        """The answer to one item, tried once.

        Args:
            item: the bytes.
            settings: instead of those of the child.
        """
        for answer in self._ask([item], settings):
            return answer
        return self._bury()

    def start(self) -> None:
        """Start the child now, if there is none; else it starts with the first item.

        Raises:
            CarpipeError: it could not be started.
        """
        if self._child is None:
            self._start()

    @property
    def is_running(self) -> bool:
        """Whether there is a child that waits for items; one may have been killed meanwhile."""
        return self._child is not None and self._child.poll() is None

    def stop(self) -> None:
        """End the child, whatever it does."""
        self.kill()
        self._reap()

    def kill(self) -> None:
        """End the child for a thread that waits for its answer, or for its start; that one cleans up."""
        if (child := self._child) is not None:
            self._kill(child)

    def _kill(self, child: "subprocess.Popen[bytes]") -> None:
        self._killed = True
        child.kill()

    def _ask(self, items: Sequence[bytes], settings: str | None = None) -> Iterator[tuple[bytes, ...]]:
        """Answers as far as the child gets. It reads all items before it answers, so neither waits for the other."""
        self.start()
        child = self._child
        if child is None:
            return
        # The child keeps the time of each item itself; this is for one that cannot: stopped, or out of step.
        with suppress(EOFError, BrokenPipeError):
            with self._killed_after(START_S, child):
                send(_stream(child.stdin), [(self._settings if settings is None else settings).encode(), *items])
            for _ in items:
                yield tuple(self._receive(within_s=GRACE_S + self._wall_s))

    def _bury(self) -> Death:
        """What ended a child that answers no more."""
        self.restarts += 1
        ended_by = -self._reap()
        if ended_by in _FROM_OUTSIDE and not self._killed:
            return Death.OUTSIDE
        return next((death for signalled, death in _DEATHS.items() if signalled == ended_by), Death.KILLED)

    def _reap(self) -> int:
        child, self._child = self._child, None
        self._pipe = self._said = None
        if child is None:
            return 0
        with self._killed_after(GRACE_S, child):  # one that has closed its output, and lives
            child.communicate()
        return child.returncode

    def _start(self) -> None:
        # It finds modules where its parent does. One thread a child: tasks are what runs in parallel.
        path = os.pathsep.join(filter(None, sys.path))
        kept = {name: value for name, value in os.environ.items() if _handed_on(name)}
        environment = {**kept, **_MALLOC, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        child = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        self._child, self._killed = child, False
        self._pipe = _Pipe(_stream(child.stdout).fileno(), lambda: self._kill(child))
        self._said = io.BufferedReader(self._pipe, _BUFFER_BYTES)
        try:
            self._receive(within_s=START_S)  # it says hello once it has imported the function
        except EOFError:
            status = self._reap()
            raise UnavailableError(
                f"The process that decodes photos ended with {status} before it saw one; its log says why."
            ) from None

    def _receive(self, *, within_s: float) -> list[bytes]:
        """The child's next message. Raises EOFError: there is none, in that time."""
        pipe, said = self._pipe, self._said
        if pipe is None or said is None:
            raise EOFError
        pipe.until = time.monotonic() + within_s
        return receive(said)

    @contextmanager
    def _killed_after(self, seconds: float, child: "subprocess.Popen[bytes]") -> Iterator[None]:
        timer = threading.Timer(seconds, self._kill, [child])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


class _Pipe(io.RawIOBase):
    """What a child says. It is waited for until `until` of the monotonic clock; then the child is killed.

    That ends what it says. A thread that watches the clock would cost as much as a tenth of decoding a small photo.
    """

    def __init__(self, descriptor: int, kill: Callable[[], None]):
        self.until = 0.0
        # Of its own: whoever stops the child closes the other one, perhaps while this one is waited for.
        self._descriptor, self._kill = os.dup(descriptor), kill
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLIN)

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()

    def readinto(self, buffer: Any) -> int:
        left_ms = 1000 * max(0.0, self.until - time.monotonic())
        if not self._poll.poll(min(left_ms, _LONGEST_POLL_MS)):
            self._kill()
        return os.readv(self._descriptor, [buffer])


@contextmanager
def looking_at_photo(key: str) -> Iterator[None]:
    """Names the photo where no process could look at it: if it is always the same, it may be the cause."""
    try:
        yield
    except UnavailableError as error:
        raise UnavailableError(
            f"{error} It was looking at '{shown(key)}'. If it is always this photo, delete it from raw/."
        ) from error


def _handed_on(name: str) -> bool:
    return name in HANDED_ON or name.startswith(HANDED_ON_PREFIXES)


def send(stream: BinaryIO, blobs: Sequence[bytes]) -> None:
    """Write a message: the number of blobs, their lengths, and the blobs."""
    stream.write(struct.pack(f"<{1 + len(blobs)}I", len(blobs), *map(len, blobs)))
    for blob in blobs:
        stream.write(blob)
    stream.flush()


def receive(stream: BinaryIO) -> list[bytes]:
    """Read a message.

    Raises:
        EOFError: the other side is gone.
    """
    (count,) = _LENGTH.unpack(_read(stream, _LENGTH.size))
    lengths = struct.unpack(f"<{count}I", _read(stream, count * _LENGTH.size))
    return [_read(stream, length) if length else b"" for length in lengths]


def in_chunks(items: Iterator[tuple[Tag, bytes]], *, most: int = CHUNK_ITEMS) -> Iterator[list[tuple[Tag, bytes]]]:
    """Cut (anything, bytes) into lists of at most `most` and, unless one item is larger, CHUNK_BYTES."""
    chunk: list[tuple[Tag, bytes]] = []
    size = 0
    for item in items:
        if chunk and (len(chunk) == most or size + len(item[1]) > CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(item)
        size += len(item[1])
    if chunk:
        yield chunk


def _read(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _stream(pipe: Any) -> BinaryIO:
    stream: BinaryIO = pipe
    return stream
