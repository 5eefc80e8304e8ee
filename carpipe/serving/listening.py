"""Listening: who sends slowly makes room for others, and whose health it is has a door of its own.

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
from waitress.server import TcpWSGIServer  # type: ignore[import-untyped]
from waitress.task import ThreadedTaskDispatcher  # type: ignore[import-untyped]
from waitress.wasyncore import close_all  # type: ignore[import-untyped]

from carpipe.addresses import network_of
from carpipe.config import ServingConfig
from carpipe.errors import InputError
from carpipe.serving.arriving import MAX_HEADER_BYTES
from carpipe.serving.bodies import MB, Bodies, Limit
from carpipe.serving.connections import MAX_LINGER_PHOTOS, Connection
from carpipe.serving.rests import OwedRests

log = logging.getLogger(__name__)

# It says how long its queue is at each request that waits: whoever sends much would fill the log.
logging.getLogger("waitress.queue").setLevel(logging.ERROR)

# Bodies that are held at a time, in largest requests: of all so many that a small server has room for them, which is
# 480 MB on the disk for temporary files; of a client so many that a quarter is for others.
MAX_HELD_REQUESTS, MAX_CLIENT_REQUESTS = 8, 6
# Seconds, for each connection, between looks at all of them.
PAUSE_S = 4e-6
# Connections that are taken at one look.
MAX_ACCEPTED_CONNECTIONS = 16
# Bytes that are read of a connection at one look.
MAX_RECEIVED_BYTES = 32_768
# Seconds between looks for connections that are late.
LOOK_S = 2
# Seconds that a connection may stay open with nothing asked.
MAX_IDLE_S = 60
# Places beside the limit that waitress has itself, where it would accept nobody: the server's own sockets are among
# those that it counts, and connections that are being closed.
SPARE_CONNECTIONS = 50


class Server(TcpWSGIServer):  # type: ignore[misc]  # it comes without types
    """waitress, with a time for each request and a number of connections for each client."""

    # Of the process, whatever it listens on.
    _has_warned = False
    _taken = 0

    def __init__(self, app: Flask, settings: ServingConfig, *, bodies: Bodies, owed: OwedRests, **options: Any):
        self._settings, self.bodies, self.owed = settings, bodies, owed
        self.logs_requests = settings.request_log
        self.max_linger_bytes = MAX_LINGER_PHOTOS * settings.max_photo_mb * MB
        self.proxies = network_of(settings.trusted_proxy) if settings.trusted_proxy else ()
        super().__init__(app, **options)

    def rest_owed(self, client: str) -> float:
        """Until when a new connection of the client rests, for one that was refused and is gone; 0 for none."""
        for one in self._connections():
            if one.client == client and one.is_resting and one.has_left:
                one.handle_close()
        return self.owed.take(client)

    def warn_of_a_proxy(self, address: str) -> None:
        """Say, once, that an address that is not trusted names others whom it asks for."""
        if not Server._has_warned:
            Server._has_warned = True
            log.warning(
                "X-Forwarded-For came from %s, which serving.trusted_proxy does not name. If that is your proxy, name "
                "it there: until then all who come through it are one client. This is said once.",
                address,
            )

    def maintenance(self, now: float) -> None:
        """Close what is idle or late."""
        super().maintenance(now)
        for one in list(self.active_channels.values()):
            if one.is_late(now, request_s=self._settings.request_s):
                one.will_close = True
            # waitress closes it as soon as it can write to it, which who reads nothing never lets it.
            if one.will_close and not one.requests:
                with _barrier():
                    one.handle_close()

    def readable(self) -> bool:
        """Whether to take connections. It is asked before each look at all sockets, and at each answer there is one.

        A look costs some microseconds a connection. So with many of them it makes a pause, in which answers gather:
        else a flood of small requests costs requests times connections. Each address makes that of its own.
        """
        time.sleep(PAUSE_S * len(self.active_channels))
        return bool(super().readable())

    def handle_accept(self) -> None:
        """Take the connections that wait."""
        for _ in range(MAX_ACCEPTED_CONNECTIONS):
            before = self._taken
            super().handle_accept()
            if self._taken == before:
                return

    def channel_class(self, _: Any, sock: socket.socket, *others: Any, **options: Any) -> None:
        """Take a connection; waitress has a class here."""
        self._taken += 1
        with _barrier():
            try:
                Connection(self, sock, *others, **options)
            except Exception:
                sock.close()
                raise
            self._keep_few()

    def _keep_few(self) -> None:
        """Where there are too many connections now, one goes of whoever has most."""
        settings = self._settings
        there = [one for one in self._connections() if not one.will_close]
        direct = [one for one in there if not one.is_proxy]
        held = Counter(one.client for one in direct)
        most = max(held.values(), default=0)
        greedy = [one for one in direct if held[one.client] == most]
        if most > settings.connections_per_client:
            _make_room(greedy, there)
        elif len(there) > settings.connections:
            # Who comes beside a proxy, as a monitor does, does not pay for what it holds: a quarter of all is theirs.
            is_theirs = len(direct) > settings.connections // 4
            _make_room(greedy if is_theirs else [one for one in there if one.is_proxy], there)

    def _connections(self) -> list[Connection]:
        """Of all addresses that are listened on."""
        return [one for one in list(self._map.values()) if isinstance(one, Connection)]


@contextlib.contextmanager
def _barrier() -> Iterator[None]:
    """What goes wrong with one connection costs that one. waitress would take none any more, or end all."""
    try:
        yield
    except Exception:
        log.exception("a connection cannot be taken or closed")


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
    known = _adjustments(settings, port=port, **options)
    request = settings.max_request_mb * MB
    bodies = Bodies(limits or {}, max_bytes=MAX_HELD_REQUESTS * request, max_client_bytes=MAX_CLIENT_REQUESTS * request)
    dispatcher = ThreadedTaskDispatcher()
    dispatcher.set_thread_count(known.threads)
    sockets: dict[int, Any] = {}
    try:
        # A name such as localhost may be several addresses; one loop serves all that are in `sockets`.
        shared = {"bodies": bodies, "owed": OwedRests(), "map": sockets, "dispatcher": dispatcher, "adj": known}
        bound = partial(Server, app, settings, **shared)
        yield _first(bound, known, what=f"serving.host and {setting}, {settings.host}:{port},")
    finally:
        dispatcher.shutdown()  # first, since answers need the sockets
        close_all(sockets)


def _adjustments(settings: ServingConfig, **options: Any) -> Adjustments:
    return Adjustments(
        host=settings.host,
        connection_limit=settings.connections + SPARE_CONNECTIONS,
        channel_timeout=MAX_IDLE_S,
        cleanup_interval=LOOK_S,
        asyncore_use_poll=True,  # select() ends at 1,024 open files
        max_request_header_size=MAX_HEADER_BYTES,
        recv_bytes=MAX_RECEIVED_BYTES,
        clear_untrusted_proxy_headers=True,  # what they say is read as the request arrives
        ident="carpipe",
        url_prefix=settings.path,
        **options,
    )


def _first(bound: Callable[..., Server], known: Adjustments, *, what: str) -> Server:
    try:
        servers = [bound(sockinfo=address) for address in known.listen]
    except OSError as error:
        raise InputError(f"{what} cannot be listened on: {error.strerror}.") from error
    return servers[0]
