"""What carpipe's HTML pages have in common: they are one file, load nothing, run nothing, and trust no text.

A page opens from S3 and from disk. Class names, keys and all other text of the data are foreign: the template
escapes every value, and nothing may bypass that.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from carpipe.config import setting_meanings
from carpipe.errors import InputError
from carpipe.names import shown_text
from carpipe.pictures.encode import preview
from carpipe.reasons import in_words

# The browser itself then refuses whatever a later version may load or run.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
# The style sheet of all pages, those that open from S3 too; and what documents of the bucket share beside it.
LOOK = Path(__file__).parent / "style.css"
PARTS = Path(__file__).parent / "html_parts"
SIDE = 160  # pixels of a picture's long side on a page; about 5 kB each
QUALITY = 75


@dataclass(frozen=True)
class Card:
    """A photo as a page shows it: facts, and a data URI of `width` x `height` pixels or an empty `picture`."""

    key: str
    facts: tuple[str, ...]
    picture: str = ""
    width: int = 0
    height: int = 0

    @property
    def folder(self) -> str:
        return self.key.rpartition("/")[0]

    @property
    def name(self) -> str:
        return self.key.rpartition("/")[2]


def make_card(key: str, facts: Iterable[str], jpeg: bytes | None) -> Card:
    """The photo at the size of a page, or its facts alone.

    Raises:
        InputError: it is not a JPEG.
    """
    if jpeg is None:
        return Card(key, tuple(facts))
    try:
        return Card(key, tuple(facts), *preview(jpeg, side=SIDE, quality=QUALITY))
    except InputError as error:
        raise InputError(f"The picture of {key} cannot be shown on a page, {error}.") from None


def environment(folder: Path) -> Environment:
    """For the templates of a folder, which find those of `html_parts` too.

    Filters: `number` with thousands separated, `per_cent` of a share from 0 to 1, `words` of a drop reason.
    """
    made = Environment(
        loader=FileSystemLoader([folder, PARTS]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    made.globals |= {"look": Markup(LOOK.read_text("utf-8")), "policy": POLICY}  # noqa: S704  # ours
    made.filters |= {
        "number": lambda value: f"{value:,.0f}",
        "per_cent": per_cent,
        "words": in_words,
    }
    made.filters["setting"] = _meaning_of_setting
    return made


def _meaning_of_setting(name: str) -> str:
    """Empty where it is none of this version."""
    return setting_meanings().get(name, "")


def _printable(value: object) -> object:
    """No name turns the reading direction of a page, or hides in it."""
    return shown_text(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def per_cent(share: float, digits: int = 1) -> str:
    """Of a share between 0 and 1. What is little is not shown as nothing."""
    least = 10.0**-digits
    return f"< {least:g} %" if 0 < 100 * share < least else f"{100 * share:.{digits}f} %"


def in_points(share: float, *, places: int = 2) -> str:
    """A difference of shares in points, signed: `+1.25`."""
    return minus(f"{100 * share:+.{places}f}")


def minus(number: str) -> str:
    """With a minus sign instead of a hyphen."""
    return number.replace("-", "−")
