"""Work ahead: in order, never more than the budget, and never stuck."""

import threading

import pytest

from carpipe.ahead import work_ahead


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
