"""A connection has one request at a time, and a client is who it or a trusted proxy says."""

import contextlib
import errno
import logging
import socket

import pytest

from carpipe.serving.connections import Connection
from tests.serving.conftest import wait_for
from tests.serving.wire import (
    HALF,
    HUGE,
    LARGE,
    WHOLE,
    ask,
    connect,
    read,
    read_all,
)


def test_who_sends_a_photo_that_is_too_large_reads_so_whatever_is_taken(up):
    size = 50_000_000
    port = up(max_photo_mb=30)
    with contextlib.ExitStack() as stack:
        one = connect(stack, port, HALF.replace(b"1000", str(size).encode()))
        for _ in range(size // 1_000_000):
            one.sendall(b"x" * 1_000_000)
        one.shutdown(socket.SHUT_WR)

        assert b"Too large." in read_all(one)


def test_who_is_gone_before_its_refusal_is_sent_is_no_error(up, caplog, monkeypatch):
    """The kernel says so as the refusal is sent: the thread that looks at all connections then closes the socket."""
    sent = []

    def flush_to_nobody(self, do_close=True):
        if do_close:
            sent.append(self)
            self.handle_close()
        return False

    port = up(max_photo_mb=1)
    monkeypatch.setattr(Connection, "_flush_some", flush_to_nobody)
    with contextlib.ExitStack() as stack:
        one = connect(stack, port, HALF.replace(b"1000", b"9000000"))
        assert read_all(one) == b""
        wait_for(lambda: sent)

    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


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


def test_chunks_are_pipelined_as_well(up):
    chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"3\r\nabc\r\n" * 3 + b"0\r\n\r\n"
    port = up()
    with contextlib.ExitStack() as stack:
        one = connect(stack, port, chunked * 20 + WHOLE + chunked[:-9])
        read(one, lambda got: got.count(b"HTTP/1.1 200 OK") == 21)

        one.sendall(chunked[-9:] + WHOLE)
        read(one, lambda got: got.count(b"HTTP/1.1 200 OK") == 2)


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
    wait_for(lambda: not up.servers[0].active_channels)  # it closes the file of what was not read


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
