"""Names from the field: keys, folders and models as people, file systems and uploaders write them.

Whoever compares names from two sides lets both through the same function here. What is shown to people goes
through `shown`, so that no name can forge a line of a log or of a terminal.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from functools import lru_cache

# What S3 allows, in UTF-8.
MAX_KEY_BYTES = 1024
# Of a listing or a photo, in lower case.
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# Beside control characters: what breaks a line or turns the reading direction, and bytes that were no UTF-8.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# Letters, marks and symbols that show nothing: Python does not know Unicode's property Default_Ignorable, but their
# names say it. Control characters, marks of direction and spaces it does know, as not printable.
_UNSEEN = re.compile(r"\b(?:FILLER|BLANK|NULL|JOINER|INHERENT|VARIATION SELECTOR)\b")
# Accents on one letter: Vietnamese has 2, Hebrew 3, Tibetan 4. More of them write over the lines around.
_ACCENTS = 4
# Characters of a name in a sentence: names of real photos have 30 to 90.
_BRIEF = 100
# The part of it that no request can be made for.
_UNREQUESTABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
# What else tools leave: Windows, Spark.
_FOREIGN = {"thumbs.db", "desktop.ini", "_success"}

# Text of the data, such as names of classes, is not to become links or pictures: Airflow's page reads GitHub's
# Markdown, in which an address is a link by itself.
_MARKUP = re.compile(r"[\\`*_\[\]<>&!~|]")
# What makes a heading, a list or a rule of a line, where it stands at its beginning.
_AT_START = re.compile(r"^(\d*)([#+\-=.)])")
_WITHIN_ADDRESS = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?<=@)", re.IGNORECASE)
_ZERO_WIDTH_SPACE = "\u200b"


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


def is_foreign(key: str) -> bool:
    """Whether other tools leave objects of that name anywhere: desktops, consoles, Hadoop, git."""
    *folders, name = key.removesuffix("/").split("/")
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in (*folders, name))
    return hidden or key.endswith("/") or name.endswith("_$folder$") or name.lower() in _FOREIGN


def is_printable(name: str) -> bool:
    """Whether it can be shown as it is."""
    return not _UNPRINTABLE.search(name)


def shown(name: str) -> str:
    """The name for people: what cannot be printed, cannot be seen or covers what is around is escaped, as in `a\\nb`.

    Letters of all scripts stay, with up to four accents each.
    """
    if name.isascii() and name.isprintable():
        return name
    return "".join(_escape(one) if hidden else one for one, hidden in zip(name, _hidden(name), strict=True))


def shown_text(text: str) -> str:
    """A text of some lines for people, which may hold names: as `shown`, but its lines and tabs stay."""
    return "".join(part if part in "\t\n" else shown(part) for part in re.split("([\t\n])", text))


def brief(name: str, *, max_characters: int = _BRIEF) -> str:
    """As `shown`, in `max_characters` at most: for names that somebody else has made as long as they like."""
    cut = shown(name[: max_characters + 1])
    return cut if len(cut) <= max_characters else f"{cut[: max_characters - 1]}…"


def meant(given: str, known: Iterable[str]) -> str:
    """The end of a message about an id that there is not: which one there is like it. Empty: none."""
    there = list(known)
    close = [one for one in there if given and one.startswith(given)] or get_close_matches(given, there, cutoff=0.7)
    return f" Did you mean {shown(close[0])}?" if close else ""


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number of things: `1 photo`, `2 photos`."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def in_markdown(line: str) -> str:
    """As Markdown that shows the line and does nothing else."""
    inline = _MARKUP.sub(r"\\\g<0>", _WITHIN_ADDRESS.sub(_ZERO_WIDTH_SPACE, line))
    return _AT_START.sub(r"\1\\\2", inline)


def storable(key: str) -> str:
    """The key as tables hold it: as it is, or escaped where no request for it can be made."""
    return _UNPRINTABLE.sub(lambda found: _escape(found[0]), key) if _UNREQUESTABLE.search(key) else key


def _hidden(name: str) -> Iterator[bool]:
    """Of each character, whether it misleads where it is shown."""
    accents = _ACCENTS  # there is no letter yet that could bear one
    for one in name:
        accents = accents + 1 if _is_accent(one) else 0
        yield accents > _ACCENTS or _is_unseen(one)


@lru_cache(maxsize=4096)
def _is_accent(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


@lru_cache(maxsize=4096)
def _is_unseen(character: str) -> bool:
    return not character.isprintable() or bool(_UNSEEN.search(unicodedata.name(character, "")))


def _escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte that was no UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
