"""Runs expectations on tables: the one module that imports Great Expectations.

It runs without telemetry, progress bars, network or files other than the Data Docs. A check that could
not be carried out raises, so it can never pass for bad data, or for good data.
"""

import logging
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from carpipe.errors import CarpipeError

os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read at import by versions that send any
# It tells about its own registration of methods, hundreds of lines, at level INFO, while it is imported.
logging.getLogger("great_expectations").setLevel(logging.WARNING)

with warnings.catch_warnings():
    # It imports sre_constants, which Python 3.11 deprecates.
    warnings.simplefilter("ignore", DeprecationWarning)
    import great_expectations as gx
    from great_expectations.core import ExpectationValidationResult, RunIdentifier
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )
    from great_expectations.expectations.expectation import BatchExpectation, Expectation
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

__all__ = ["EXAMPLES", "BatchExpectation", "Check", "Engine", "Expectation", "gxe"]

gxe: Any = gx.expectations  # Any: the package re-exports its expectations in a way that mypy refuses

_SOURCE = "dataset"
EXAMPLES = 5  # values that a failed check shows


@dataclass(frozen=True)
class Check:
    """What one expectation found: `broken_by` of `examined` units break `rule`, among them `examples`.

    A unit is a row of the table, unless the expectation looks at something else: `vehicles`, `classes`.
    """

    table: str
    column: str
    rule: str
    success: bool
    broken_by: int
    examined: int
    unit: str
    examples: tuple[str, ...]

    def __str__(self) -> str:
        if self.success:
            return f"{self.table}: {self.rule}"
        examples = ", ".join(self.examples)
        if self.broken_by:
            such_as = f", such as {examples}" if examples else ""
            return f"{self.table}: {self.rule}: {self.broken_by:,} of {self.examined:,} {self.unit} break this{such_as}"
        return f"{self.table}: {self.rule}: " + (f"missing {examples}" if examples else "this is not so")


class Engine:
    """One run of Great Expectations, held in memory; only `write_docs` writes, into `docs`."""

    def __init__(self, docs: Path) -> None:
        config = DataContextConfig(
            store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
            data_docs_sites={"carpipe": _docs_site(docs)},
            progress_bars=ProgressBarsConfig(globally=False),
            analytics_enabled=False,
        )
        self._context = gx.get_context(mode="ephemeral", project_config=config)

    def run(self, name: str, table: pd.DataFrame, rules: list[Expectation]) -> list[Check]:
        """Check `rules` on `table`, in their order. Raises `CarpipeError` where one cannot be checked."""
        source = self._context.data_sources.add_pandas(_SOURCE)
        batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all rows")
        suite = self._context.suites.add(gx.ExpectationSuite(name=name, expectations=rules))
        validation = self._context.validation_definitions.add(
            gx.ValidationDefinition(name=name, data=batch, suite=suite)
        )
        outcome = validation.run(
            batch_parameters={"dataframe": table},
            result_format={"result_format": "SUMMARY", "partial_unexpected_count": EXAMPLES},
            run_id=RunIdentifier(run_name="dataset"),
        )
        found = {config.id: (config, result) for config, result in map(_with_config, outcome.results)}
        if len(found) != len(rules):
            raise CarpipeError(f"the checks on table {name!r} are broken: {len(rules)} asked, {len(found)} answered")
        self._context.data_sources.delete(_SOURCE)  # with the table, that it would hold on to
        return [_to_check(name, *found[rule.id], len(table)) for rule in suite.expectations]

    def write_docs(self) -> None:
        """Render the results of all runs as HTML."""
        self._context.build_data_docs()


def _docs_site(folder: Path) -> dict[str, Any]:
    return {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)},
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    }


def _with_config(
    result: ExpectationValidationResult,
) -> tuple[ExpectationConfiguration, ExpectationValidationResult]:
    if result.expectation_config is None:
        raise CarpipeError("Great Expectations gave a result that does not say of which check")
    return result.expectation_config, result


def _to_check(table: str, config: ExpectationConfiguration, result: ExpectationValidationResult, rows: int) -> Check:
    rule = config.description or config.type
    _raise_if_broken(f"check {rule!r} on table {table!r}", result.exception_info or {})
    details = result.result
    missing_columns = details.get("details", {}).get("mismatched", {}).get("missing", [])
    values = details.get("partial_unexpected_list") or missing_columns
    return Check(
        table=table,
        column=config.kwargs.get("column") or config.kwargs.get("column_A") or "",
        rule=rule,
        success=bool(result.success),
        broken_by=int(details.get("unexpected_count", 0)),
        examined=int(details.get("element_count", rows)),
        unit=details.get("unit", "rows"),
        examples=tuple(dict.fromkeys(_show(value) for value in values if _is_shown(value))),
    )


def _is_shown(value: Any) -> bool:
    return isinstance(value, tuple) or not pd.isna(value)


def _show(value: Any) -> str:
    if isinstance(value, tuple):
        return " with ".join(_show(part) for part in value)
    return f"{value:g}" if isinstance(value, float | np.number) else repr(value)


def _raise_if_broken(what: str, info: dict[str, Any]) -> None:
    """Great Expectations reports an exception as a failed check, flat or once per metric that raised."""
    causes = [info] if "raised_exception" in info else info.values()
    for cause in causes:
        if cause["raised_exception"]:
            raise CarpipeError(f"{what} is broken, which says nothing of the data: {cause['exception_message']}")
