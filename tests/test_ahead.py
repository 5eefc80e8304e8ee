"""Work ahead: in order, never more than the budget, and never stuck."""

import threading
import time

import pytest

from carpipe.ahead import take_ahead, work_ahead


class Counting:
    """Work that knows how much of it is held: begun, and not handed out yet."""

    def __init__(self):
        self.lock = threading.Lock()
        self.held = self.most = self.begun = 0

    def begin(self, size):
        with self.lock:
            self.held += size
            self.begun += 1
            self.most = max(self.most, self.held)
        return size

    def run(self, sizes, **limits):
        done = []
        for size in work_ahead(self.begin, sizes, size=lambda size: size, **limits):
            with self.lock:
                self.held -= size
            done.append(size)
        return done


@pytest.mark.parametrize(
    ("sizes", "most"),
    [
        ([8] * 50, 64),
        ([1] * 500, 64),
        ([100, 1, 100, 1, 1], 100),
        ([1, 1, 300, 1, 1] * 9, 300),
        ([64, 64, 1], 64),
        ([0] * 200, 0),
        ([], 0),
    ],
)
def test_the_order_stays_and_the_budget_holds(sizes, most):
    work = Counting()
    assert work.run(iter(sizes), threads=4, budget=64) == sizes
    assert work.most <= most


def test_so_many_are_begun_ahead_and_no_more():
    work = Counting()
    answers = work_ahead(work.begin, [1] * 1000, size=lambda size: size, threads=4, budget=10_000)
    next(answers)
    answers.close()
    assert work.begun <= 16


def test_an_error_comes_at_its_turn():
    def fail(number):
        if number == 3:
            raise ValueError("three")
        return number

    answers = work_ahead(fail, range(100), size=lambda number: 1, threads=4, budget=64)
    assert [next(answers) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(answers)


def taken(sizes, budget, *, pause=0.0):
    """Items one by one, and how many bytes of them were held by nobody but `take_ahead` at most."""
    held, most, lock = 0, 0, threading.Lock()

    def source():
        nonlocal held, most
        for size in sizes:
            with lock:
                held += size
                most = max(most, held)
            yield size

    found = []
    for size in take_ahead(source(), size=lambda size: size, budget=budget):
        with lock:
            held -= size
        found.append(size)
        time.sleep(pause)
    return found, most


@pytest.mark.parametrize("sizes", [[8] * 50, [1] * 500, [100, 1, 100, 1, 1], [1, 1, 300, 1, 1] * 9, [0] * 200, []])
def test_what_was_taken_ahead_stays_within_the_budget_and_one_item(sizes):
    found, most = taken(iter(sizes), 64, pause=0.001)

    assert found == sizes
    assert most <= 64 + 2 * max(sizes, default=0)  # what waits, what is being taken, what is being handed out


def test_items_are_taken_while_the_one_before_is_worked_on():
    begun = threading.Event()

    def source():
        yield 1
        begun.set()
        yield 2

    items = take_ahead(source(), size=lambda item: 1, budget=64)

    assert next(items) == 1
    assert begun.wait(30)
    assert list(items) == [2]


def test_what_the_source_raises_comes_after_what_it_gave():
    def source():
        yield 1
        raise KeyError("gone")

    items = take_ahead(source(), size=lambda item: 1, budget=64)

    assert next(items) == 1
    with pytest.raises(KeyError, match="gone"):
        next(items)


def test_nothing_is_taken_behind_the_end():
    count = iter(range(10**9))
    items = take_ahead(count, size=lambda item: 1, budget=4)
    assert next(items) == 0
    items.close()
    number = next(count)

    assert number < 10
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("carpipe-ahead")]
