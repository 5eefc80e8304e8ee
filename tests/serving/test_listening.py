"""Senders that trickle shut nobody out, and whoever has most connections makes room."""

import contextlib
import errno
import socket

import pytest

from carpipe.serving import connections, refusals
from carpipe.serving import listening as module
from carpipe.serving.connections import Connection
from carpipe.serving.listening import Server
from tests.serving.conftest import wait_for
from tests.serving.wire import (
    HALF,
    LARGE,
    WHOLE,
    ask,
    connect,
    is_open,
    is_readable,
    read,
    refused,
)


def test_a_hundred_and_ten_that_trickle_hold_nobody_up(up):
    port = up()
    with contextlib.ExitStack() as stack:
        slow = [connect(stack, port, HALF) for _ in range(110)]

        assert ask(port).status_code == 200
        assert wait_for(lambda: sum(map(is_open, slow)) <= 64)


def test_many_addresses_that_trickle_hold_nobody_up(up):
    port = up(connections=40, connections_per_client=10)
    with contextlib.ExitStack() as stack:
        for number in range(150):
            connect(stack, port, HALF, source=f"127.0.1.{number % 50 + 1}")

        assert ask(port).status_code == 200


def test_the_slowest_goes_first_and_whoever_is_being_answered_stays(up, release):
    port = up(connections_per_client=3)
    with contextlib.ExitStack() as stack:
        answered = connect(stack, port, WHOLE.replace(b"/", b"/slow", 1))
        kept_alive = connect(stack, port, WHOLE)
        assert b"200 OK" in kept_alive.recv(1000)
        half = connect(stack, port, HALF)
        wait_for(lambda: any(one.begun for one in up.servers[0].active_channels.values()))

        assert ask(port).status_code == 200

        assert wait_for(lambda: not is_open(half))
        assert is_open(kept_alive)
        release.set()
        answered.settimeout(10)
        assert b"200 OK" in answered.recv(1000)


def test_who_asks_and_never_reads_holds_nobody_up(up, monkeypatch):
    """Its socket can be written to never again, so there is nothing that would tell waitress to close it."""
    for name, value in (("MAX_IDLE_S", 1), ("LOOK_S", 0.1), ("SPARE_CONNECTIONS", 8)):
        monkeypatch.setattr(module, name, value)
    port = up(connections=20, connections_per_client=10)
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            held = list(up.servers[0].active_channels.values())
            for _ in range(10):
                one = stack.enter_context(socket.socket())
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                one.bind(("127.0.3.1", 0))
                one.connect(("127.0.0.1", port))
                with contextlib.suppress(OSError):
                    one.sendall(LARGE * 150)
            # whoever was there before is given up, or has been
            wait_for(lambda held=held: not set(held) & set(up.servers[0].active_channels.values()), 20)

            assert ask(port).status_code == 200


def test_another_client_pays_nothing(up):
    port = up(connections_per_client=3)
    with contextlib.ExitStack() as stack:
        other = connect(stack, port, HALF, source="127.0.2.1")
        several = [connect(stack, port, HALF) for _ in range(9)]

        assert wait_for(lambda: sum(map(is_open, several)) == 3)
        assert is_open(other)


def test_a_request_that_does_not_arrive_in_time_is_given_up(up, monkeypatch):
    monkeypatch.setattr(module, "LOOK_S", 0.1)
    port = up(request_s=0.2)
    with contextlib.ExitStack() as stack:
        slow = connect(stack, port, HALF)

        def trickle():
            with contextlib.suppress(OSError):
                slow.sendall(b"x")
            return not is_open(slow)

        assert wait_for(trickle, 20)


@pytest.mark.parametrize(("trusted", "warned"), [("", 1), ("192.0.2.1", 1), ("127.0.0.1", 0)])
def test_a_proxy_that_is_not_trusted_is_told_of_once(up, monkeypatch, caplog, trusted, warned):
    monkeypatch.setattr(Server, "_has_warned", False)
    ports = [up(trusted_proxy=trusted) for _ in range(2)]
    for port in (*ports, *ports):
        ask(port, **{"X-Forwarded-For": "198.51.100.7"})

    said = [message for message in caplog.messages if "X-Forwarded-For came from 127.0.0.1" in message]
    assert len(said) == warned


def test_connections_of_the_trusted_proxy_are_many_clients(up):
    port = up(trusted_proxy="127.0.0.1", connections_per_client=2)
    with contextlib.ExitStack() as stack:
        several = [connect(stack, port, HALF) for _ in range(9)]
        assert ask(port).status_code == 200

        assert all(map(is_open, several))


def test_who_comes_beside_the_trusted_proxy_does_not_pay_for_what_it_holds(up):
    port = up(trusted_proxy="127.0.2.1", connections=8)
    with contextlib.ExitStack() as stack:
        several = [connect(stack, port, HALF, source="127.0.2.1") for _ in range(8)]
        monitor = connect(stack, port, WHOLE)
        read(monitor, lambda got: b"200 OK" in got)
        several += [connect(stack, port, HALF, source="127.0.2.1") for _ in range(4)]

        assert wait_for(lambda: sum(map(is_open, several)) == 7)
        assert is_open(monitor)


def test_the_trusted_proxy_does_not_pay_for_many_who_come_beside_it(up):
    port = up(trusted_proxy="127.0.2.1", connections=8)
    with contextlib.ExitStack() as stack:
        several = [connect(stack, port, HALF, source="127.0.2.1") for _ in range(6)]
        others = [connect(stack, port, HALF, source=f"127.0.3.{number}") for number in range(1, 9)]

        assert wait_for(lambda: sum(map(is_open, others)) == 2)
        assert all(map(is_open, several))


@pytest.fixture
def both(up, monkeypatch):
    """Starts a server on a name of 127.0.0.1 and ::1; returns the port of each."""
    if not socket.has_dualstack_ipv6():
        pytest.skip("there is no IPv6 here")
    look_up = socket.getaddrinfo

    def of_both(host, *others, **options):
        names = ["127.0.0.1", "::1"] if host == "both.example" else [host]
        return [found for name in names for found in look_up(name, *others, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", of_both)

    def start(**settings):
        up(host="both.example", **settings)
        found = {one.family: one.effective_port for one in up.servers[0]._map.values() if isinstance(one, Server)}
        return int(found[socket.AF_INET]), int(found[socket.AF_INET6])

    return start


def test_connections_of_all_addresses_count_together(both):
    four, six = both(connections=8, connections_per_client=4)
    with contextlib.ExitStack() as stack:
        several = [connect(stack, four, HALF, source=f"127.0.3.{number}") for number in range(1, 9)]
        several += [connect(stack, six, HALF, source="::1", to="::1") for _ in range(8)]

        assert wait_for(lambda: sum(map(is_open, several)) == 8)


def test_who_was_refused_at_one_address_rests_at_the_others(up, both, monkeypatch):
    monkeypatch.setattr(refusals, "RETRY_AFTER", 100)
    monkeypatch.setattr(connections, "client_of", lambda _: "one client")
    four, six = both()
    with contextlib.ExitStack() as stack:
        refused(stack, four).close()
        again = connect(stack, six, WHOLE, source="::1", to="::1")
        wait_for(lambda: [one for one in up.servers[0]._connections() if one.addr[0] == "::1"])

        assert ask(four).status_code == 200
        assert not is_readable(again)


def test_a_name_of_several_addresses_is_listened_on_at_all_of_them(up):
    port = up(host="localhost")

    assert ask(port).status_code == 200


def test_what_goes_wrong_as_a_connection_is_taken_or_closed_ends_no_other(up, monkeypatch):
    """It is none of theirs, and waitress would take no connection any more, or end all."""
    monkeypatch.setattr(module, "LOOK_S", 0.1)
    port = up(request_s=0.1)
    rest_owed, handle_close = Server.rest_owed, Connection.handle_close
    failed = []

    def not_taken(self, client):
        if client == "127.0.2.1":
            raise MemoryError
        return rest_owed(self, client)

    def not_closed(self):
        handle_close(self)
        if self.client == "127.0.2.2":
            failed.append(self)
            raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(Server, "rest_owed", not_taken)
    monkeypatch.setattr(Connection, "handle_close", not_closed)
    with contextlib.ExitStack() as stack:
        connect(stack, port, HALF, source="127.0.2.1")
        connect(stack, port, HALF, source="127.0.2.2")
        wait_for(lambda: failed)

        assert ask(port).status_code == 200
