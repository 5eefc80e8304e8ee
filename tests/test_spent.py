"""Where time goes, said in a way that adds up."""

import math
import threading
import time

import pytest

from carpipe.spent import Spent, read_spent


def test_what_begins_within_something_else_is_not_counted_for_that():
    spent = Spent()
    started = time.monotonic()
    with spent.on("decoding"):
        time.sleep(0.02)
        for _ in spent.waiting("fetching", (time.sleep(0.03) for _ in range(2))):
            with spent.on("network"):
                time.sleep(0.01)
    elapsed = time.monotonic() - started
    found = spent.seconds
    assert list(found) == ["fetching", "decoding", "network"]
    assert found["fetching"] >= 0.06
    assert found["decoding"] >= 0.02
    assert found["network"] >= 0.02
    assert sum(found.values()) == pytest.approx(elapsed, abs=0.01)


def test_threads_count_each_for_itself():
    spent = Spent()

    def work():
        with spent.on("network"):
            time.sleep(0.05)

    threads = [threading.Thread(target=work) for _ in range(3)]
    with spent.on("decoding"):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert spent.seconds["network"] >= 0.15
    assert spent.seconds["decoding"] >= 0.05


def test_an_error_within_is_counted_and_goes_on():
    spent = Spent()
    with pytest.raises(ValueError, match="x"), spent.on("decoding"), spent.on("network"):
        raise ValueError("x")
    assert {*spent.seconds} == {"decoding", "network"}
    with spent.on("network"):
        pass


@pytest.mark.parametrize("said", [None, [], "x", {"network": "1"}, {"network": math.nan}, {"network": -1}, {"new": 1}])
def test_what_is_no_time_is_none(said):
    assert read_spent(said) == {}


def test_what_a_manifest_says_is_read():
    assert read_spent({"network": 1, "fetching": 0.5, "later": 3}) == {"fetching": 0.5, "network": 1.0}
