"""A connection: one request at a time, refused as soon as it can be, and the time that it has taken to arrive.

waitress has one thread that looks at all connections, and some that answer. The first calls everything here. Those that
answer call `Task` and `Connection.rest` alone, and `Connection.parser_class` where the app has failed. What they change
is one attribute each, so there is no lock here.
"""

import select
import socket
import time
from typing import Any

from waitress.channel import HTTPChannel  # type: ignore[import-untyped]  # it comes without types
from waitress.task import WSGITask  # type: ignore[import-untyped]

from carpipe.serving.arriving import Request
from carpipe.serving.clients import client_of, is_among
from carpipe.serving.refusals import REST, RefusalTask
from carpipe.serving.request_log import Logged

# Where the app finds whose request it is.
CLIENT = "carpipe.client"
# That a connection may go on sending after it was refused: seconds, and photos of the largest size that is taken.
# Who sends a larger one is to read that it is.
MAX_LINGER_S, MAX_LINGER_PHOTOS = 5, 2


class Task(Logged, WSGITask):  # type: ignore[misc]  # it comes without types
    """Hands a request to the app, and whose it is with it."""

    def get_environment(self) -> dict[str, Any]:
        """The WSGI environment."""
        environ: dict[str, Any] = super().get_environment()
        environ[CLIENT] = self.request.client
        environ[REST] = self.channel.rest
        return environ


class Refusal(Logged, RefusalTask):
    """Answers a request that no app gets to see."""


class Connection(HTTPChannel):  # type: ignore[misc]
    """A connection with one request at a time, which it refuses as soon as it can.

    Attributes:
        begun: since when the request has been arriving that it has not got in full, or it has been lingering.
        client: who is at its other end.
        is_proxy: it stands for many.
        rests_until: when it may be read again, after it was refused; as `time.monotonic` says it.
    """

    task_class, error_task_class = Task, Refusal
    begun: float | None = None
    rests_until: float
    close_when_flushed: bool
    _parsed: Request | None = None
    # What came behind the request that is being answered. waitress would have it all answered, into its memory.
    _ahead = b""
    # Bytes that have come since it was refused, from when there is nothing but to wait for the other end to notice.
    _lingered: int | None = None

    def __init__(self, server: Any, sock: socket.socket, addr: tuple[Any, ...], *others: Any, **options: Any):
        self.client, self.is_proxy = client_of(addr[0]), is_among(addr[0], server.proxies)
        self.rests_until = server.rest_owed(self.client)
        super().__init__(server, sock, addr, *others, **options)

    def rest(self, seconds: float) -> None:
        """Read nothing for so long; what a proxy sends is read, since it is of many."""
        if not self.is_proxy:
            self.rests_until = time.monotonic() + seconds

    def parser_class(self, settings: Any) -> Request:
        """A request that begins to arrive; waitress has a class here."""
        self._parsed = Request(settings, self.server.bodies, client=self.client, is_by_proxy=self.is_proxy)
        return self._parsed

    def readable(self) -> bool:
        """Whether more may be read. What is there already comes first, when all before it is answered."""
        if self._lingered is None and self.is_resting:
            return False
        if self._ahead and self._is_quiet():
            ahead, self._ahead = self._ahead, b""
            try:
                self.received(ahead)
            except Exception:  # waitress has no barrier here, as it has where bytes are read: all connections would end
                self.handle_error()
                return False
        return not self._ahead and bool(super().readable())

    def received(self, data: bytes) -> bool:
        """Take bytes from the client."""
        if self._lingered is not None:
            return self._pass_over(data)
        before = self.request
        taken: bool = super().received(data)
        if self._parsed and self._parsed.completed:
            self._ahead = self._parsed.behind
            if not self.is_proxy and "X_FORWARDED_FOR" in self._parsed.headers:
                self.server.warn_of_a_proxy(self.addr[0])
        if self.request is None:
            self.begun = None
        elif self.request is not before:
            self.begun = time.time()
        return taken

    def handle_write(self) -> None:
        """Send; after a refusal linger.

        A socket that is closed before all is read resets the connection, and the answer may be lost. RFC 9112, 9.6.
        """
        if not (self.close_when_flushed and self._parsed and self._parsed.error) or self.will_close:
            super().handle_write()
            return
        self._flush_exception(self._flush_some)
        if self.total_outbufs_len or self.will_close or not self.connected:
            return
        self.close_when_flushed = False
        self._lingered, self.begun = 0, time.time()
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.handle_close()

    def del_channel(self, *others: Any) -> None:
        """What is closed lets go of what has arrived, and leaves its rest to the next one."""
        super().del_channel(*others)
        self.server.owed.leave(self.client, self.rests_until)
        if arriving := self.request:
            arriving.close()

    @property
    def is_resting(self) -> bool:
        """Whether it is not read, as it was refused."""
        return time.monotonic() < self.rests_until

    @property
    def has_left(self) -> bool:
        """Whether the other end sends no more. Who rests is not read, and so would not be noticed."""
        poll = select.poll()
        poll.register(self.socket, getattr(select, "POLLRDHUP", 0))  # Linux has it
        return bool(poll.poll(0))

    @property
    def waits(self) -> bool:
        """Whether it waits for its client, to ask or to take its answer, and nobody for it."""
        return not self.requests and not self.will_close

    @property
    def patience(self) -> tuple[bool, float]:
        """Sorts those first that should make room first: half a request before none, then the longest."""
        return (self.begun is None, self.begun or self.last_activity)

    def is_late(self, now: float, *, request_s: float) -> bool:
        """Whether it has been arriving or lingering for too long."""
        most = request_s if self._lingered is None else min(request_s, MAX_LINGER_S)
        return self.begun is not None and now - self.begun > most and not self.requests

    def _is_quiet(self) -> bool:
        return not (self.requests or self.total_outbufs_len or self.will_close or self.close_when_flushed)

    def _pass_over(self, data: bytes) -> bool:
        self._lingered = (self._lingered or 0) + len(data)
        if self._lingered > self.server.max_linger_bytes:
            self.handle_close()
        return False
