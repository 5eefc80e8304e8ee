"""ASCII slugs: what a class is called in folders, object keys and label files.

A slug comes from the class name alone, so it is the same in every dataset, which keeps the original beside it.
"""

import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import unquote

from carpipe.errors import InputError

# Letters of Latin alphabets that Unicode does not decompose into a base letter and marks; casefold covers ß.
LETTERS = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ħ": "h", "ŧ": "t", "ı": "i", "ŋ": "n"}
)
# Kept: what S3 calls safe (https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html), less the `*`
# that Windows forbids, plus the `+` of published class names.
UNSAFE = re.compile(r"[^a-z0-9_.!'()+-]+")


def slug(name: str) -> str:
    """Return the ASCII slug of a class name: never empty, and the slug of a slug is itself.

    In this order: percent escapes are decoded; letters go to lower case and lose their marks (`ë` -> `e`,
    `ß` -> `ss`, `ø` -> `o`); letters and digits without an ASCII form become their code point (`ж` -> `u0436`);
    each run of what is left beside letters, digits and `_-.!'()+` becomes one `_`; dots go at both ends, where
    folders are hidden by one (Linux) or lose it (Windows).
    """
    coded = "".join(f"u{ord(c):04x}" if _has_no_ascii(c) else c for c in _without_marks(name))
    return UNSAFE.sub("_", coded).strip(".") or "_"


def has_ascii_form(name: str) -> bool:
    """Whether no letter of `name` becomes a code point in its slug, which people can then read."""
    return not any(map(_has_no_ascii, _without_marks(name)))


def slugs_of(names: Iterable[str]) -> dict[str, str]:
    """Map the slug of each class name to the name, sorted by slug.

    Raises `InputError` where two names have one slug: their photos would share a folder.
    """
    unique = set(names)
    if doubles := collisions(unique):
        told = "; ".join(f"{' and '.join(map(repr, group))} are both {one!r}" for one, group in doubles.items())
        raise InputError(f"classes must differ in their ASCII slugs, but {told}: merge or rename them in the taxonomy")
    return dict(sorted((slug(name), name) for name in unique))


def collisions(names: Iterable[str]) -> dict[str, list[str]]:
    """Map each slug that more than one of `names` has to these names, both sorted."""
    groups: dict[str, list[str]] = {}
    for name in sorted(set(names)):
        groups.setdefault(slug(name), []).append(name)
    return {one: groups[one] for one in sorted(groups) if len(groups[one]) > 1}


def _without_marks(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", unquote(name)).casefold()
    return "".join(c for c in decomposed if not unicodedata.category(c).startswith("M")).translate(LETTERS)


def _has_no_ascii(character: str) -> bool:
    return character.isalnum() and not character.isascii()
