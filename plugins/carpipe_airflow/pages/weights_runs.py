"""Runs of Airflow that the page Weights names: promotions asked for, who ran what in the history, and what trains."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from airflow.models.dag import DagRun
from airflow.models.taskinstance import TaskInstance
from sqlalchemy import select

from carpipe.called import moment
from carpipe_airflow.pages.access import PROMOTE_DAG
from carpipe_airflow.pages.asked_runs import WAITING, run_page

# The DAG that trains by a section of the configuration, and the task of it that does.
TRAINERS = {"classifier": "retrain_classifier", "car_filter": "train_filter"}
TRAIN = "train"
RUNS = 5  # of `promote_weights` shown
LOOKED_AT = 100  # newest runs among which those of a channel are looked for
AT_ONCE = 500  # ids in one question to the database
# Who has started a run that no person has.
STARTERS = {"scheduled": "the schedule", "asset_triggered": "a new dataset", "backfill": "a backfill"}


@dataclass(frozen=True)
class NamedRun:
    """A run: its name by DAG and date, its page below Airflow's root, and who or what has started it."""

    run: str
    name: str
    path: str
    by: str


@dataclass(frozen=True)
class Promotion:
    """A run of `promote_weights`: what it is to make live, by manifest key, and how that stands."""

    run: NamedRun
    state: str
    model: str

    @property
    def waits(self) -> bool:
        return self.state in WAITING


def promotions(session: Any, dag_bag: Any, channel: str) -> list[Promotion]:
    """The newest runs of `promote_weights` for a channel: who wants what, and how that stands."""
    query = select(DagRun).where(DagRun.dag_id == PROMOTE_DAG).order_by(DagRun.id.desc()).limit(LOOKED_AT)
    dag = dag_bag.get_latest_version_of_dag(PROMOTE_DAG, session=session)
    default = dag.params["channel"] if dag else ""  # where a run names none
    mine = [run for run in session.scalars(query) if (run.conf or {}).get("channel", default) == channel]
    return [Promotion(_named(run), str(run.state), _model_key(run, channel)) for run in mine[:RUNS]]


def _model_key(run: DagRun, channel: str) -> str:
    """What a run is to make live; a run may name it by its id."""
    named = str((run.conf or {}).get("model") or "")
    return named if "/" in named or not named else f"models/{channel}/{named}/manifest.json"


def named_runs(session: Any, dags: Sequence[str], ids: Iterable[str]) -> dict[str, NamedRun]:
    """The runs that Airflow still knows, by id."""
    wanted, found = sorted({*ids}), {}
    for first in range(0, len(wanted), AT_ONCE):
        part = wanted[first : first + AT_ONCE]
        query = select(DagRun).where(DagRun.dag_id.in_(dags), DagRun.run_id.in_(part))
        found |= {run.run_id: _named(run) for run in session.scalars(query)}
    return found


def training_run(session: Any, dag: str) -> NamedRun | None:
    """The newest run of a DAG whose training is under way."""
    query = (
        select(DagRun)
        .join(TaskInstance, (TaskInstance.dag_id == DagRun.dag_id) & (TaskInstance.run_id == DagRun.run_id))
        .where(DagRun.dag_id == dag, TaskInstance.task_id == TRAIN, TaskInstance.state == "running")
        .order_by(DagRun.id.desc())
        .limit(1)
    )
    run = session.scalar(query)
    return _named(run) if run is not None else None


def _named(run: DagRun) -> NamedRun:
    when = f", {moment(run.run_after)}" if run.run_after else ""
    by = run.triggering_user_name or STARTERS.get(str(getattr(run.run_type, "value", run.run_type)), "")
    return NamedRun(run.run_id, f"{run.dag_id}{when}", run_page(run.dag_id, run.run_id), by)
