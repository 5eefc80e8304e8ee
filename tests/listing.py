"""An S3 server that lists keys which the embedded one would tidy up. All else it hands on to that one."""

import contextlib
import threading
import urllib.parse
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


class OddListings(ThreadingHTTPServer):
    """Answers listings of prefixes that end in `raw/` from `keys` (below `raw/`), or with `answer` as it stands.

    `asked` are the queries of those listings, `deleted` what it was asked to delete of the keys.
    """

    daemon_threads = True

    def __init__(self, target: str):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = target.removeprefix("http://")
        self.keys: list[str] = []
        self.answer: bytes = b""
        self.page = 1000
        self.refuse = ""
        self.asked: list[dict[str, str]] = []
        self.deleted: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def listing(self, query: dict[str, str]) -> bytes:
        root = query["prefix"]
        names = sorted((root + key for key in self.keys), key=_bytes)
        if query.get("delimiter"):
            folders = sorted({root + name.removeprefix(root).partition("/")[0] + "/" for name in names})
            entries = [f"<CommonPrefixes><Prefix>{_xml(name)}</Prefix></CommonPrefixes>" for name in folders]
            return _result("".join(entries), "")
        start = query.get("continuation-token") or query.get("start-after") or ""
        left = [name for name in names if _bytes(name) > _bytes(start)]
        shown = left[: self.page]
        more = f"<NextContinuationToken>{_xml(shown[-1])}</NextContinuationToken>" if len(left) > len(shown) else ""
        return _result("".join(map(_entry, shown)), more)


@contextlib.contextmanager
def odd_listings(target: str) -> Iterator[OddListings]:
    server = OddListings(target)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: OddListings

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, status: int, body: bytes, headers: Sequence[tuple[str, str]] = ()) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _handle(self) -> None:
        path, _, query = self.path.partition("?")
        asked = dict(urllib.parse.parse_qsl(query, keep_blank_values=True, errors="surrogateescape"))
        name = urllib.parse.unquote(path, errors="surrogateescape").partition("/raw/")[2]
        if "list-type" in asked and asked.get("prefix", "").endswith("raw/"):
            self.server.asked.append(asked)
            if self.server.refuse and "X-Amz-Signature" in asked:
                self._answer(403, self.server.refuse.encode())
            else:
                self._answer(200, self.server.answer or self.server.listing(asked))
        elif self.command == "DELETE" and name in self.server.keys:
            self.server.keys.remove(name)
            self.server.deleted.append(name)
            self._answer(204, b"")
        else:
            self._hand_on()

    def _hand_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        host, _, port = self.server.target.partition(":")
        connection = HTTPConnection(host, int(port), timeout=30)
        try:
            connection.request(self.command, self.path, body, dict(self.headers))
            got = connection.getresponse()
            data = got.read()
            headers = [(name, value) for name, value in got.getheaders() if name.lower() not in HOP]
            length = got.getheader("Content-Length")
        finally:
            connection.close()
        if self.command == "HEAD":
            self.send_response(got.status)
            for name, value in [*headers, ("Content-Length", length or "0")]:
                self.send_header(name, value)
            self.end_headers()
        else:
            self._answer(got.status, data, headers)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _handle  # noqa: N815  # http.server asks for these names


def _bytes(key: str) -> bytes:
    return key.encode(errors="surrogateescape")


def _entry(key: str) -> str:
    size = 0 if key.endswith("/") else 9
    return (
        f"<Contents><Key>{_xml(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        f"<ETag>&quot;{abs(hash(key)):032x}&quot;</ETag><Size>{size}</Size></Contents>"
    )


def _xml(text: str) -> str:
    """As AWS writes it: also characters that XML does not have."""
    marks = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
    return "".join(f"&#x{ord(c):x};" if ord(c) < 32 or c in "\x7f\r" else marks.get(c, c) for c in text)


def _result(entries: str, more: str) -> bytes:
    text = (
        '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<IsTruncated>{str(bool(more)).lower()}</IsTruncated>{more}{entries}</ListBucketResult>"
    )
    return text.encode(errors="surrogateescape")
