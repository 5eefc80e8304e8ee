"""Connections: who sends slowly makes room for others, and whose health it is has a door of its own.

waitress keeps a connection for as long as its sender sends a byte now and then, and takes no more of them once it has
its limit. So a hundred that trickle would shut everybody out, health checks too.
"""

import contextlib
import logging
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from flask import Flask
from waitress.adjustments import Adjustments  # type: ignore[import-untyped]  # it comes without types
from waitress.channel import HTTPChannel  # type: ignore[import-untyped]
from waitress.server import TcpWSGIServer  # type: ignore[import-untyped]
from waitress.task import ThreadedTaskDispatcher, WSGITask  # type: ignore[import-untyped]
from waitress.wasyncore import close_all  # type: ignore[import-untyped]

from carpipe.config import ServingConfig
from carpipe.errors import InputError
from carpipe.serving.bodies import Bodies, Limit
from carpipe.serving.clients import client_of, is_among, networks_of
from carpipe.serving.refusals import Refused
from carpipe.serving.requests import HEADER_BYTES, Request

# It says how long its queue is at each request that waits: whoever sends much would fill the log.
logging.getLogger("waitress.queue").setLevel(logging.ERROR)

MB = 1_000_000
# Where the app finds whose request it is.
CLIENT = "carpipe.client"
# Of bodies that are held at a time, in all and of a client: so many times the largest request. A quarter is for others.
HELD, HELD_PER_CLIENT = 8, 6
# Seconds and bytes that a connection may go on sending after it was refused: as much as an honest photo.
LINGER_S, LINGER_BYTES = 5, 20_000_000
# Seconds, for each connection, between looks at all of them; connections taken at one.
PAUSE_S, ACCEPTED = 4e-6, 16
# Seconds between looks for connections that are late.
LOOK_S = 2
# Seconds that a connection may stay open with nothing asked.
IDLE_S = 60
# Places beside the limit that waitress has itself, where it would accept nobody: the server's own sockets are among
# those that it counts, and connections that are being closed.
SPARE = 50


class Task(WSGITask):  # type: ignore[misc]  # it comes without types
    """Hands a request to the app, and whose it is with it."""

    def get_environment(self) -> dict[str, Any]:
        """The WSGI environment."""
        environ: dict[str, Any] = super().get_environment()
        environ[CLIENT] = self.request.client
        return environ


class Connection(HTTPChannel):  # type: ignore[misc]
    """A connection with one request at a time, which it refuses as soon as it can.

    Attributes:
        begun: since when the request has been arriving that it has not got in full, or it has been lingering.
        client: who is at its other end.
        is_proxy: it stands for many.
    """

    task_class, error_task_class = Task, Refused
    begun: float | None = None
    close_when_flushed: bool
    _parsed: Request | None = None
    # What came behind the request that is being answered. waitress would have it all answered, into its memory.
    _ahead = b""
    # Bytes that have come since it was refused, from when there is nothing but to wait for the other end to notice.
    _lingered: int | None = None

    def __init__(self, server: "Server", sock: socket.socket, addr: tuple[Any, ...], *rest: Any, **options: Any):
        self.client, self.is_proxy = client_of(addr[0]), is_among(addr[0], server.proxies)
        super().__init__(server, sock, addr, *rest, **options)

    def parser_class(self, settings: Any) -> Request:
        """A request that begins to arrive; waitress has a class here."""
        self._parsed = Request(settings, self.server.bodies, client=self.client, is_by_proxy=self.is_proxy)
        return self._parsed

    def readable(self) -> bool:
        """Whether more may be read. What is there already comes first, when all before it is answered."""
        if self._ahead and self._is_quiet():
            ahead, self._ahead = self._ahead, b""
            self.received(ahead)
        return not self._ahead and bool(super().readable())

    def received(self, data: bytes) -> bool:
        """Take bytes from the client."""
        if self._lingered is not None:
            return self._pass_over(data)
        before = self.request
        taken: bool = super().received(data)
        if self._parsed and self._parsed.completed:
            self._ahead = self._parsed.rest
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
        if self.total_outbufs_len or self.will_close:
            return
        self.close_when_flushed = False
        self._lingered, self.begun = 0, time.time()
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.handle_close()

    def del_channel(self, *rest: Any) -> None:
        """What is closed lets go of what has arrived."""
        super().del_channel(*rest)
        if arriving := self.request:
            arriving.close()

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
        most = request_s if self._lingered is None else min(request_s, LINGER_S)
        return self.begun is not None and now - self.begun > most and not self.requests

    def _is_quiet(self) -> bool:
        return not (self.requests or self.total_outbufs_len or self.will_close or self.close_when_flushed)

    def _pass_over(self, data: bytes) -> bool:
        self._lingered = (self._lingered or 0) + len(data)
        if self._lingered > LINGER_BYTES:
            self.handle_close()
        return False


class Server(TcpWSGIServer):  # type: ignore[misc]  # it comes without types
    """waitress, with a time for each request and a number of connections for each client."""

    channel_class = Connection

    def __init__(self, app: Flask, settings: ServingConfig, *, bodies: Bodies, **options: Any):
        self._settings, self.bodies = settings, bodies
        self.proxies = networks_of(settings.trusted_proxy)
        super().__init__(app, **options)

    def maintenance(self, now: float) -> None:
        """Close what is idle or late."""
        super().maintenance(now)
        for one in list(self.active_channels.values()):
            if one.is_late(now, request_s=self._settings.request_s):
                one.will_close = True
            # waitress closes it as soon as it can write to it, which who reads nothing never lets it.
            if one.will_close and not one.requests:
                one.handle_close()

    def readable(self) -> bool:
        """Whether to take connections. It is asked before each look at all sockets, and at each answer there is one.

        A look costs some microseconds a connection. So with many of them it makes a pause, in which answers gather:
        else a flood of small requests costs requests times connections.
        """
        time.sleep(PAUSE_S * len(self.active_channels))
        return bool(super().readable())

    def handle_accept(self) -> None:
        """Take the connections that wait."""
        for _ in range(ACCEPTED):
            before = len(self.active_channels)
            super().handle_accept()
            if len(self.active_channels) == before:
                return
            self._keep_few()

    def _keep_few(self) -> None:
        """Where there are too many connections now, one goes of whoever has most."""
        settings = self._settings
        there = [one for one in self.active_channels.values() if not one.will_close]
        held = Counter(one.client for one in there if not one.is_proxy)
        most = max(held.values(), default=0)
        if most > settings.connections_per_client or len(there) > settings.connections:
            _make_room([one for one in there if held[one.client] == most], there)


def _make_room(greedy: list[Connection], there: list[Connection]) -> None:
    """Close the one that has kept us waiting longest, of the greedy if one does; all at work: the newest."""
    waiting = [one for one in greedy if one.waits] or [one for one in there if one.waits]
    leaving = min(waiting, key=lambda one: one.patience) if waiting else there[-1]
    leaving.will_close = True


@contextlib.contextmanager
def listening(
    app: Flask,
    settings: ServingConfig,
    *,
    port: int,
    setting: str,
    limits: Mapping[str, Limit] | None = None,
    **options: Any,
) -> Iterator[Server]:
    """A server that is bound and only needs `run`, until the block ends.

    Args:
        setting: what says the port, for messages.
        limits: by path, of bodies that may be posted there; none are taken elsewhere.
        options: of waitress.

    Raises:
        InputError: the address cannot be listened on.
    """
    known = Adjustments(
        host=settings.host,
        port=port,
        connection_limit=settings.connections + SPARE,
        channel_timeout=IDLE_S,
        cleanup_interval=LOOK_S,
        asyncore_use_poll=True,  # select() ends at 1,024 open files
        max_request_header_size=HEADER_BYTES,
        clear_untrusted_proxy_headers=True,  # what they say is read as the request arrives
        ident="carpipe",
        **options,
    )
    request = settings.max_request_mb * MB
    bodies = Bodies(limits or {}, most=HELD * request, per_client=HELD_PER_CLIENT * request)
    dispatcher = ThreadedTaskDispatcher()
    dispatcher.set_thread_count(known.threads)
    sockets: dict[int, Any] = {}
    try:
        # A name such as localhost may be several addresses; one loop serves all that are in `sockets`.
        bound = partial(Server, app, settings, bodies=bodies, map=sockets, dispatcher=dispatcher, adj=known)
        yield _first(bound, known, what=f"serving.host and {setting}, {settings.host}:{port},")
    finally:
        dispatcher.shutdown()  # first, since answers need the sockets
        close_all(sockets)


def _first(bound: Callable[..., Server], known: Adjustments, *, what: str) -> Server:
    try:
        servers = [bound(sockinfo=address) for address in known.listen]
    except OSError as error:
        raise InputError(f"{what} cannot be listened on: {error.strerror}.") from error
    return servers[0]
