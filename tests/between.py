"""A proxy before the S3 server that changes what is read: error pages, cut bodies, servers that lie about sizes."""

import contextlib
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


@dataclass
class Got:
    """The answer to a GET of an object, before it is handed on. `said` is the size that the answer claims."""

    key: str
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    said: int | None = None


class Between(ThreadingHTTPServer):
    """Set `change` at any time: called with each answer about an object, GET or HEAD. `got` lists the keys of GETs."""

    daemon_threads = True

    def __init__(self, target: str):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = target.removeprefix("http://")
        self.change: Callable[[Got], None] = lambda got: None
        self.change_head: Callable[[Got], None] = lambda got: None
        self.got: list[str] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextlib.contextmanager
def between(target: str) -> Iterator[Between]:
    server = Between(target)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Between

    def log_message(self, *_: object) -> None:
        pass

    def _handle(self) -> None:
        got = self._ask()
        name = urllib.parse.unquote(self.path.partition("?")[0], errors="surrogateescape")
        got.key = name.partition("/raw/")[2] or name
        if "list-type" not in self.path and got.status == 200:
            if self.command == "HEAD":
                self.server.change_head(got)
            elif self.command == "GET":
                with self.server.lock:
                    self.server.got.append(got.key)
                self.server.change(got)
        self._answer(got)

    def _ask(self) -> Got:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        host, _, port = self.server.target.partition(":")
        connection = HTTPConnection(host, int(port), timeout=30)
        try:
            connection.request(self.command, self.path, body, dict(self.headers))
            got = connection.getresponse()
            data = got.read()
            length = got.getheader("Content-Length")
            headers = {name: value for name, value in got.getheaders() if name.lower() not in HOP}
        finally:
            connection.close()
        said = int(length or 0) if self.command == "HEAD" else None
        return Got("", got.status, data, headers, said)

    def _answer(self, got: Got) -> None:
        self.send_response(got.status)
        for name, value in got.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(got.body) if got.said is None else got.said))
        # Both: the size is what the client is told, the chunks are what it gets.
        if lies := self.command == "GET" and got.said is not None:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if self.command != "HEAD":
            with contextlib.suppress(OSError):  # the client has had enough
                for start in range(0, len(got.body), 1 << 20) if lies else ():
                    part = got.body[start : start + (1 << 20)]
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
                self.wfile.write(b"0\r\n\r\n" if lies else got.body)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _handle  # noqa: N815  # http.server asks for these names
