"""Somebody who looks on while steps work, and remembers what every bar came to."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from carpipe.progress import Bar, Progress


@dataclass
class Seen(Bar):
    """What a bar shows, and whether its work has ended."""

    what: str
    total: float | None
    unit: str
    done: float = 0
    ended: bool = False

    def at(self, done: float, *, total: float | None = None, what: str = "") -> None:
        assert not self.ended
        self.done, self.total, self.what = done, total or self.total, what or self.what

    def advance(self) -> None:
        self.at(self.done + 1)


class Looking(Progress):
    """All bars there were, in the order in which they began."""

    def __init__(self) -> None:
        self.bars: list[Seen] = []

    @contextlib.contextmanager
    def bar(self, what: str, *, total: float | None = None, unit: str = "") -> Iterator[Bar]:
        seen = Seen(what, total, unit)
        self.bars.append(seen)
        yield seen
        seen.ended = True

    def one(self, what: str) -> Seen:
        """The bar of that name; it has ended."""
        (found,) = [bar for bar in self.bars if bar.what == what]
        assert found.ended
        return found
