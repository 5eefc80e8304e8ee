"""In which order datasets came: by number. Where a bucket was copied, the storage's times are those of copying.

`datasets/order/<number>-<id>` is put there once a dataset is committed. Those of earlier versions get their numbers
with the next one; until then each comes after the one that it names as `previous`.
"""

import contextlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from carpipe import manifest
from carpipe.backports import UTC
from carpipe.errors import InputError
from carpipe.storage import Store

HOME = "datasets"
FOLDER = f"{HOME}/order"
# A number; how many come between it and this one; when this one was written.
Place = tuple[int, int, datetime]
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_ENTRY = re.compile(rf"{FOLDER}/(\d{{6,9}})-([^/]+)")


def newest_first(store: Store) -> list[str]:
    """Manifest keys of all datasets, the newest first."""
    numbers = _numbers(store)
    there = {folder.rpartition("/")[2] for folder in store.list_folders(HOME)} - {FOLDER.rpartition("/")[2]}
    places = {one: (number, 0, _LONG_AGO) for one, number in numbers.items() if one in there}
    if others := sorted(there - {*numbers}):
        places |= _places(store, others, numbers)
    return [_key(one) for one in sorted(places, key=lambda one: (places[one], one), reverse=True)]


def enter(store: Store, dataset: str) -> None:
    """Give a committed dataset the next number, after those of earlier versions that have none; no other than it has.

    Args:
        dataset: manifest key.
    """
    numbers, mine = _numbers(store), _id(dataset)
    if mine in numbers:
        return
    others = [one for one in map(_id, newest_first(store)) if one not in numbers and one != mine]
    for number, one in enumerate([*reversed(others), mine], start=max(numbers.values(), default=0) + 1):
        store.put(f"{FOLDER}/{number:06}-{one}", b"")


def _numbers(store: Store) -> dict[str, int]:
    """By the datasets' ids. One that was entered twice, by two runs at once, has its first."""
    entries = (_ENTRY.fullmatch(info.key) for info in store.list_usable(FOLDER))
    numbered = sorted(((int(entry[1]), entry[2]) for entry in entries if entry), reverse=True)
    return {one: number for number, one in numbered}


def _places(store: Store, others: Sequence[str], numbers: Mapping[str, int]) -> dict[str, Place]:
    """Of datasets without a number: how far behind which number, by what each names as `previous`; then by time."""
    keys = [_key(one) for one in others]
    before: dict[str, str] = {}
    times: dict[str, datetime] = {}
    for one, (key, data), info in zip(others, store.get_many(keys), store.heads(keys), strict=True):
        if data is None:  # no dataset: it was not committed
            continue
        times[one] = info.modified if info and info.modified else _LONG_AGO
        with contextlib.suppress(InputError):  # of a later version
            previous = manifest.from_json(data, key=key).extra.get("previous")
            before[one] = _id(previous) if isinstance(previous, str) and "/" in previous else ""
    places = {}
    for one, time in times.items():
        steps, at, seen = 0, one, {one}
        while at in times and before.get(at) and before[at] not in seen:
            steps, at = steps + 1, before[at]
            seen.add(at)
        places[one] = (numbers.get(at, 0), steps, time)
    return places


def _key(dataset: str) -> str:
    return f"{HOME}/{dataset}/manifest.json"


def _id(key: str) -> str:
    return key.split("/")[1]
