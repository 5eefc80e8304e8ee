"""Text in CSV files that people open: a spreadsheet takes a cell that begins like a formula for one, and runs it.

Such text gets an apostrophe before it, which spreadsheets show as text. Files that people hand back are read with it
taken off again. Numbers are left alone, negative ones too.

Spreadsheets of some countries separate cells by a semicolon, and people choose other signs. There, quotes inside a line
mean nothing, and a part of a text becomes a cell of its own: `x;=1+1`. So each part that could is treated alike.

Source: https://owasp.org/www-community/attacks/CSV_Injection
"""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

# What begins a cell under any separator but the comma, by which the files are written and well quoted.
_SEPARATORS = r";|\t\r\n"
# Signs that begin a formula, the wide ones too, which some spreadsheets take for them.
_SIGNS = r"=+\-@\uff1d\uff0b\uff0d\uff20"
# Before them, what is skipped or not seen. A quote is, in the middle of what was quoted otherwise.
_UNSEEN = r"\0\u00ad\u034f\u115f\u1160\u180e\u200b-\u200f\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0"
_SKIPPED = rf"(?:[^\S\t\r\n]|[{_UNSEEN}])*"
# The place before a formula. With apostrophes in front it is text already, and gets one more, so that taking one off
# gives what was there. Whatever follows a separator is looked at by itself: no part sees another one's apostrophe.
_FIRST = rf"\A(?='*(?:[\t\r\n]|{_SKIPPED}[{_SIGNS}]))"
_LATER = rf"(?<=[{_SEPARATORS}])(?='*{_SKIPPED}(?:\"{_SKIPPED})*[{_SIGNS}])"
_FORMULA = f"(?:{_FIRST}|{_LATER})"
_BEFORE = re.compile(_FORMULA)
_MARK = re.compile(f"{_FORMULA}'")


def inert(text: str) -> str:
    """The text of a cell that no spreadsheet runs, whatever it separates cells by."""
    return _BEFORE.sub("'", text)


def plain(cell: str) -> str:
    """The text that `inert` made a cell of."""
    return _MARK.sub("", cell)


def to_csv(table: "pd.DataFrame", *, index: bool = False) -> str:
    """A table as CSV, its texts, names of rows and columns among them, made `inert`."""
    named = table.rename(columns=_inert_text, index=_inert_text if index else None)
    return str(named.map(_inert_text).to_csv(index=index))


def _inert_text(value: object) -> object:
    return inert(value) if isinstance(value, str) else value
