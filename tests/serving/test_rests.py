"""Who was refused as the server is busy is not read before it may come again, and gains nothing by coming anew."""

import contextlib
import time

import pytest

from carpipe.serving import refusals
from carpipe.serving.rests import OwedRests
from tests.serving.wire import (
    WHOLE,
    ask,
    connect,
    is_readable,
    read,
    refused,
)


def test_who_was_refused_is_not_read_before_it_may_come_again(up, monkeypatch):
    monkeypatch.setattr(refusals, "RETRY_AFTER", 100)
    port = up()
    with contextlib.ExitStack() as stack:
        one = refused(stack, port)
        one.sendall(WHOLE)

        assert ask(port).status_code == 200  # another connection, of the same address
        [channel] = [one for one in up.servers[0].active_channels.values() if one.is_resting]
        assert not channel.readable()
        channel.rests_until = 0
        read(one, lambda got: b"200 OK" in got)


@pytest.mark.parametrize("last", [b"", WHOLE])
def test_who_was_refused_does_not_gain_by_coming_anew(up, monkeypatch, last):
    monkeypatch.setattr(refusals, "RETRY_AFTER", 100)
    port = up()
    with contextlib.ExitStack() as stack:
        gone = [refused(stack, port) for _ in range(2)]
        for one in gone:
            one.sendall(last)
            one.close()
        again = [connect(stack, port, WHOLE) for _ in range(2)]

        assert ask(port).status_code == 200  # two have left, and two rest for them
        assert not any(map(is_readable, again))
        assert sum(one.is_resting for one in up.servers[0].active_channels.values()) == 2


def test_another_address_does_not_rest(up, monkeypatch):
    monkeypatch.setattr(refusals, "RETRY_AFTER", 100)
    port = up()
    with contextlib.ExitStack() as stack:
        refused(stack, port, source="127.0.2.1").close()

        assert ask(port).status_code == 200


def test_a_proxy_does_not_rest_since_it_is_many(up, monkeypatch):
    monkeypatch.setattr(refusals, "RETRY_AFTER", 100)
    port = up(trusted_proxy="127.0.0.1")
    with contextlib.ExitStack() as stack:
        one = refused(stack, port)
        one.sendall(WHOLE)

        read(one, lambda got: b"200 OK" in got)


def test_each_new_connection_rests_for_one_that_is_gone_the_first_for_the_first():
    soon = time.monotonic() + 100
    owed = OwedRests()
    for until in (soon, soon + 1):
        owed.leave("a", until)

    assert [owed.take("b"), *(owed.take("a") for _ in range(3))] == [0, soon, soon + 1, 0]


def test_what_nobody_takes_is_forgotten():
    owed = OwedRests()
    for number in range(100):
        owed.leave(f"{number}", time.monotonic() + 0.001)
    time.sleep(0.01)
    owed.take("another")

    assert not owed._owed


def test_what_is_owed_ends_with_its_time():
    rests = OwedRests()
    rests.leave("a", time.monotonic() - 1)
    rests.leave("b", until := time.monotonic() + 100)

    assert (rests.take("a"), rests.take("b"), rests.take("b")) == (0, until, 0)
