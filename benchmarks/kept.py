"""What a benchmark has measured, kept as JSON: `tools/benchmarks_page.py` makes docs/benchmarks.md of it."""

import datetime
import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from carpipe import __version__


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    return {
        "cpu": cpu.partition(": ")[2],
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "python": platform.python_version(),
        "carpipe": __version__,
    }


def keep(path: Path, *, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], says: str = "") -> None:
    """Write figures to a file.

    Args:
        columns: heads of a table, with units.
        rows: raw samples, a row each.
        says: what they show, in a sentence or two.
    """
    made = {
        "title": title,
        "command": _command(sys.argv),
        "made": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "machine": machine(),
        "columns": list(columns),
        "rows": [list(row) for row in rows],
        "says": says,
    }
    path.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


def _command(arguments: Sequence[str]) -> str:
    """As somebody else would call it: without `--out`, and with no place of this machine."""
    program, *rest = arguments
    if "--out" in rest:
        at = rest.index("--out")
        del rest[at : at + 2]
    named = (f"<{Path(one).name}>" if Path(one).is_absolute() else one for one in rest)
    return " ".join(["python", f"benchmarks/{Path(program).name}", *named])
