"""Work that threads do a little ahead of who needs it: in order, and bounded in number and in bytes.

`work_ahead` is for work that is done side by side, and takes what is known beforehand. `take_ahead` is for what one
source makes, and takes what is known only then.
"""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

# Items begun ahead, for each thread: enough that none waits for the one who asks.
MAX_ITEMS_PER_THREAD = 4


def work_ahead(
    work: Callable[[Item], Answer],
    items: Iterable[Item],
    *,
    size: Callable[[Item], int],
    threads: int,
    budget: int,
) -> Iterator[Answer]:
    """The answers in the order of the items. What has begun and was not handed out yet takes at most `budget` bytes.

    One item is always begun, however large it is, so that nothing waits for ever. What was handed out is no longer
    counted.

    Args:
        size: bytes that an item takes from its begin on.
        budget: bytes.
    """
    remaining = ((item, size(item)) for item in items)
    following = next(remaining, None)
    begun: deque[Future[Answer]] = deque()
    sizes: deque[int] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        while following is not None or begun:
            while following is not None and _has_room(sizes, following[1], threads=threads, budget=budget):
                sizes.append(following[1])
                begun.append(pool.submit(work, following[0]))
                following = next(remaining, None)
            sizes.popleft()
            # No name for it here: it would be held while the one who asks works on it.
            yield begun.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _has_room(sizes: deque[int], size: int, *, threads: int, budget: int) -> bool:
    return not sizes or (len(sizes) < MAX_ITEMS_PER_THREAD * threads and sum(sizes) + size <= budget)


def take_ahead(items: Iterator[Item], *, size: Callable[[Item], int], budget: int) -> Generator[Item]:
    """The same items, taken by a thread before they are asked for, as long as those that wait have less than `budget`.

    So what waits takes at most that and one item. Close the generator where it is left early: its thread ends then.

    Args:
        size: bytes that an item takes.
        budget: bytes.
    """
    queue = _Queue(size, budget)
    with ThreadPoolExecutor(1, thread_name_prefix="carpipe-ahead") as pool:
        filled = pool.submit(queue.fill, items)
        try:
            yield from queue.emptied()
            filled.result()
        finally:
            queue.close()


class _Queue(Generic[Item]):
    """Items between the thread that takes them and the one that needs them."""

    def __init__(self, size: Callable[[Item], int], budget: int):
        self._size, self._budget = size, budget
        self._waiting: deque[tuple[Item, int]] = deque()
        self._bytes = 0
        self._closed = False
        self._changed = threading.Condition()

    def fill(self, items: Iterator[Item]) -> None:
        try:
            while self._has_room():
                item = next(items)
                with self._changed:
                    self._waiting.append((item, self._size(item)))
                    self._bytes += self._waiting[-1][1]
                    self._changed.notify_all()
                del item
        except StopIteration:
            pass
        finally:
            self.close()

    def emptied(self) -> Iterator[Item]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                item, size = self._waiting.popleft()
                self._bytes -= size
                self._changed.notify_all()
            yield item
            del item

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _has_room(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._bytes < self._budget)
            return not self._closed
