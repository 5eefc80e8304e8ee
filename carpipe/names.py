"""Names from the field: keys, folders and models as people, file systems and uploaders write them.

Whoever compares names from two sides lets both through the same function here. What is shown to people goes
through `shown`, so that no name can forge a line of a log or of a terminal.
"""

import re
import unicodedata

# What S3 allows, in UTF-8.
KEY_BYTES = 1024
# Beside control characters: what breaks a line or turns the reading direction, and bytes that were no UTF-8.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# What else misleads where it is shown: marks of direction and characters that cannot be seen. Names may hold them.
_MISLEADING = re.compile(f"{_UNPRINTABLE.pattern}|[\xad\u061c\u180e\u200b\u200e\u200f\u2060-\u2064\ufeff\ufff9-\ufffb]")
# What stays of it where lines are: their ends.
_IN_LINES = re.compile(f"(?![\t\n])(?:{_MISLEADING.pattern})")
# The part of it that no request can be made for.
_UNREQUESTABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


def normalise_key(name: str) -> str:
    """NFC, as S3 keys should be: file systems hand out decomposed names too."""
    return unicodedata.normalize("NFC", name)


def match_key(text: str) -> str:
    """What all spellings of one photo's key have in common: with or without `raw/`, composed or not, spaces around."""
    return normalise_key(text.strip().removeprefix("raw/"))


def model_name(text: str) -> str:
    """What all spellings of one model have in common: composed, lower case, single spaces, none around."""
    return " ".join(normalise_key(text).lower().split())


def is_odd(key: str) -> bool:
    """Whether S3 may hold an object of that key, but no request for it can be made.

    The rules are those of the library `object_store`: no empty, `.` or `..` parts, no control characters.
    """
    parts = key.removesuffix("/").split("/")
    return bool(_UNREQUESTABLE.search(key) or {"", ".", ".."} & set(parts))


def is_printable(name: str) -> bool:
    """Whether it can be shown as it is."""
    return not _UNPRINTABLE.search(name)


def shown(name: str) -> str:
    """The name for people: what cannot be printed is escaped, as in `a\\nb`."""
    return _MISLEADING.sub(_escape, name)


def shown_text(text: str) -> str:
    """A text of some lines for people, which may hold names: as `shown`, but its lines stay."""
    return _IN_LINES.sub(_escape, text)


def storable(key: str) -> str:
    """The key as tables hold it: as it is, or escaped where no request for it can be made."""
    return _UNPRINTABLE.sub(_escape, key) if _UNREQUESTABLE.search(key) else key


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if "\udc80" <= character <= "\udcff":  # a byte that was no UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
