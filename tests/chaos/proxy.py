"""A proxy between S3 client and server that does to the traffic what networks and busy servers do.

It understands just enough HTTP/1.1 to know where a request and its answer end. Signatures stay valid, since the
client signs the proxy's address and the proxy hands the `Host` header on.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

WRITES = frozenset({"PUT", "POST", "DELETE"})
SLOW_DOWN_ANSWER = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
LATENCY_S = 0.25


class Fault(Enum):
    """What can happen to one request."""

    LATENCY = "the answer comes late"
    REFUSED = "the connection breaks before the server sees the request"
    SLOW_DOWN = "503 SlowDown, and nothing was done"
    RESET = "the connection is reset in the middle of the answer"
    TRUNCATED = "the answer ends in the middle"
    LOST = "the request is done, its answer is lost"
    DONE_AND_503 = "the request is done, the answer is 503"


@dataclass(frozen=True)
class Request:
    """What the proxy knows of a request. `write` counts those that write, from 0; None for one that reads."""

    method: str
    path: str
    conditional: bool
    write: int | None


Plan = Callable[[Request], Fault | None]


def calm(request: Request) -> None:
    """The plan in which nothing happens."""


class Proxy:
    """Set `plan` at any time; `seen` lists the requests with what was done to them. Speaks TLS if told how."""

    def __init__(self, target: str, tls: ssl.SSLContext | None = None):
        host, _, port = target.removeprefix("http://").partition(":")
        self._target = (host, int(port))
        self._tls = tls
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self.plan: Plan = calm
        self.seen: list[tuple[Request, Fault | None]] = []
        self.endpoint = ""

    def reset(self, plan: Plan = calm) -> None:
        """Forget what was seen, count from 0 again, and follow another plan."""
        with self._lock:
            self.seen, self.plan = [], plan

    def faults(self) -> int:
        """How many requests were harmed."""
        return sum(fault is not None for _, fault in self.seen)

    async def start(self) -> None:
        """Listen on a free port of loopback."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        port = self._server.sockets[0].getsockname()[1]
        self.endpoint = f"{'https' if self._tls else 'http'}://127.0.0.1:{port}"

    async def stop(self) -> None:
        """Close all connections, those included that were accepted just now and nobody has begun to serve."""
        for listener in self._server.sockets:
            self._server.get_loop().remove_reader(listener.fileno())
        await _some_turns()  # asyncio forgets the socket of a connection that it has taken in when the server closes
        self._server.close()
        for task, writer in list(self._open.items()):
            task.cancel()
            writer.transport.abort()
        await asyncio.gather(*self._open, return_exceptions=True)
        await _some_turns()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve_until_gone(reader, writer))
        self._open[task] = writer
        task.add_done_callback(self._open.pop)

    async def _serve_until_gone(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._serve(reader, writer)
        writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Requests of one connection, one after the other, until a fault or the client ends it."""
        there, back = await asyncio.open_connection(*self._target)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await _body(reader, head)
                request, fault = self._judge(head)
                if not await _exchange(request, fault, head + body, (there, back), writer):
                    return
        finally:
            back.close()

    def _judge(self, head: bytes) -> tuple[Request, Fault | None]:
        method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
        lines = head.lower().split(b"\r\n")
        conditional = any(line.startswith((b"if-match", b"if-none-match")) for line in lines)
        with self._lock:
            writes = sum(request.write is not None for request, _ in self.seen)
            request = Request(method, path, conditional, writes if method in WRITES else None)
            fault = self.plan(request)
            self.seen.append((request, fault))
        return request, fault


async def _some_turns() -> None:
    """What asyncio does in steps gets done: a connection accepted is announced, one aborted closes its socket."""
    for _ in range(10):
        await asyncio.sleep(0)


async def _exchange(
    request: Request,
    fault: Fault | None,
    data: bytes,
    server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    client: asyncio.StreamWriter,
) -> bool:
    """Carry one request and its answer; False where the connection ends with it."""
    if fault is Fault.REFUSED:
        _hang_up(client)
        return False
    if fault is Fault.SLOW_DOWN:
        return await _answer_503(request, client)
    server[1].write(data)
    head = await server[0].readuntil(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    body = b"" if request.method == "HEAD" or status in (204, 304) else await _body(server[0], head)
    if fault is Fault.DONE_AND_503:
        return await _answer_503(request, client)
    if fault is Fault.LATENCY:
        await asyncio.sleep(LATENCY_S)
    if fault in (None, Fault.LATENCY):
        client.write(head + body)
        await client.drain()
        return True
    if fault is not Fault.LOST:
        whole = head + body
        # In the middle of the body, and of the head where there is no body.
        client.write(whole[: len(head) + len(body) // 2] if len(body) > 1 else whole[: len(head) // 2])
        await client.drain()
    if fault is not Fault.TRUNCATED:
        _hang_up(client)
    return False


async def _answer_503(request: Request, client: asyncio.StreamWriter) -> bool:
    body = b"" if request.method == "HEAD" else SLOW_DOWN_ANSWER
    length = str(len(SLOW_DOWN_ANSWER)).encode()
    client.write(b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nContent-Length: " + length + b"\r\n\r\n")
    client.write(body)
    await client.drain()
    return True


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    """The body as it lies on the wire."""
    headers = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
    if headers.get(b"transfer-encoding", b"").strip() != b"chunked":
        return await reader.readexactly(int(headers.get(b"content-length", b"0")))
    parts = []
    while True:
        size = await reader.readuntil(b"\r\n")
        parts += [size, await reader.readexactly(int(size, 16) + 2)]
        if int(size, 16) == 0:
            return b"".join(parts)


def _hang_up(client: asyncio.StreamWriter) -> None:
    """Close with a reset instead of an orderly end."""
    connection = client.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.transport.abort()


@contextlib.contextmanager
def proxy_to(endpoint: str, *, tls: ssl.SSLContext | None = None) -> Iterator[Proxy]:
    """A proxy in a thread of its own for the time of a `with` block."""
    proxy = Proxy(endpoint, tls)
    loop = proxy._loop
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(proxy.start(), loop).result(10)
    try:
        yield proxy
    finally:
        asyncio.run_coroutine_threadsafe(proxy.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
