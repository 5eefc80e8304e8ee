"""Follow a DAG run: a line per stage, with partitions done and photos per second, as they happen."""

import datetime
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from carpipe import manifest
from carpipe.backports import UTC
from carpipe.errors import CarpipeError
from carpipe.local.rest import AirflowClient, TaskInstance
from carpipe.manifest import Manifest
from carpipe.storage import Store

POLL_S = 1.0
DONE = ("success", "skipped")
SECOND = datetime.timedelta(seconds=1)
# Tasks that return a manifest they did not make.
LOOKING = ("choose_dataset", "anything_new", "publish")
# Tasks that there are for partitions with work to do alone: skipped where there are none.
WORKING = ("clean", "filter cars", "crop", "pack")


@dataclass(frozen=True)
class Stage:
    """How one task of a run stands, over all its partitions."""

    name: str
    tasks: tuple[TaskInstance, ...]

    @property
    def title(self) -> str:
        """The task's name without its group."""
        return self.name.rpartition(".")[2].replace("_", " ")

    @property
    def done(self) -> int:
        return sum(task.state in DONE for task in self.tasks)

    @property
    def finished(self) -> bool:
        return self.done == len(self.tasks)

    @property
    def skipped(self) -> bool:
        return all(task.state == "skipped" for task in self.tasks)

    @property
    def tells(self) -> bool:
        """Whether people want to know that it has finished."""
        return self.finished and (not self.skipped or self.title in WORKING)

    @property
    def seconds(self) -> float:
        """Wall time from the first start to the last end, or to now."""
        starts = [task.start for task in self.tasks if task.start]
        ends = [task.end for task in self.tasks if task.end] if self.finished else [datetime.datetime.now(UTC)]
        return (max(ends) - min(starts)).total_seconds() if starts and ends else 0.0


def follow(client: AirflowClient, store: Store, dag_id: str, run_id: str, *, console: Console) -> None:
    """Show the run until it has ended.

    Raises:
        CarpipeError: the run failed; names the task and gives the end of its log.
    """
    progress = _Progress(client, store, dag_id, run_id)
    shown: set[str] = set()
    live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
    if live:
        live.start()
    try:
        while True:
            finished = client.dag_run(dag_id, run_id).finished
            stages = progress.stages()
            for stage in stages:
                if stage.tells and stage.name not in shown:
                    shown.add(stage.name)
                    console.print("  " + progress.line(stage), highlight=False)
            if live:
                live.update(_table(progress.line(stage) for stage in stages if not stage.finished and stage.seconds))
            if finished:
                break
            time.sleep(POLL_S)
    finally:
        if live:
            live.stop()
    _raise_if_failed(client, dag_id, run_id)


class _Progress:
    """Turns task instances into lines; remembers the manifests it has read."""

    def __init__(self, client: AirflowClient, store: Store, dag_id: str, run_id: str):
        self._client, self._store, self._dag_id, self._run_id = client, store, dag_id, run_id
        self._made: dict[tuple[str, int], list[tuple[Manifest, bool]]] = {}

    def stages(self) -> Sequence[Stage]:
        groups: dict[str, list[TaskInstance]] = {}
        for task in self._client.task_instances(self._dag_id, self._run_id):
            groups.setdefault(task.task_id, []).append(task)
        stages = [Stage(name, tuple(tasks)) for name, tasks in groups.items()]
        never = datetime.datetime.max.replace(tzinfo=UTC)
        return sorted(stages, key=lambda stage: min((task.start or never for task in stage.tasks), default=never))

    def line(self, stage: Stage) -> str:
        if stage.skipped:
            return f"{stage.title:<16} {'':<28}nothing to do: all results are there"
        mapped = any(task.map_index >= 0 for task in stage.tasks)
        partitions = f"{stage.done}/{len(stage.tasks)} partitions" if mapped else ""
        made = [found for task in stage.tasks if task.state in DONE for found in self._results(task)]
        fresh = [done for done, is_fresh in made if is_fresh]
        photos = sum(done.counts.get("in", 0) for done in fresh)
        if made and not fresh:
            work = "unchanged, reused"
        elif photos and stage.seconds:
            work = f"{photos:,} photos, {photos / stage.seconds:,.0f} photos/s"
            if same := len(made) - len(fresh):
                work += f", {same} reused"
        else:
            work = ""
        retries = sum(task.try_number > 1 for task in stage.tasks)
        return f"{stage.title:<16} {partitions:<17} {stage.seconds:>6.1f} s   {work}" + (
            f"   ({retries} retried)" if retries else ""
        )

    def _results(self, task: TaskInstance) -> list[tuple[Manifest, bool]]:
        """What a finished task committed, and whether it did so in this run. Asked once: it cannot change."""
        place = (task.task_id, task.map_index)
        if place not in self._made:
            try:
                said = self._client.xcom(self._dag_id, self._run_id, task.task_id, map_index=task.map_index)
                keys = [] if task.task_id in LOOKING else [key for key in _listed(said) if _names_manifest(key)]
                self._made[place] = [(manifest.read(self._store, key), self._is_fresh(key, task)) for key in keys]
            except CarpipeError:
                return []  # a returned value appears a moment after the state
        return self._made[place]

    def _is_fresh(self, key: str, task: TaskInstance) -> bool:
        # Services on one machine share a clock. S3 keeps whole seconds.
        info = self._store.head(key)
        return bool(info and info.modified and task.start and info.modified >= task.start - SECOND)


def _listed(said: Any) -> list[Any]:
    return said if isinstance(said, list) else [said]


def _names_manifest(said: Any) -> bool:
    return isinstance(said, str) and said.endswith("/manifest.json")


def _table(lines: Iterable[str]) -> Table:
    table = Table.grid()
    for line in lines:
        table.add_row("  " + line)
    return table


def _raise_if_failed(client: AirflowClient, dag_id: str, run_id: str) -> None:
    if client.dag_run(dag_id, run_id).state == "success":
        return
    for task in client.task_instances(dag_id, run_id):
        if task.state == "failed":
            where = f"{task.task_id} {task.label}".strip()
            log = client.task_log(dag_id, run_id, task, lines=40)
            raise CarpipeError(f"{dag_id} failed in {where}: {_reason(log)}")
    raise CarpipeError(f"{dag_id} failed; the Airflow page shows where.")


def _reason(log: str) -> str:
    """The sentence of the error when it is one of ours, else the end of the log."""
    for line in reversed(log.splitlines()):
        if "Error: " in line:
            return line.partition("Error: ")[2].strip()
    return log
