"""How far a long piece of work is, for whoever looks on. Work tells it here, and knows nothing of terminals.

Nobody looks on by default. The command line does, where it has a terminal: `carpipe/cli/bars.py`.
"""

import contextlib
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


class Bar:
    """One piece of work, while it lasts. This one shows nothing."""

    def at(self, done: float, *, total: float | None = None, what: str = "") -> None:
        """So much is done, since the beginning; `total` and `what` where they are others than before."""

    def advance(self) -> None:
        """One more is done."""

    def each(self, items: Iterable[Item]) -> Iterator[Item]:
        """The same items, one by one. Each is done when the next is asked for, and not held on to until then."""
        for item in items:
            yield item
            del item
            self.advance()


class Progress:
    """Who looks on: has a bar for each piece of work. This one does not look."""

    @contextlib.contextmanager
    def bar(self, what: str, *, total: float | None = None, unit: str = "") -> Iterator[Bar]:
        """A bar for the time of a `with` block; they may lie within each other.

        Args:
            what: a few words, such as `pack`.
            total: how much there is to do; None: that is not known.
            unit: of `total`, such as `photos`.
        """
        yield Bar()


UNSEEN = Progress()
