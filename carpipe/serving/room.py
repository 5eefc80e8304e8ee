"""Room for candidates: old ones are deleted, and all of them together stay below a number of bytes.

What nobody said anything of goes first: what people say is worth more than a doubt of the model's.
"""

import datetime
import itertools
import logging
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from carpipe.backports import UTC
from carpipe.config import ServingConfig
from carpipe.errors import CarpipeError
from carpipe.storage import ObjectInfo, Store
from carpipe.weights.contract import candidates_folder

log = logging.getLogger(__name__)

# Seconds between two looks at what lies in the bucket, and at least between two where it is full.
LOOK_S, FULL_LOOK_S = 3600.0, 60.0
# Of `serving.candidates_mb`, what is left where there is more: room for the next ones.
LEFT = 0.9
_NAME = re.compile(r"(?P<day>[0-9]{8})/(?P<id>[0-9a-f]{32})(?:\.jpg|(?P<said>-[0-9a-f]{8})?\.json)")


@dataclass(frozen=True)
class Kept:
    """A candidate as a listing shows it: its objects, and `day` as YYYYmmdd. `said`: people have judged its answer."""

    day: str
    said: bool
    objects: tuple[ObjectInfo, ...]

    @property
    def bytes(self) -> int:
        return sum(info.size for info in self.objects)


class Room:
    """How much of it there is. For one thread; of several servers each makes room by itself."""

    def __init__(self, store: Store, config: ServingConfig):
        self._store = store
        self._folder = candidates_folder(config.channel)
        self._days, self._max_bytes = config.candidates_days, config.candidates_mb * 1_000_000
        self._used = 0
        self._looked: float | None = None

    def takes(self, size: int) -> bool:
        """Whether that many bytes more may be written; counts them as written."""
        patience = LOOK_S if self._used + size <= self._max_bytes else FULL_LOOK_S
        if self._looked is None or time.monotonic() - self._looked > patience:
            self.tidy()
        if self._used + size > self._max_bytes:
            return False
        self._used += size
        return True

    def tidy(self) -> None:
        """Delete what is too old or too much. A bucket that does not let us is logged; then nothing goes."""
        self._looked = time.monotonic()
        try:
            objects = list(self._store.list_objects(self._folder))
            candidates = candidates_in(self._folder, objects)
            # What others have put there is theirs: it neither counts nor goes.
            self._used = sum(candidate.bytes for candidate in candidates)
            today = datetime.datetime.now(UTC).date()
            oldest = f"{today - datetime.timedelta(days=self._days):%Y%m%d}"
            leaving = leaving_of(candidates, oldest=oldest, too_much=self._used - LEFT * self._max_bytes)
            self._store.delete(info.key for candidate in leaving for info in candidate.objects)
            self._used -= sum(candidate.bytes for candidate in leaving)
        except CarpipeError as error:
            log.warning("old candidates stay: %s", error)
            return
        if leaving:
            log.info("%d candidates were deleted: older than %d days, or too much", len(leaving), self._days)


def candidates_in(folder: str, objects: Sequence[ObjectInfo]) -> list[Kept]:
    """The candidates of a listing in the order in which they may go. Objects of other names are none, and stay."""
    named = [(match, info) for info in objects if (match := _NAME.fullmatch(info.key.removeprefix(f"{folder}/")))]
    by_id = sorted(named, key=lambda one: (one[0]["day"], one[0]["id"]))
    groups = [list(group) for _, group in itertools.groupby(by_id, key=lambda one: (one[0]["day"], one[0]["id"]))]
    kept = [
        Kept(group[0][0]["day"], any(match["said"] for match, _ in group), tuple(info for _, info in group))
        for group in groups
    ]
    return sorted(kept, key=lambda one: (one.said, one.day))


def leaving_of(candidates: Sequence[Kept], *, oldest: str, too_much: float) -> list[Kept]:
    """Those that go: from before the day `oldest`, and as many more, in their order, as make up for too many bytes."""
    old = [candidate for candidate in candidates if candidate.day < oldest]
    young = [candidate for candidate in candidates if candidate.day >= oldest]
    before = itertools.accumulate((candidate.bytes for candidate in young), initial=sum(one.bytes for one in old))
    return old + [candidate for candidate, freed in zip(young, before, strict=False) if freed < too_much]
