"""Validates the tables of a dataset with Great Expectations and renders the Data Docs.

Bad data is a verdict, and the caller decides what to do about it; a check that cannot be carried out is
an error.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from carpipe.errors import InputError
from carpipe.photos import SPLITS
from carpipe.validation.docs import finish_docs
from carpipe.validation.engine import Check, Engine
from carpipe.validation.joins import join_tables
from carpipe.validation.limits import Limits
from carpipe.validation.suites import build_suites

__all__ = ["Limits", "Verdict", "validate_tables"]

TABLES = (*SPLITS, "audit", "photos")


@dataclass(frozen=True)
class Verdict:
    """Whether the data is good: `failed` has a sentence for each expectation that it broke.

    `report` is the same for machines, JSON-able and free of times and paths, so equal data gives an equal
    report; `docs` is the folder of the Data Docs, whose first page is `index.html`.
    """

    success: bool
    expectations: int
    failed: tuple[str, ...]
    report: dict[str, Any]
    docs: Path


def validate_tables(
    tables: Mapping[str, pd.DataFrame], *, classes: Sequence[str], limits: Limits, folder: Path
) -> Verdict:
    """Hold the tables of a dataset against `limits`.

    Args:
        tables: `train`, `val`, `test` (a row per vehicle and model, as `split.tables` makes them), `audit` (a row per
            kept photo) and `photos` (a row per photo; `split` is null where it was dropped).
        classes: the class names that the dataset may use, and must.
        limits: shares, tolerances, photos per model, threshold, funnels.
        folder: gets `data_docs`, written anew, and nothing else; its pages need no network and run no scripts.

    Raises:
        InputError: a table is missing altogether.
        CarpipeError: a check is broken, as opposed to the data.
    """
    missing = [name for name in TABLES if name not in tables]
    if missing:
        raise InputError(f"no table {', '.join(missing)} to validate: got {', '.join(tables) or 'none'}")
    docs = folder / "data_docs"
    shutil.rmtree(docs, ignore_errors=True)
    engine = Engine(docs)
    joined = join_tables(tables, classes, limits)
    suites = build_suites(joined, classes, limits)
    rows = {name: len(table) for name, table in joined.items()}
    checks = {name: engine.run(name, joined.pop(name), rules) for name, rules in suites.items()}
    engine.write_docs()
    report = _to_report(checks, rows)
    finish_docs(docs, report)
    return Verdict(
        success=report["success"],
        expectations=report["expectations"],
        failed=tuple(report["failed"]),
        report=report,
        docs=docs,
    )


def _to_report(checks: Mapping[str, list[Check]], rows: Mapping[str, int]) -> dict[str, Any]:
    every = [check for found in checks.values() for check in found]
    failed = [str(check) for check in every if not check.success]
    return {
        "success": not failed,
        "expectations": len(every),
        "failed": failed,
        "tables": {
            name: {
                "rows": rows[name],
                "failed": sum(not check.success for check in found),
                "checks": [asdict(check) | {"examples": list(check.examples)} for check in found],
            }
            for name, found in checks.items()
        },
    }
