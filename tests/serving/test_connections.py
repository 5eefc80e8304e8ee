"""Senders that trickle shut nobody out, and a client is who the connection or a trusted proxy says."""

import contextlib
import errno
import select
import socket
import threading
import time

import httpx
import pytest
from flask import Flask, request

from carpipe.config import ServingConfig
from carpipe.serving import connections, refusals
from carpipe.serving import listening as module
from carpipe.serving.bodies import Limit
from carpipe.serving.connections import CLIENT, Connection
from carpipe.serving.listening import Server, listening
from carpipe.serving.rests import OwedRests
from carpipe.serving.workers import BusyError
from tests.serving.conftest import run, wait_for

HALF = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf"
LARGE = b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n"
HUGE = 6_000_000  # more than the kernel keeps for who does not read
BUSY = b"GET /busy HTTP/1.1\r\nHost: x\r\n\r\n"
WHOLE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def release():
    return threading.Event()


@pytest.fixture
def up(release):
    """Starts a server of given settings that says who asks; `/slow` waits for `release`."""
    app = Flask(__name__)

    @app.route("/", methods=["GET", "POST"])
    def who():
        request.get_data()
        return request.environ[CLIENT]

    @app.get("/large")
    def large():
        return "x" * 50_000

    @app.get("/huge")
    def huge():
        return "x" * HUGE

    @app.get("/slow")
    def slow():
        release.wait(30)
        return "done"

    @app.get("/busy")
    def busy():
        raise BusyError("Busy.")

    refusals.add_refusals(app, ServingConfig())
    with contextlib.ExitStack() as stack:

        def start(**settings):
            """Returns the port; the server is the last of `start.servers`."""
            known = ServingConfig(**settings)
            server = stack.enter_context(
                listening(
                    app, known, port=0, setting="serving.port", threads=8, limits={"/": Limit(10_000, "Too large.")}
                )
            )
            start.servers.append(server)
            threading.Thread(target=run, args=(server,), daemon=True).start()
            return int(server.effective_port)

        start.servers = []
        yield start
        release.set()


def connect(stack, port, sent, *, source="127.0.0.1", to="127.0.0.1"):
    connection = stack.enter_context(socket.create_connection((to, port), source_address=(source, 0)))
    connection.sendall(sent)
    return connection


def is_open(connection):
    connection.settimeout(0)
    try:
        return connection.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def is_readable(connection):
    return bool(select.select([connection], [], [], 0)[0])


def ask(port, path="/", **headers):
    return httpx.get(f"http://127.0.0.1:{port}{path}", headers=headers, timeout=20, trust_env=False)


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
    monkeypatch.setattr(module, "MAX_IDLE_S", 1)
    port = up(connections=20, connections_per_client=10)
    with contextlib.ExitStack() as stack:
        for _ in range(8):
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


def test_who_sends_a_photo_that_is_too_large_reads_so_whatever_is_taken(up):
    size = 50_000_000
    port = up(max_photo_mb=30)
    with contextlib.ExitStack() as stack:
        one = connect(stack, port, HALF.replace(b"1000", str(size).encode()))
        for _ in range(size // 1_000_000):
            one.sendall(b"x" * 1_000_000)
        one.shutdown(socket.SHUT_WR)

        assert b"Too large." in read_all(one)


def test_another_client_pays_nothing(up):
    port = up(connections_per_client=3)
    with contextlib.ExitStack() as stack:
        other = connect(stack, port, HALF, source="127.0.2.1")
        several = [connect(stack, port, HALF) for _ in range(9)]

        assert wait_for(lambda: sum(map(is_open, several)) == 3)
        assert is_open(other)


def test_a_request_that_does_not_arrive_in_time_is_given_up(up):
    port = up(request_s=1)
    with contextlib.ExitStack() as stack:
        slow = connect(stack, port, HALF)

        def trickle():
            with contextlib.suppress(OSError):
                slow.sendall(b"x")
            return not is_open(slow)

        assert wait_for(trickle, 20)


@pytest.mark.parametrize(
    ("settings", "headers", "client"),
    [
        ({}, {"X-Forwarded-For": "198.51.100.7"}, "127.0.0.1"),
        ({"trusted_proxy": "127.0.0.1"}, {"X-Forwarded-For": "198.51.100.7"}, "198.51.100.7"),
        ({"trusted_proxy": "127.0.0.1"}, {"X-Forwarded-For": "203.0.113.9, 198.51.100.7"}, "198.51.100.7"),
        ({"trusted_proxy": "127.0.0.1"}, {"X-Forwarded-For": "2001:db8:1:2:3::4"}, "2001:db8:1:2::/64"),
        ({"trusted_proxy": "192.0.2.1"}, {"X-Forwarded-For": "198.51.100.7"}, "127.0.0.1"),
        ({"trusted_proxy": "::ffff:127.0.0.1"}, {"X-Forwarded-For": "198.51.100.7"}, "198.51.100.7"),
        ({"trusted_proxy": "127.0.0.0/8"}, {"X-Forwarded-For": "198.51.100.7"}, "198.51.100.7"),
        ({"trusted_proxy": "127.0.0.1"}, {"X-Forwarded-For": "198.51.100.7, unknown"}, "127.0.0.1"),
        ({"trusted_proxy": "127.0.0.1"}, {"X-Forwarded-For": "fe80::1%1"}, "fe80::/64"),
        ({"trusted_proxy": "127.0.0.1"}, {"X-Forwarded-For": "," * 5000 + "::ffff:198.51.100.7"}, "198.51.100.7"),
        ({"trusted_proxy": "127.0.0.1"}, {"Forwarded": "for=198.51.100.7"}, "127.0.0.1"),
        ({"trusted_proxy": "127.0.0.1"}, {}, "127.0.0.1"),
    ],
)
def test_a_client_is_who_the_trusted_proxy_says(up, settings, headers, client):
    assert ask(up(**settings), **headers).text == client


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


def test_who_was_refused_at_one_address_rests_at_the_others(both, monkeypatch):
    monkeypatch.setattr(refusals, "RETRY_AFTER", 100)
    monkeypatch.setattr(connections, "client_of", lambda _: "one client")
    four, six = both()
    with contextlib.ExitStack() as stack:
        refused(stack, four).close()
        again = connect(stack, six, WHOLE, source="::1", to="::1")

        assert ask(four).status_code == 200
        assert not is_readable(again)


def test_a_name_of_several_addresses_is_listened_on_at_all_of_them(up):
    port = up(host="localhost")

    assert ask(port).status_code == 200


def test_what_is_pipelined_is_read_when_its_turn_has_come(up, release):
    port = up()
    with contextlib.ExitStack() as stack:
        one = connect(stack, port, WHOLE.replace(b"/", b"/slow", 1) + WHOLE * 100 + HALF[:60])
        [channel] = wait_for(lambda: [one for one in up.servers[0].active_channels.values() if one.requests])
        assert len(channel.requests) == 1

        release.set()
        answers = read(one, lambda got: got.count(b"HTTP/1.1 200 OK") == 101)
        assert answers.index(b"done") < answers.index(b"127.0.0.1")
        one.sendall(HALF[60:] + b"x" * 996)
        read(one, lambda got: b"HTTP/1.1 200 OK" in got)


def test_who_pipelines_and_never_reads_gets_no_more_answers_than_fit_on_the_way(up):
    port = up(connections=20)
    with contextlib.ExitStack() as stack:
        one = stack.enter_context(socket.socket())
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        one.connect(("127.0.0.1", port))
        one.sendall(LARGE.replace(b"/large", b"/huge") * 150)

        [channel] = wait_for(lambda: [one for one in up.servers[0].active_channels.values() if one.total_outbufs_len])
        assert ask(port).status_code == 200
        assert len(channel.requests) <= 1
        assert channel.total_outbufs_len < 2 * HUGE


def test_what_goes_wrong_as_pipelined_bytes_are_read_ends_one_connection(up, release, monkeypatch):
    """waitress asks whether there is something to read where nothing is caught."""

    def broken(self):
        raise OSError(errno.ETIMEDOUT, "timed out")

    port = up()
    with contextlib.ExitStack() as stack:
        expecting = HALF.replace(b"Host", b"Expect: 100-continue\r\nHost").removesuffix(b"half")
        one = connect(stack, port, WHOLE.replace(b"/", b"/slow", 1) + expecting)
        wait_for(lambda: [one for one in up.servers[0].active_channels.values() if one.requests])
        monkeypatch.setattr(Connection, "send_continue", broken)
        release.set()

        assert b"done" in read_all(one)
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


def refused(stack, port, **options):
    """A connection that was answered that the server is busy."""
    one = connect(stack, port, BUSY, **options)
    read(one, lambda got: b"503" in got and b"Busy." in got)
    return one


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


def test_what_is_owed_ends_with_its_time():
    rests = OwedRests()
    rests.leave("a", time.monotonic() - 1)
    rests.leave("b", until := time.monotonic() + 100)

    assert (rests.take("a"), rests.take("b"), rests.take("b")) == (0, until, 0)


def read_all(connection):
    """What comes, until the connection is closed."""
    connection.settimeout(10)
    got = b""
    while more := connection.recv(100_000):
        got += more
    return got


def read(connection, enough):
    """What comes, until it is enough."""
    connection.settimeout(10)
    got = b""
    while not enough(got):
        more = connection.recv(100_000)
        assert more, got[-500:]
        got += more
    return got
