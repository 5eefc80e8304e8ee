"""What the detector sees of photos: pictures that processes decode, one or several of them, in the photos' order."""

import logging
import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from queue import SimpleQueue
from typing import NamedTuple

from PIL import Image

from carpipe.ahead import take_ahead
from carpipe.pictures.isolation import CHUNK_ITEMS, Isolated, in_chunks, looking_at_photo
from carpipe.pictures.look import Refused, understood

log = logging.getLogger(__name__)

# Processes that decode for a GPU, which looks at thousands of photos while one of them decodes some hundreds.
_DECODERS_OF_A_GPU = 8
# Where there are several, each gets few photos at a time, so that none waits long for its turn, and so many bytes of
# pictures may wait for that, one more at most.
_PHOTOS_A_TURN, _MAX_WAITING_BYTES = 4, 30_000_000

# Photos that are decoded together: (key, whether the object has gone), bytes.
_Chunk = list[tuple[tuple[str, bool], bytes]]


class View(NamedTuple):
    """What the detector sees of a photo, and the size of the whole."""

    key: str
    image: Image.Image
    size: tuple[int, int]

    @property
    def bytes(self) -> int:
        """That the pixels take: Pillow has four for each."""
        return 4 * self.image.width * self.image.height


class Unseen(NamedTuple):
    """A photo that cannot be looked at, and why."""

    key: str
    reason: str


def bytes_of(found: View | Unseen | None) -> int:
    """What its pixels take."""
    return found.bytes if isinstance(found, View) else 0


def decoders(*, on_gpu: bool) -> int:
    """How many processes should decode for a detector: where it needs the processor itself, one."""
    cores = len(os.sched_getaffinity(0))
    return max(1, min(_DECODERS_OF_A_GPU, cores - 1)) if on_gpu else 1


def decode_all(photos: Iterable[tuple[str, bytes | None]], children: Sequence[Isolated]) -> Generator[View | Unseen]:
    """What is seen of each photo, in their order. Several processes take turns, each a little ahead.

    Close it before the processes, where it is left early: its threads end then.

    Args:
        photos: (key, bytes); None where the object has gone.
        children: processes that run `carpipe.pictures.look`.

    Raises:
        UnavailableError: as `Isolated.answers`; names the photo.
    """
    if len(children) == 1:
        for chunk in _chunks(photos, most=CHUNK_ITEMS):
            yield from _decode(chunk, children[0])
        return
    with ExitStack() as stack:
        queues: list[SimpleQueue[_Chunk | None]] = [SimpleQueue() for _ in children]
        lanes = [
            stack.enter_context(closing(take_ahead(_turns(*pair), size=bytes_of, budget=_MAX_WAITING_BYTES)))
            for pair in zip(queues, children, strict=True)
        ]
        for queue in queues:
            stack.callback(queue.put, None)  # it ends before its thread is waited for
        for lane in lanes:
            next(lane)  # all begin now, not each with its first turn
        waiting: deque[Iterator[View | Unseen | None]] = deque()
        for number, chunk in enumerate(_chunks(photos, most=_PHOTOS_A_TURN)):
            queues[number % len(children)].put(chunk)
            waiting.append(lanes[number % len(children)])
            if len(waiting) > 2 * len(children):
                yield from _turn(waiting.popleft())
        while waiting:
            yield from _turn(waiting.popleft())


def _turn(lane: Iterator[View | Unseen | None]) -> Iterator[View | Unseen]:
    """What a process has made of its next chunk."""
    while (found := next(lane)) is not None:
        yield found
        del found


def _turns(queue: "SimpleQueue[_Chunk | None]", child: Isolated) -> Iterator[View | Unseen | None]:
    """What a process makes of its chunks; None before the first and behind each."""
    yield None
    while (chunk := queue.get()) is not None:
        yield from _decode(chunk, child)
        yield None


def _chunks(photos: Iterable[tuple[str, bytes | None]], *, most: int) -> Iterator[_Chunk]:
    return in_chunks((((key, data is None), data or b"") for key, data in photos), most=most)


def _decode(chunk: _Chunk, child: Isolated) -> Iterator[View | Unseen]:
    answers = child.answers([data for (_, is_gone), data in chunk if not is_gone])
    for (key, is_gone), _ in chunk:
        with looking_at_photo(key):
            found = Refused("missing") if is_gone else understood(next(answers))
        if isinstance(found, Refused):
            if found.reason == "poison":
                log.warning("%s is dropped as poison: %s", key, found.message)
            yield Unseen(key, found.reason)
        elif found is not None:
            yield View(key, Image.fromarray(found.pixels), found.size)
