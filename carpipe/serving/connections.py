"""Connections: who sends slowly makes room for others, and whose health it is has a door of its own.

waitress keeps a connection for as long as its sender sends a byte now and then, and takes no more of them once it has
its limit. So a hundred that trickle would shut everybody out, health checks too.
"""

import contextlib
import ipaddress
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from flask import Flask
from waitress.adjustments import Adjustments  # type: ignore[import-untyped]  # it comes without types
from waitress.channel import HTTPChannel  # type: ignore[import-untyped]
from waitress.server import TcpWSGIServer  # type: ignore[import-untyped]
from waitress.task import ThreadedTaskDispatcher  # type: ignore[import-untyped]
from waitress.wasyncore import close_all  # type: ignore[import-untyped]

from carpipe.config import ServingConfig
from carpipe.errors import InputError

# Names of this machine that everybody has. RFC 6761.
LOCAL_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost")
# Seconds between looks for connections that are late.
LOOK_S = 2
# Seconds that a connection may stay open with nothing asked.
IDLE_S = 60
# Places beside the limit that waitress has itself, where it would accept nobody: the server's own sockets are among
# those that it counts, and connections that are being closed.
SPARE = 50


def client_of(address: str) -> str:
    """Whom an address stands for: itself, or of IPv6 the network that one subscriber gets (/64, RFC 6177)."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(known, ipaddress.IPv4Address):
        return str(known)
    if known.ipv4_mapped:
        return str(known.ipv4_mapped)
    return str(ipaddress.ip_network((known, 64), strict=False))


def is_local(host: str) -> bool:
    """Whether a name or an address is this machine's own, which nobody reaches from elsewhere."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") in LOCAL_NAMES


class Connection(HTTPChannel):  # type: ignore[misc]  # it comes without types
    """A connection that knows since when the request has been arriving that it has not got in full."""

    begun: float | None = None

    def __init__(self, server: "Server", sock: socket.socket, addr: tuple[Any, ...], *rest: Any, **options: Any):
        self.client = client_of(addr[0])
        super().__init__(server, sock, addr, *rest, **options)

    def received(self, data: bytes) -> bool:
        """Take bytes from the client."""
        before = self.request
        taken: bool = super().received(data)
        if self.request is None:
            self.begun = None
        elif self.request is not before:
            self.begun = time.time()
        return taken

    @property
    def waits(self) -> bool:
        """Whether it waits for its client, to ask or to take its answer, and nobody for it."""
        return not self.requests and not self.will_close

    @property
    def patience(self) -> tuple[bool, float]:
        """Sorts those first that should make room first: half a request before none, then the longest."""
        return (self.begun is None, self.begun or self.last_activity)


class Server(TcpWSGIServer):  # type: ignore[misc]  # it comes without types
    """waitress, with a time for each request and a number of connections for each client."""

    channel_class = Connection

    def __init__(self, app: Flask, settings: ServingConfig, **options: Any):
        self._settings = settings
        super().__init__(app, **options)

    def maintenance(self, now: float) -> None:
        """Close what is idle or late."""
        super().maintenance(now)
        for one in list(self.active_channels.values()):
            if one.begun is not None and now - one.begun > self._settings.request_s and not one.requests:
                one.will_close = True
            # waitress closes it as soon as it can write to it, which who reads nothing never lets it.
            if one.will_close and not one.requests:
                one.handle_close()

    def handle_accept(self) -> None:
        """Take a connection; where there are too many now, one goes of whoever has most."""
        super().handle_accept()
        settings = self._settings
        there = [one for one in self.active_channels.values() if not one.will_close]
        held = Counter(one.client for one in there if one.addr[0] != settings.trusted_proxy)  # which stands for many
        most = max(held.values(), default=0)
        if most > settings.connections_per_client or len(there) > settings.connections:
            _make_room([one for one in there if held[one.client] == most], there)


def _make_room(greedy: list[Connection], there: list[Connection]) -> None:
    """Close the one that has kept us waiting longest, of the greedy if one does; all at work: the newest."""
    waiting = [one for one in greedy if one.waits] or [one for one in there if one.waits]
    leaving = min(waiting, key=lambda one: one.patience) if waiting else there[-1]
    leaving.will_close = True


@contextlib.contextmanager
def listening(app: Flask, settings: ServingConfig, *, port: int, setting: str, **options: Any) -> Iterator[Server]:
    """A server that is bound and only needs `run`, until the block ends.

    Args:
        setting: what says the port, for messages.
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
        clear_untrusted_proxy_headers=True,
        ident="carpipe",
        **_proxy(settings),
        **options,
    )
    dispatcher = ThreadedTaskDispatcher()
    dispatcher.set_thread_count(known.threads)
    sockets: dict[int, Any] = {}
    try:
        # A name such as localhost may be several addresses; one loop serves all that are in `sockets`.
        bound = partial(Server, app, settings, map=sockets, dispatcher=dispatcher, adj=known)
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


def _proxy(settings: ServingConfig) -> dict[str, Any]:
    if not settings.trusted_proxy:
        return {}
    return {"trusted_proxy": settings.trusted_proxy, "trusted_proxy_headers": {"x-forwarded-for"}}
