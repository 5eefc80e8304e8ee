"""Write docs/benchmarks.md from what benchmarks have kept, so that it cannot differ from what was measured.

python tools/benchmarks_page.py docs/benchmarks.md benchmarks/results/*.json
"""

import json
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

WIDTH = 100  # of the page's lines
HEAD = """# Benchmarks

What carpipe was measured to do, and on which machine. Each table is written by the command above it
(`--out`), and this page by `make benchmarks`. Logs with more, and with what did not help, are in
[benchmarks/](../benchmarks).
"""


def page(results: Iterable[dict[str, Any]]) -> str:
    """The page as Markdown."""
    return "\n".join([HEAD, *(section(one) for one in results)])


def section(one: dict[str, Any]) -> str:
    """One benchmark: what was run, where, and its rows."""
    machine = one["machine"]
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']:g} GB; Python {machine['python']}, "
    lines = [
        f"## {one['title']}", "",
        f"    {one['command']}", "",
        f"{where}carpipe {machine['carpipe']}; {one['made']}.", "",
        _row(one["columns"]), _row("---" for _ in one["columns"]), *(_row(map(_said, row)) for row in one["rows"]), "",
    ]  # fmt: skip
    said = textwrap.wrap(one["says"], WIDTH, break_long_words=False, break_on_hyphens=False)
    return "\n".join([*lines, *said, *([""] if said else [])])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _said(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    out, *files = map(Path, sys.argv[1:])
    found = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(files)]
    out.write_text(page(found), encoding="utf-8")
