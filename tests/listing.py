"""An S3 server that lists keys which the embedded one would tidy up. All else it hands on to that one."""

import contextlib
import urllib.parse
from collections.abc import Mapping

from tests.relay import Handler, Relay, running


class OddListings(Relay):
    """Answers listings of prefixes that end in `raw/` from `keys` (below `raw/`), or with `answer` as it stands.

    `asked` are the queries of those listings, `deleted` what it was asked to delete of the keys.
    """

    def __init__(self, target: str):
        super().__init__(target, _Handler)
        self.keys: list[str] = []
        self.answer: bytes = b""
        self.page = 1000
        self.refuse = ""
        self.asked: list[dict[str, str]] = []
        self.deleted: list[str] = []

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


def odd_listings(target: str) -> contextlib.AbstractContextManager[OddListings]:
    return running(OddListings(target))


class _Handler(Handler):
    server: OddListings

    def _answer(
        self, status: int, body: bytes, headers: Mapping[str, str] | None = None, length: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle_request(self) -> None:
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
            got = self.hand_on()
            self._answer(got.status, got.body, got.headers, got.length if self.command == "HEAD" else None)


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
