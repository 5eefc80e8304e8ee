"""Where time goes, said in a way that adds up."""

import math
import threading

import pytest

from carpipe import spent as module
from carpipe.spent import Spent, read_spent


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on when it is told to."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])

    def go(seconds):
        now[0] += seconds

    return go


def test_what_begins_within_something_else_is_not_counted_for_that(clock):
    spent = Spent()
    with spent.on("decoding"):
        clock(2)
        for _ in spent.waiting("fetching", (clock(30) for _ in range(2))):
            with spent.on("network"):
                clock(500)
            clock(1)
    assert spent.seconds == {"fetching": 60, "decoding": 4, "network": 1000}
    assert list(spent.seconds) == ["fetching", "decoding", "network"]


def test_threads_count_each_for_itself(clock):
    spent = Spent()

    def work():
        with spent.on("network"):
            clock(5)

    with spent.on("decoding"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert spent.seconds == {"network": 5, "decoding": 5}


def test_an_error_within_is_counted_and_goes_on(clock):
    spent = Spent()
    with pytest.raises(TypeError), spent.on("decoding"), spent.on("network"):
        clock(1, 2)
    clock(1)
    with spent.on("network"):
        clock(2)
    assert spent.seconds == {"decoding": 0, "network": 2}


@pytest.mark.parametrize("said", [None, [], "x", {"network": "1"}, {"network": math.nan}, {"network": -1}, {"new": 1}])
def test_what_is_no_time_is_none(said):
    assert read_spent(said) == {}


def test_what_a_manifest_says_is_read():
    assert read_spent({"network": 1, "fetching": 0.5, "later": 3}) == {"fetching": 0.5, "network": 1.0}
