"""Write the table of settings into docs/settings.md, so that it cannot differ from the code.

python tools/settings_table.py docs/settings.md
"""

import json
import sys
from pathlib import Path

from carpipe.config import Config, describe_config

BEGIN, END = "<!-- settings: written by `make settings` -->\n", "<!-- end of settings -->"


def settings_table() -> str:
    """Every setting with its default and meaning, as a Markdown table."""
    rows = (f"| `{key}` | `{json.dumps(value)}` | {meaning} |\n" for key, value, meaning in describe_config(Config()))
    return "| setting | default | meaning |\n| --- | --- | --- |\n" + "".join(rows)


def with_table(text: str) -> str:
    """The text with the table between its markers."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}{settings_table()}{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_table(path.read_text(encoding="utf-8")), encoding="utf-8")
