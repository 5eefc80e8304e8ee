"""Run a function on hostile bytes in a child process: what kills or hangs the child costs one item.

The child is a fresh interpreter that imports the function's module and nothing else of the pipeline, so it starts
fast, owns no thread and inherits no lock. It ends itself when its parent is gone (end of its input) and when an item
takes too long (a timer of the kernel's, which no decoder can hold up).
"""

import os
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, Self, TypeVar

from carpipe.errors import UnavailableError

# Items larger than this go over one by one: a child holds one chunk in memory.
CHUNK_BYTES = 8_000_000
CHUNK_ITEMS = 64
START_S = 120  # for the imports, on a machine that has other things to do
# All that a child gets of its parent's environment, which holds keys and passwords. CARPIPE_LOCAL marks the processes
# of a service on this machine, so that it can be stopped with all of them.
HANDED_ON = {"CARPIPE_LOCAL", "HOME", "LANG", "PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "TMPDIR"}
HANDED_ON_PREFIXES = ("LC_", "LD_")
_LENGTH = struct.Struct("<I")

Tag = TypeVar("Tag")


class Isolated:
    """A function in a child process: `(bytes, settings) -> tuple of bytes`, given by name.

    Example:
        >>> with Isolated("carpipe.stages.clean_photo:clean_photo", settings, timeout_s=20, memory_mb=1024) as child:
        ...     answers = child.run([b"...", b"..."])
    """

    def __init__(self, function: str, settings: str, *, timeout_s: float, memory_mb: int):
        """`settings` is text that the function gets with each item; JSON as a rule."""
        self._command = [sys.executable, "-m", "carpipe.pictures.isolation_child", function, settings]
        self._command += [str(timeout_s), str(memory_mb)]
        self._timeout_s = timeout_s
        self._child: subprocess.Popen[bytes] | None = None
        self.restarts = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def run(self, items: Sequence[bytes]) -> list[tuple[bytes, ...] | None]:
        """The function's answer to each item, in order; None for an item that its process did not survive.

        When the child dies, the items that it had not answered go one by one into fresh children: the one that dies
        again, alone, is the culprit, and the others lose nothing.

        Raises:
            CarpipeError: no child could be started; that is no item's fault.
        """
        answers: list[tuple[bytes, ...] | None] = list(self._ask(items))
        if len(answers) < len(items):
            self._stop()
            self.restarts += 1
            answers += map(self._ask_alone, items[len(answers) :])
        return answers

    def _ask_alone(self, item: bytes) -> tuple[bytes, ...] | None:
        """The answer for an item that was there when the child ended: it may have been another's fault."""
        answers = list(self._ask([item]))
        if answers:
            return answers[0]
        self._stop()
        self.restarts += 1
        return None

    def _ask(self, items: Sequence[bytes]) -> Iterator[tuple[bytes, ...]]:
        """Answers as far as the child gets. It reads all items before it answers, so neither waits for the other."""
        if self._child is None:
            self._child = self._start()
        # The child keeps the time of each item itself; this is for one that cannot: stopped, or out of step.
        with _killed_after(START_S + len(items) * self._timeout_s, self._child), suppress(EOFError, BrokenPipeError):
            send(_stream(self._child.stdin), items)
            for _ in items:
                yield tuple(receive(_stream(self._child.stdout)))

    def _start(self) -> subprocess.Popen[bytes]:
        # It finds modules where its parent does. One thread a child: tasks are what runs in parallel.
        path = os.pathsep.join(filter(None, sys.path))
        kept = {name: value for name, value in os.environ.items() if _handed_on(name)}
        environment = {**kept, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        child = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        try:
            with _killed_after(START_S, child):
                receive(_stream(child.stdout))  # it says hello once it has imported the function
        except EOFError:
            child.communicate()
            raise UnavailableError(
                f"The process that decodes photos ended with {child.returncode} before it saw one; its log says why."
            ) from None
        return child

    def _stop(self) -> None:
        if self._child is None:
            return
        child, self._child = self._child, None
        child.kill()
        child.communicate()


def _handed_on(name: str) -> bool:
    return name in HANDED_ON or name.startswith(HANDED_ON_PREFIXES)


@contextmanager
def _killed_after(seconds: float, child: subprocess.Popen[bytes]) -> Iterator[None]:
    timer = threading.Timer(seconds, child.kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def send(stream: BinaryIO, blobs: Sequence[bytes]) -> None:
    """Write a message: the number of blobs, then each with its length."""
    stream.write(_LENGTH.pack(len(blobs)))
    for blob in blobs:
        stream.write(_LENGTH.pack(len(blob)))
        stream.write(blob)
    stream.flush()


def receive(stream: BinaryIO) -> list[bytes]:
    """Read a message.

    Raises:
        EOFError: the other side is gone.
    """
    (count,) = _LENGTH.unpack(_read(stream, _LENGTH.size))
    return [_read(stream, _LENGTH.unpack(_read(stream, _LENGTH.size))[0]) for _ in range(count)]


def in_chunks(items: Iterator[tuple[Tag, bytes]]) -> Iterator[list[tuple[Tag, bytes]]]:
    """Cut (anything, bytes) into lists of at most CHUNK_ITEMS and, unless one item is larger, CHUNK_BYTES."""
    chunk: list[tuple[Tag, bytes]] = []
    size = 0
    for item in items:
        if chunk and (len(chunk) == CHUNK_ITEMS or size + len(item[1]) > CHUNK_BYTES):
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
