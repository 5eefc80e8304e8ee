"""What work tells of how far it is."""

import weakref

import pytest

from carpipe.progress import UNSEEN
from tests.looking import Looking


class Photo:
    pass


def test_items_are_done_when_the_next_is_asked_for():
    looking = Looking()
    with looking.bar("pack", total=2) as bar:
        items = bar.each(["a", "b"])
        assert (next(items), looking.bars[0].done) == ("a", 0)
        assert (next(items), looking.bars[0].done) == ("b", 1)
        assert list(items) == []
    assert looking.one("pack").done == 2


@pytest.mark.parametrize("progress", [UNSEEN, Looking()])
def test_items_are_not_held_on_to(progress):
    with progress.bar("photos") as bar:
        items = bar.each(Photo() for _ in range(2))
        first = weakref.ref(next(items))
        next(items)
        assert first() is None


def test_nobody_looks_on_by_default():
    with UNSEEN.bar("pack", total=2) as bar:
        bar.at(1, total=3, what="other")
        bar.advance()
        assert list(bar.each([1, 2])) == [1, 2]
