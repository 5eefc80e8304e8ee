"""A request as it arrives: refused as soon as it is clear that it will be, and no dearer to read than it is long.

The parser is waitress's. It takes what the standard leaves open in favour of the sender; where that can cost us, or
where two readers could understand two things, the request is refused.
"""

import contextlib
import logging
import time
from typing import Any

from waitress.parser import HTTPRequestParser, ParsingError  # type: ignore[import-untyped]  # it comes without types
from waitress.utilities import RequestEntityTooLarge  # type: ignore[import-untyped]

from carpipe.serving.bodies import Bodies, Limit
from carpipe.serving.clients import client_behind
from carpipe.serving.refusals import RefusalError

log = logging.getLogger(__name__)

# Bytes of a request's first line and headers; nginx takes as many. What waitress does with them is quadratic.
MAX_HEADER_BYTES = 32_768
# Bytes between two looks at what all bodies have together.
STEP_BYTES = 128_000
# Of a chunked body: bytes that are none of its own and belong to one chunk, or to the end; and all of those, of which
# an eighth of the body may be more. A chunk of one byte costs six, and as much work as one of 8 kB.
MAX_CHUNK_LINE_BYTES, MAX_CHUNK_EXTRA_BYTES = 4096, 10_000


class Request(HTTPRequestParser):  # type: ignore[misc]
    """One request.

    Attributes:
        client: whose it is.
        arrived: when it was there in full, or refused; as `time.monotonic` says it.
        behind: what came behind it, which waits until it is answered.
    """

    def __init__(self, settings: Any, bodies: Bodies, *, client: str, is_by_proxy: bool):
        """Args:
        settings: of waitress.
        client: who is at the other end of the connection.
        is_by_proxy: that is a trusted proxy, which says who the client is.
        """
        super().__init__(settings)
        self.adj: Any = settings
        self._bodies, self.client, self._is_by_proxy = bodies, client, is_by_proxy
        self.behind = b""
        self.arrived = time.monotonic()
        self._limit = Limit(0, "")
        self._next_look = STEP_BYTES

    @property
    def held(self) -> int:
        """Bytes of its body that are held."""
        body = self.body_rcv  # once: it may be closed by another thread
        return 0 if body is None else len(body)

    def received(self, data: bytes) -> int:
        """Take bytes; returns how many. Takes what comes behind a request with it, so that one is made at a time."""
        if self.error:  # it has given way to others
            self.completed = True
            return len(data)
        # Empty lines before a request are allowed, and each would be parsed as an empty one.
        begins = data if self.header_plus or self.headers_finished else data.lstrip(b"\r\n")
        if not begins:
            return len(data)
        taken = self._taken(begins)
        if self.headers_finished and self.body_rcv is not None:
            self._look()
        if self.error:
            self._refuse()
        elif self.body_rcv is None:
            self.expect_continue = False  # nothing will come
        if not self.completed:
            return len(data) - len(begins) + taken
        self.arrived = time.monotonic()
        self.behind = b"" if self.error else begins[taken:]
        return len(data)

    def parse_header(self, header_plus: bytes) -> None:
        """Read first line and headers.

        Raises:
            ParsingError: they cannot be understood, or in two ways.
        """
        try:
            super().parse_header(header_plus)
        except ValueError:  # of an address that is none, or a number of 5,000 digits
            raise ParsingError("The address or a number in the headers cannot be read.") from None
        self._check_framing()
        if self._is_by_proxy:  # else anybody may have written it
            self.client = client_behind(self.headers.get("X_FORWARDED_FOR", "")) or self.client
        self._limit = self._bodies.limit(self.command, self.path)
        self.adj = self._bodies.adjusted(self.adj, self._limit)
        self._bodies.hold(self)

    def give_way(self) -> None:
        """Let go of what has arrived: there is too much of all bodies together."""
        self.error = RefusalError(503, "Service Unavailable", "Too much is being sent to this server; try again later.")
        self._refuse()

    def close(self) -> None:
        """Let go of the body."""
        with contextlib.suppress(OSError):  # what a full disk has not taken is tried once more as the file is closed
            super().close()
        self.body_rcv = None

    def _taken(self, data: bytes) -> int:
        try:
            return int(super().received(data))
        except OSError as error:
            log.error("a request is refused, its body cannot be kept on the disk: %s", error)
            self.error = RefusalError(503, "Service Unavailable", "What is sent cannot be kept; try again later.")
            return len(data)

    def _check_framing(self) -> None:
        # RFC 9112, 6.1: whoever sends both, or the second in HTTP/1.0, may be smuggling a request.
        if self.version not in ("1.0", "1.1"):
            raise ParsingError("This server speaks HTTP/1.1 and HTTP/1.0.")
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("Content-Length and Transfer-Encoding exclude each other.")
        if "TRANSFER_ENCODING" in self.headers:
            raise ParsingError("HTTP/1.0 has no Transfer-Encoding.")

    def _look(self) -> None:
        """At the body, as it comes."""
        if self.chunked and not self.error:
            self._check_chunks()
        if not self.error and self.held >= self._next_look:
            self._next_look = self.held + STEP_BYTES
            if not self._bodies.make_room(self):
                self.give_way()

    def _check_chunks(self) -> None:
        body: Any = self.body_rcv
        if len(body) + body.chunk_remainder > self._limit.max_bytes:
            self.error = RequestEntityTooLarge("")
        # waitress joins what a line has had so far with each piece that comes.
        line, lines = len(body.control_line) + len(body.trailer), self.body_bytes_received - len(body)
        if line > MAX_CHUNK_LINE_BYTES or lines > MAX_CHUNK_EXTRA_BYTES + len(body) // 8:
            self.error = RefusalError(400, "Bad Request", "The chunks are too small, or too much is beside them.")

    def _refuse(self) -> None:
        """Nothing more is read, and what has come is let go."""
        if isinstance(self.error, RequestEntityTooLarge):
            self.error = RefusalError(413, self.error.reason, self._limit.says)
        self.completed = True
        self.expect_continue = False  # else waitress asks for the body before it refuses
        self.close()
