"""What Python 3.10 lacks. Apps run on it, so all that the client and the API import has to."""

import hashlib
import sys
from datetime import datetime, timezone
from typing import BinaryIO

from typing_extensions import Self

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["UTC", "Self", "file_sha256", "from_iso", "tomllib"]

UTC = timezone.utc
_PIECE = 1 << 20


def from_iso(text: str) -> datetime:
    """A time in ISO 8601; `Z` for UTC is understood too. Raises ValueError where it is none, TypeError for no text."""
    if not isinstance(text, str):
        raise TypeError(f"expected a text, got {text!r}")
    return datetime.fromisoformat(f"{text[:-1]}+00:00" if text.endswith(("Z", "z")) else text)


def file_sha256(file: BinaryIO) -> str:
    """Of what is left in an open file, 64 hex digits."""
    found = hashlib.sha256()
    while piece := file.read(_PIECE):
        found.update(piece)
    return found.hexdigest()
