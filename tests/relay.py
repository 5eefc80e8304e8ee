"""A server that hands requests on to the S3 server: what stand-ins before it have in common."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar

HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


class Relay(ThreadingHTTPServer):
    """Listens on a free port of loopback for `handler`, which knows `target`."""

    daemon_threads = True

    def __init__(self, target: str, handler: type[BaseHTTPRequestHandler]):
        super().__init__(("127.0.0.1", 0), handler)
        self.target = target.removeprefix("http://")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


Server = TypeVar("Server", bound=Relay)


@contextlib.contextmanager
def running(server: Server) -> Iterator[Server]:
    """The server, for the time of a `with` block."""
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Answered:
    """What the S3 server said; `length` is its Content-Length."""

    status: int
    body: bytes
    headers: dict[str, str]
    length: int


class Handler(BaseHTTPRequestHandler):
    """Answers whatever is asked by `handle_request`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each body waits 40 ms behind its headers
    server: Relay

    def log_message(self, *_: object) -> None:
        pass

    def hand_on(self) -> Answered:
        """Ask the S3 server the same."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        host, _, port = self.server.target.partition(":")
        connection = HTTPConnection(host, int(port), timeout=30)
        try:
            connection.request(self.command, self.path, body, dict(self.headers))
            got = connection.getresponse()
            headers = {name: value for name, value in got.getheaders() if name.lower() not in HOP}
            return Answered(got.status, got.read(), headers, int(got.getheader("Content-Length") or 0))
        finally:
            connection.close()

    def handle_request(self) -> None:
        raise NotImplementedError

    def _handle(self) -> None:
        self.handle_request()

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _handle  # noqa: N815  # http.server asks for these names
