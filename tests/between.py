"""A proxy before the S3 server that changes what is read: error pages, cut bodies, servers that lie about sizes."""

import contextlib
import threading
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.relay import Handler, Relay, running


@dataclass
class Got:
    """The answer to a GET of an object, before it is handed on. `said` is the size that the answer claims."""

    key: str
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    said: int | None = None


class Between(Relay):
    """Set `change` at any time: called with each answer about an object, GET or HEAD. `got` lists the keys of GETs."""

    def __init__(self, target: str):
        super().__init__(target, _Handler)
        self.change: Callable[[Got], None] = lambda got: None
        self.change_head: Callable[[Got], None] = lambda got: None
        self.got: list[str] = []
        self.lock = threading.Lock()


def between(target: str) -> contextlib.AbstractContextManager[Between]:
    return running(Between(target))


class _Handler(Handler):
    server: Between

    def handle_request(self) -> None:
        answered = self.hand_on()
        said = answered.length if self.command == "HEAD" else None
        got = Got("", answered.status, answered.body, answered.headers, said)
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
