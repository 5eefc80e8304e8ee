"""The newest run of each DAG as Airflow knows it: how it stands, what it said where it failed, who is asked."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from airflow.models.dag import DagRun
from airflow.models.hitl import HITLDetail
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.sdk.bases.xcom import BaseXCom
from sqlalchemy import func, select

from carpipe.called import moment
from carpipe_airflow.notify import FAILURE
from carpipe_airflow.pages.asked_runs import is_paused, run_page
from carpipe_airflow.pages.links import FORESEEN, path_of

# The task that makes what a DAG is for.
MAKERS = {"prepare_dataset": "dataset", "retrain_classifier": "publish", "train_filter": "publish"}
# In the order of a night.
DAGS = ("prepare_dataset", "retrain_classifier", "train_filter", "promote_weights", "learning_curve")
FAILED_SHOWN = 3  # tasks of a run
# A task that asks waits in one of these states, by the version of Airflow.
ASKING = ("awaiting_input", "deferred")
STATES = {"success": "done", "failed": "failed", "running": "running", "queued": "queued"}


@dataclass(frozen=True)
class Failure:
    """A task that failed: its sentence, and the page of the report that it wrote all the same, below the mount."""

    task: str
    said: str
    path: str
    report: str = ""


@dataclass(frozen=True)
class Run:
    """A run of a DAG.

    Attributes:
        state: of `STATES`, or what Airflow calls it.
        path: its page, below Airflow's root.
        when: when it began.
        minutes: how long it took, or takes up to now.
        done, tasks: how many tasks have ended, of how many.
        paused: whether the DAG is.
        made: manifest key of the dataset or the live weights that it has made; empty where it has made none.
    """

    dag: str
    run: str
    state: str
    path: str
    when: str
    minutes: float
    done: int
    tasks: int
    failures: Sequence[Failure]
    paused: bool
    made: str


@dataclass(frozen=True)
class Question:
    """What a run asks a person."""

    said: str
    path: str


def newest_runs(session: Any, dags: Sequence[str] = DAGS) -> list[Run]:
    """The newest run of each DAG that has one, in their order."""
    found = []
    for dag in dags:
        query = select(DagRun).where(DagRun.dag_id == dag).order_by(DagRun.run_after.desc(), DagRun.id.desc()).limit(1)
        if (run := session.scalar(query)) is not None:
            found.append(_run(session, run))
    return found


def last_refusal(session: Any) -> Failure | None:
    """How `validate` failed, where it did in the newest run of `prepare_dataset`."""
    found = newest_runs(session, ["prepare_dataset"])
    return next((one for run in found for one in run.failures if one.task == "validate"), None)


def minutes(session: Any, dag: str, *, most: int) -> list[float]:
    """How long the newest runs of a DAG took that ended well, oldest first."""
    query = select(DagRun.start_date, DagRun.end_date).where(
        DagRun.dag_id == dag, DagRun.state == "success", DagRun.start_date.is_not(None), DagRun.end_date.is_not(None)
    )
    rows = session.execute(query.order_by(DagRun.end_date.desc()).limit(most)).all()
    return [(row.end_date - row.start_date).total_seconds() / 60 for row in rows][::-1]


def questions(session: Any, dags: Sequence[str] = DAGS) -> list[Question]:
    """What runs ask people, and nobody has answered yet, the oldest first."""
    query = (
        select(HITLDetail.subject, TaskInstance.dag_id, TaskInstance.run_id, TaskInstance.task_id)
        .join(TaskInstance, TaskInstance.id == HITLDetail.ti_id)
        .where(HITLDetail.responded_at.is_(None), TaskInstance.state.in_(ASKING), TaskInstance.dag_id.in_(dags))
        .order_by(HITLDetail.created_at)
    )
    return [
        Question(row.subject, f"{run_page(row.dag_id, row.run_id)}/tasks/{row.task_id}/required_actions")
        for row in session.execute(query)
    ]


def _run(session: Any, run: DagRun) -> Run:
    counts = dict(
        session.execute(
            select(TaskInstance.state, func.count()).where(*_of(run)).group_by(TaskInstance.state)
        ).all()
    )  # fmt: skip
    ended = sum(counts.get(state, 0) for state in ("success", "failed", "skipped", "upstream_failed", "removed"))
    began, end = run.start_date or run.run_after, run.end_date or datetime.now(UTC)
    return Run(
        run.dag_id,
        run.run_id,
        STATES.get(str(run.state), str(run.state)),
        run_page(run.dag_id, run.run_id),
        moment(began) if began else "",
        (end - began).total_seconds() / 60 if began else 0.0,
        ended,
        sum(counts.values()),
        _failures(session, run),
        is_paused(session, run.dag_id),
        str(_left(session, run, MAKERS.get(run.dag_id, ""), BaseXCom.XCOM_RETURN_KEY)),
    )


def _failures(session: Any, run: DagRun) -> list[Failure]:
    query = select(TaskInstance).where(*_of(run), TaskInstance.state == "failed")
    tasks = session.scalars(query.order_by(TaskInstance.end_date).limit(FAILED_SHOWN)).all()
    return [
        Failure(
            task.task_id,
            str(_left(session, run, task.task_id, FAILURE, map_index=task.map_index)),
            _task_page(task),
            path_of(str(_left(session, run, task.task_id, FORESEEN, map_index=task.map_index)), "Dataset report"),
        )
        for task in tasks
    ]


def _left(session: Any, run: DagRun, task: str, key: str, *, map_index: int = -1) -> Any:
    """What a task has left under a key; empty where it has left nothing."""
    query = select(XComModel.value).where(
        XComModel.dag_id == run.dag_id, XComModel.run_id == run.run_id, XComModel.task_id == task,
        XComModel.map_index == map_index, XComModel.key == key,
    )  # fmt: skip
    value = session.scalar(query)
    return json.loads(value) if isinstance(value, str) and value[:1] in ('"', "{") else value or ""


def _of(run: DagRun) -> tuple[Any, Any]:
    return TaskInstance.dag_id == run.dag_id, TaskInstance.run_id == run.run_id


def _task_page(task: TaskInstance) -> str:
    mapped = f"/mapped/{task.map_index}" if task.map_index >= 0 else ""
    return f"{run_page(task.dag_id, task.run_id)}/tasks/{task.task_id}{mapped}"
