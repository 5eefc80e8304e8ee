"""Text in CSV files that people open: a spreadsheet takes a cell that begins like a formula for one, and runs it.

Such text gets an apostrophe before it, which spreadsheets show as text. Files that people hand back are read with it
taken off again. Numbers are left alone, negative ones too.

Source: https://owasp.org/www-community/attacks/CSV_Injection
"""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

# Signs that begin a formula, the wide ones too, which some spreadsheets take for them; before them, what is skipped or
# not seen. With apostrophes in front it is text already, which gets one more, so that taking one off gives what was
# there.
_FORMULA = re.compile(r"'*(?:[\t\r\n]|[\s\0\u00ad\u200b-\u200f\u2060-\u206f\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20])")


def inert(text: str) -> str:
    """The text of a cell that no spreadsheet runs."""
    return f"'{text}" if _FORMULA.match(text) else text


def plain(cell: str) -> str:
    """The text that `inert` made a cell of."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell[1:]) else cell


def to_csv(table: "pd.DataFrame", *, index: bool = False) -> str:
    """A table as CSV, its texts, names of rows and columns among them, made `inert`."""
    named = table.rename(columns=_inert_text, index=_inert_text if index else None)
    return str(named.map(_inert_text).to_csv(index=index))


def _inert_text(value: object) -> object:
    return inert(value) if isinstance(value, str) else value
