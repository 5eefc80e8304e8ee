"""Work that threads do a little ahead of who needs it: in order, and bounded in number and in bytes."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

# Items begun ahead, for each thread: enough that none waits for the one who asks.
AHEAD = 4


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
    return not sizes or (len(sizes) < AHEAD * threads and sum(sizes) + size <= budget)
