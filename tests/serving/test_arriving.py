"""What no app gets to see is refused in a sentence, early, and costs no more than its length."""

import contextlib
import logging
import os
import socket
import tempfile

import pytest
from waitress.buffers import TempfileBasedBuffer

from carpipe.config import ServingConfig
from carpipe.serving import listening
from carpipe.serving.app import body_limits, create_app
from tests.serving.conftest import taking_bodies, wait_for
from tests.serving.wire import (
    HOST,
    check,
    read_all,
    tell,
)

LIMITS = body_limits(ServingConfig())
CHUNKED = (
    b"POST /feedback HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
)
# What is sent, and the status of the answer. In none of them the request is there in full.
REFUSED = {
    "length below zero": (b"POST /feedback HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n", 400),
    "length of two": (b"POST /feedback HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
    "length in hexadecimal": (b"POST /feedback HTTP/1.1\r\n" + HOST + b"Content-Length: 0x10\r\n\r\n", 400),
    "length of 6,000 digits": (
        b"POST /feedback HTTP/1.1\r\n" + HOST + b"Content-Length: " + b"9" * 6000 + b"\r\n\r\n", 400,
    ),
    "length of 30 digits": (b"POST /predict HTTP/1.1\r\n" + HOST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n", 413),
    "expects to go on": (
        b"POST /predict HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n", 413,
    ),
    "length and chunks": (CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n"), 400),
    "chunks of HTTP/1.0": (CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
    "chunk below zero": (CHUNKED + b"-1\r\n", 400),
    "chunk of 17 digits": (CHUNKED + b"F" * 17 + b"\r\n", 413),
    "chunk of 3,000 digits": (CHUNKED + b"F" * 3000 + b"\r\n", 413),
    "chunk with a long extension": (CHUNKED + b"1;" + b"a" * 6000, 400),
    "chunk without end": (CHUNKED + b"1\r\nabcd", 400),
    "chunks of a byte": (CHUNKED.replace(b"feedback", b"predict") + b"1\r\na\r\n" * 5000, 400),
    "chunks with a long trailer": (CHUNKED + b"1\r\na\r\n0\r\n" + b"a: b\r\n" * 1000, 400),
    "chunks of too much": (CHUNKED + b"1000\r\n" + b"a" * 4096 + b"\r\n2000\r\n" + b"a" * 100, 413),
    "header of 1 MB": (b"GET / HTTP/1.1\r\n" + HOST + b"A: " + b"a" * 1_000_000, 431),
    "headers of 1 MB": (b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n" * 170_000, 431),
    "address of 1 MB": (b"GET /" + b"a" * 1_000_000, 431),
    "query of 100,000 fields": (b"GET /?" + b"a=b&" * 100_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 431),
    "header that is markup": (b"GET / HTTP/1.1\r\n <script>\r\n\r\n", 400),
    "no header": (b"GET / HTTP/1.1\r\nno header\r\n\r\n", 400),
    "folded first header": (b"GET / HTTP/1.1\r\n a: b\r\n\r\n", 400),
    "bare line feeds": (b"GET / HTTP/1.1\nHost: localhost\n\nGET / HTTP/1.1\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "HTTP/7.1": (b"GET / HTTP/7.1\r\n" + HOST + b"\r\n", 400),
    "method in lower case": (b"get / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "method of odd letters": (b"G\xc3\x84T / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "address that is none": (b"GET http://[ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "address of half a host": (b"GET http://[::1/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
}  # fmt: skip


def routes():
    rules = create_app(None, ServingConfig()).url_map.iter_rules()
    paths = [(rule.methods, rule.rule.replace("<path:filename>", "page.js")) for rule in rules]
    return sorted({(method, path) for methods, path in paths for method in (*methods, "PUT", "DELETE")})


@pytest.fixture
def port(api):
    return api.base_url.port


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_in_a_sentence(port, name, caplog):
    sent, status = REFUSED[name]

    assert check(tell(port, sent), status)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(("method", "path"), [*routes(), ("POST", "/nowhere"), ("POST", "/static/x"), ("X", "/")])
@pytest.mark.parametrize("how", ["length", "chunks"])
def test_a_body_is_refused_before_it_comes(port, method, path, how):
    limit = LIMITS[path].max_bytes if method == "POST" and path in LIMITS else 0
    size = {
        "length": f"Content-Length: {limit + 1}\r\n\r\n",
        "chunks": f"Transfer-Encoding: chunked\r\n\r\n{limit + 1:x}\r\n",
    }

    body = check(tell(port, f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{size[how]}".encode()), 413)

    assert (b"too_large" in body) == (method != "HEAD")


def test_a_body_that_is_just_small_enough_reaches_the_app(port):
    limit = LIMITS["/feedback"].max_bytes
    head = "POST /feedback HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"

    assert b"Feedback is" in check(tell(port, f"{head}Content-Length: {limit}\r\n\r\n".encode() + b"9" * limit), 400)


def test_who_goes_on_sending_reads_the_answer_all_the_same(port):
    """A socket closed with bytes unread would reset the connection."""
    head = b"POST /feedback HTTP/1.1\r\n" + HOST + b"Content-Length: 9000000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(head)
        for _ in range(90):
            connection.sendall(b"x" * 100_000)
        connection.shutdown(socket.SHUT_WR)

        assert b"too_large" in check(read_all(connection), 413)


def test_a_body_that_is_packed_is_refused(api):
    response = api.post("/predict", content=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})

    assert (response.status_code, response.json()["reason"]) == (415, "unsupported_media_type")


def test_empty_lines_before_a_request_are_none(port):
    assert tell(port, b"\r\n" * 50_000 + b"GET /classes HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n").startswith(
        b"HTTP/1.1 200 OK"
    )


def test_a_full_disk_refuses_bodies_and_nothing_else(monkeypatch):
    """The file fails as it is written, and again as it is closed."""
    head = b"POST / HTTP/1.1\r\nConnection: close\r\n" + HOST + b"Content-Length: 3000000\r\n\r\n"
    with taking_bodies() as server, open("/dev/full", "wb") as full, contextlib.ExitStack() as stack:
        kept = stack.enter_context(tempfile.TemporaryFile())
        monkeypatch.setattr(TempfileBasedBuffer, "newfile", lambda _: kept)
        port = int(server.effective_port)
        one = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
        one.sendall(head + b"x" * 1_000_000)
        wait_for(lambda: server.bodies.held == 1_000_000)
        os.dup2(full.fileno(), kept.fileno())
        one.sendall(b"x")

        assert b"cannot be kept" in check(read_all(one), 503)
        assert tell(port, head.replace(b"3000000", b"5") + b"xxxxx").startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n" + HOST + b"A: b",
        b"\r\n" * 1000,
        b"GET /",
        b"POST / HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n10\r\n",
    ],
)
def test_what_never_ends_is_given_up(sent, monkeypatch):
    monkeypatch.setattr(listening, "LOOK_S", 0.1)
    with taking_bodies(request_s=0.1) as server:
        answer = tell(int(server.effective_port), sent)

    assert answer in (b"", b"HTTP/1.1 100 Continue\r\n\r\n")
