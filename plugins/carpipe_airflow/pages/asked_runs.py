"""Runs of our DAGs that a page asks for and follows."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from airflow.models.dag import DagModel, DagRun
from sqlalchemy import select

WAITING = ("queued", "running")


@dataclass(frozen=True)
class Run:
    """How a run stands. `at` is UTC, ISO 8601; `by` is who asked for it, empty where nobody did."""

    id: str
    state: str
    at: str
    by: str

    @property
    def waits(self) -> bool:
        """Whether it is not done yet."""
        return self.state in WAITING


def newest_run(session: Any, dag_id: str) -> Run | None:
    """The run of a DAG that was asked for last; None where there was none."""
    found = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id).order_by(DagRun.id.desc()).limit(1))
    if found is None:
        return None
    at = found.run_after.isoformat() if found.run_after else ""
    return Run(found.run_id, str(found.state), at, found.triggering_user_name or "")


def is_paused(session: Any, dag_id: str) -> bool:
    """Whether the DAG is: then what is asked for waits for somebody to unpause it."""
    return bool(session.scalar(select(DagModel.is_paused).where(DagModel.dag_id == dag_id)))


def run_page(dag_id: str, run_id: str) -> str:
    """The page of a run, below Airflow's root."""
    return f"/dags/{dag_id}/runs/{quote(run_id, safe='')}"
