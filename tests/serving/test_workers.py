"""Who finds no place is refused at once, and no client takes all of them."""

import contextlib

import pytest

from carpipe.serving.workers import BusyError, Places, Workers


@pytest.mark.parametrize(("count", "share"), [(16, 12), (4, 3), (2, 1), (1, 1)])
def test_a_client_leaves_a_place_to_others(count, share):
    places = Places(count)
    with contextlib.ExitStack() as stack:
        for _ in range(share):
            stack.enter_context(places.taken("a"))
        with pytest.raises(BusyError):
            stack.enter_context(places.taken("a"))
        for _ in range(count - share):
            stack.enter_context(places.taken("b"))
        with pytest.raises(BusyError, match="busy"):
            stack.enter_context(places.taken("c"))
    with contextlib.ExitStack() as stack:
        for _ in range(share):
            stack.enter_context(places.taken("a"))


def test_a_place_is_given_back_when_the_work_fails():
    places = Places(1)
    with pytest.raises(ValueError, match="work"), places.taken("a"):
        raise ValueError("work")
    with places.taken("b"):
        pass


def test_work_that_fails_leaves_its_thread_to_others():
    workers = Workers(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            workers.run(lambda: 1 / 0)
    assert workers.run(lambda: 1) == 1
    workers.close()
