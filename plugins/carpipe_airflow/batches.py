"""Lists to map tasks over, as long as Airflow allows, and what mapped tasks hand on."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from airflow.sdk.configuration import conf

T = TypeVar("T")


def batches(items: Sequence[T], most: int = 0) -> list[list[T]]:
    """The items in their order, in lists of equal length: of one item each, if that makes no more than `most` of them.

    Args:
        most: 0: as many as Airflow maps a task over, `core.max_map_length`.
    """
    most = most or conf.getint("core", "max_map_length", fallback=1024)
    size = max(1, -(-len(items) // most))
    return [list(items[start : start + size]) for start in range(0, len(items), size)]


def flat(handed_on: Any) -> Iterator[str]:
    """The keys that the tasks of a mapped group have returned, as lists of them.

    Nothing where there was nothing to map over. Where a group has run just once Airflow hands over what it returned,
    not a list of it.
    """
    if isinstance(handed_on, str):
        yield handed_on
    elif isinstance(handed_on, Iterable):
        for one in handed_on:
            yield from flat(one)
