"""Requests as bytes on a connection."""

import contextlib
import json
import select
import socket

import httpx

HALF = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf"
LARGE = b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n"
HUGE = 6_000_000  # more than the kernel keeps for who does not read
BUSY = b"GET /busy HTTP/1.1\r\nHost: x\r\n\r\n"
WHOLE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HOST = b"Host: localhost\r\n"


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


def read(connection, enough):
    """What comes, until it is enough."""
    connection.settimeout(10)
    got = b""
    while not enough(got):
        more = connection.recv(100_000)
        assert more, got[-500:]
        got += more
    return got


def read_all(connection):
    """What comes, until the connection is closed."""
    connection.settimeout(10)
    got = b""
    while more := connection.recv(100_000):
        got += more
    return got


def refused(stack, port, **options):
    """A connection that was answered that the server is busy."""
    one = connect(stack, port, BUSY, **options)
    read(one, lambda got: b"503" in got and b"Busy." in got)
    return one


def tell(port, sent):
    """What is answered, until the connection is closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection, contextlib.suppress(OSError):
        connection.sendall(sent)
        return read_all(connection)
    raise AssertionError("the connection was cut before its answer was read")


def check(answer, status):
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1."), answer[:200]
    assert int(head.split()[1]) == status, answer[:500]
    assert b"x-content-type-options: nosniff" in head.lower()
    assert b"connection: close" in head.lower()
    assert b"<" not in body
    if body:
        reply = json.loads(body)
        assert (reply["success"], len(reply["error"]) < 400, bool(reply["reason"])) == (False, True, True)
    return body
