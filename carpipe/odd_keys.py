"""Keys that obstore refuses, such as `raw//x.jpg` or one with a line break: listed and deleted all the same.

S3 allows such keys, and a listing that holds one is refused whole. Here obstore only signs the request, so that
credentials, region and endpoint are the store's; it is sent and read by what Python has itself. The reader is
tolerant on purpose: XML that holds control characters or broken UTF-8 is no XML, but servers send it.
"""

import http.client
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlencode

import obstore
from obstore import exceptions
from obstore.store import S3Store

from carpipe.backports import from_iso

EXPIRES = timedelta(minutes=15)
# S3 passes over parameters that begin so: the path that obstore adds to the address ends up in it.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html, "Custom access log information"
NO_PARAMETER = "x-carpipe"
ENTITIES = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}

Meta = dict[str, Any]


@dataclass
class Place:
    """How far a listing has come: where it goes on when it breaks off, so that nothing is listed twice.

    Of a key that ends in a slash obstore takes the slash away, so keys may come a little out of order. Two objects
    whose keys read the same are both listed.
    """

    after: str | None = None
    passed: set[str] = field(default_factory=set)
    again: set[str] = field(default_factory=set)

    def resume(self) -> str | None:
        """The key that a new listing is to start after; what it repeats of the last one counts as passed."""
        self.again = set(self.passed)
        return self.after

    def moves_to(self, key: str) -> bool:
        """Go on to the next key; False where a listing before has passed it."""
        if key in self.again:
            return False
        if self.after is None or key > self.after:
            self.after = key
            self.passed.clear()
        self.passed.add(key)
        return True


class OddKeys:
    """Requests about such keys, in one bucket, below one prefix. Safe to share between threads.

    Args:
        options: of the S3Store of the same bucket.
        authorities: PEM of those to trust beside the system's.
    """

    def __init__(self, bucket: str, prefix: str, options: Mapping[str, Any], *, timeout_s: float, authorities: bytes):
        self._bucket = bucket
        self._root = f"{prefix}/" if prefix else ""
        self._options = dict(options)
        self._timeout_s = timeout_s
        self._authorities = authorities

    def list_objects(self, prefix: str, *, offset: str | None) -> Iterator[list[Meta]]:
        """Pages of what lies under `prefix/` after a key, as obstore would have given them; odd keys as they are.

        Raises:
            GenericError: as obstore's own.
        """
        start = {"start-after": self._root + offset} if offset else {}
        for page in self._pages({"prefix": self._below(prefix)}, start):
            yield [self._meta(entry) for entry in _all("Contents", page)]

    def list_folders(self, prefix: str) -> list[str]:
        """The keys one level under `prefix/` that other objects lie under."""
        pages = self._pages({"prefix": self._below(prefix), "delimiter": "/"}, {})
        return [self._path(_first("Prefix", entry)) for page in pages for entry in _all("CommonPrefixes", page)]

    def delete(self, key: str) -> None:
        """Remove an object. A key with `.` or `..` parts cannot be asked for: no address can hold it."""
        self._send("DELETE", self._sign("DELETE", self._path_of(key), ""))

    def headers(self, key: str) -> Mapping[str, str]:
        """What the store says of an object beside what obstore hands on, by lower-case name; none where there is none.

        Raises:
            GenericError: as obstore's own.
        """
        return self._ask("HEAD", self._sign("HEAD", self._path_of(key), ""))[1]

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        # Without what people write between the certificates.
        blocks = re.findall(b"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", self._authorities, re.DOTALL)
        if blocks:
            context.load_verify_locations(cadata=b"\n".join(blocks).decode())
        return context

    def _meta(self, entry: str) -> Meta:
        modified = _first("LastModified", entry)
        return {
            "path": self._path(_first("Key", entry)),
            "e_tag": _first("ETag", entry),
            "size": int(_first("Size", entry) or 0),
            "last_modified": from_iso(modified) if modified else None,
        }

    def _below(self, prefix: str) -> str:
        return f"{self._root}{prefix.rstrip('/')}/" if prefix else self._root

    def _path(self, key: str) -> str:
        """The key below the prefix. Of the empty object that stands for a folder obstore takes the slash away."""
        path = key.removeprefix(self._root)
        return path if path.endswith("//") else path.removesuffix("/")

    def _pages(self, asked: Mapping[str, str], start: Mapping[str, str]) -> Iterator[str]:
        while True:
            query = urlencode({"list-type": "2", **asked, **start}, quote_via=quote, safe="", errors="surrogateescape")
            page = self._send("GET", self._sign("GET", "", f"{query}&"))
            if "</ListBucketResult>" not in page:
                raise exceptions.GenericError(f"Got invalid list response: {page[:80]!r}")
            yield page
            if _first("IsTruncated", page) != "true":
                return
            start = {"continuation-token": _first("NextContinuationToken", page)}
            if not start["continuation-token"]:
                raise exceptions.GenericError("Got invalid list response: it goes on, but does not say where")

    def _sign(self, method: str, path: str, query: str) -> str:
        """The address of a request, signed with the store's credentials."""
        home = obstore.sign(S3Store(self._bucket, **self._options), "GET", "raw", EXPIRES)
        address = home.partition("?")[0].removesuffix("/raw")
        endpoint = f"{address}{path}?{query}{NO_PARAMETER}="
        store = S3Store(self._bucket, **{**self._options, "endpoint": endpoint, "virtual_hosted_style_request": True})
        return str(obstore.sign(store, method, "1", EXPIRES))

    def _path_of(self, key: str) -> str:
        return "/" + quote(self._root + key, errors="surrogateescape")

    def _send(self, method: str, address: str) -> str:
        return self._ask(method, address)[0]

    def _ask(self, method: str, address: str) -> tuple[str, Mapping[str, str]]:
        """The answer, and its headers.

        Raises:
            GenericError: worded as obstore does, so that the store knows what may be tried again.
        """
        request = urllib.request.Request(address, method=method)  # noqa: S310  # obstore made it, of the endpoint
        try:
            with urllib.request.urlopen(request, timeout=self._timeout_s, context=self._trust) as answer:  # noqa: S310
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return str(answer.read().decode(errors="surrogateescape")), headers
        except urllib.error.HTTPError as error:
            if error.code == 404 and method != "GET":
                return "", {}
            text = error.read().decode(errors="replace")
            kind = "HTTP error: " if error.code >= 500 or error.code == 429 else ""
            raise exceptions.GenericError(f"{kind}status code: {error.code} {text}") from error
        except (OSError, http.client.HTTPException) as error:
            raise exceptions.GenericError(f"HTTP error: {error}") from error


def is_for_a_key(error: Exception) -> bool:
    """Whether a listing was refused for a key in it."""
    return isinstance(error, exceptions.InvalidPathError) or "invalid list response" in str(error)


def _all(tag: str, text: str) -> list[str]:
    return re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)


def _first(tag: str, text: str) -> str:
    found = re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
    return re.sub("&(#x[0-9a-fA-F]{1,6}|#[0-9]{1,7}|[a-z]{2,4});", _character, found[1]) if found else ""


def _character(reference: re.Match[str]) -> str:
    name = reference[1]
    if not name.startswith("#"):
        return ENTITIES.get(name, reference[0])
    number = int(name[2:], 16) if name[1] == "x" else int(name[1:])
    if number > 0x10FFFF:
        return "\ufffd"
    # Half of a surrogate pair is no UTF-8: it becomes the bytes that it was written as.
    return chr(number).encode(errors="surrogatepass").decode(errors="surrogateescape")
