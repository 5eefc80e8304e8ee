"""A small client of Airflow's REST API: start a DAG run, watch it, read what tasks returned and logged."""

import datetime
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from carpipe.backports import UTC, Self, from_iso
from carpipe.errors import CarpipeError, InputError

PAGE = 100  # the most that Airflow returns at once
REFUSED = frozenset({401, 403})  # 403 also for a login that has expired
FINISHED = frozenset({"success", "failed"})
# Longer than the 60 s that Airflow waits for SQLite's lock.
TIMEOUT_S = 90.0
# A server that takes connections and does not answer in time is busy, with hundreds of tasks that begin at once, say.
# Until then it is asked again.
PATIENCE_S = 900.0

Params = Mapping[str, str | int | bool | Sequence[str]]


@dataclass(frozen=True)
class DagRun:
    """A run of a DAG. `state` is queued, running, success or failed."""

    dag_id: str
    run_id: str
    state: str
    start: datetime.datetime | None
    end: datetime.datetime | None

    @property
    def finished(self) -> bool:
        """Whether the state is final."""
        return self.state in FINISHED


@dataclass(frozen=True)
class TaskInstance:
    """A task of a run; `map_index` is -1 unless it is mapped, `state` None until it is scheduled."""

    task_id: str
    map_index: int
    label: str
    """What the page shows for a mapped instance: its rendered `map_index_template`, else its index."""
    state: str | None
    try_number: int
    start: datetime.datetime | None
    end: datetime.datetime | None
    queue: str
    hostname: str
    """Where its last attempt ran, or runs; empty until it does."""


@dataclass(frozen=True)
class ImportFailure:
    """A DAG file that could not be read."""

    file: str
    stack_trace: str


class AirflowClient:
    """Speaks to one Airflow as one user; logs in at the first call, and again when the login has expired.

    Raises from every method:
        InputError: there is no such DAG, run or task, the password is wrong, or Airflow does not accept
            what it was given.
        CarpipeError: Airflow does not answer, within `PATIENCE_S` where it takes calls, or with a server error.
    """

    def __init__(self, url: str, *, user: str, password: str, tell: Callable[[str], None] | None = None):
        """Nothing is asked yet.

        Args:
            tell: for a sentence on what a call waits for.
        """
        self._login = {"username": user, "password": password}
        self._tell = tell or (lambda _: None)
        # trust_env off: a proxy set for the internet must not see requests to this machine.
        self._http = httpx.Client(base_url=url, timeout=TIMEOUT_S, trust_env=False)

    def __enter__(self) -> Self:
        """The client itself; its connections are closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def heartbeats(self) -> dict[str, datetime.datetime | None]:
        """When each part of Airflow last gave a sign of life; None for one that is not healthy.

        Needs no login and raises nothing: a server that does not answer has no healthy parts.
        """
        parts = ("metadatabase", "scheduler", "dag_processor", "triggerer")
        try:
            answer = self._http.get("/api/v2/monitor/health", timeout=5.0)
            report = answer.json() if answer.is_success else {}
        except (httpx.HTTPError, json.JSONDecodeError):
            report = {}
        return {part: _heartbeat(part, report.get(part) or {}) for part in parts}

    def import_errors(self) -> tuple[ImportFailure, ...]:
        """The DAG files that Airflow cannot read at present."""
        return tuple(
            ImportFailure(file=entry["filename"], stack_trace=entry["stack_trace"])
            for entry in self._pages("/importErrors", "import_errors")
        )

    def wait_for_dag(self, dag_id: str, *, timeout: float = 60.0) -> None:
        """Return once Airflow has read the DAG. Raises InputError with the import errors if it does not."""
        deadline = time.monotonic() + timeout
        while self._send("GET", f"/dags/{quote(dag_id)}", missing_ok=True) is None:
            if time.monotonic() > deadline:
                errors = "\n".join(f"{failure.file}:\n{failure.stack_trace}" for failure in self.import_errors())
                reason = f"these files cannot be read:\n{errors}" if errors else "no file in its folder defines it."
                raise InputError(f"Airflow did not find DAG {dag_id!r} within {timeout:.0f} s: {reason}")
            time.sleep(0.5)

    def unpause(self, dag_id: str) -> None:
        """Let a DAG's runs start; a new DAG is paused."""
        self._send("PATCH", f"/dags/{quote(dag_id)}", body={"is_paused": False})

    def ensure_pool(self, name: str, *, slots: int) -> None:
        """Make a pool where there is none; Airflow does not run tasks of a pool that does not exist."""
        if self._send("GET", f"/pools/{quote(name)}", missing_ok=True) is None:
            self._send("POST", "/pools", body={"name": name, "slots": slots})

    def add_connection(self, name: str, *, kind: str, login: str, password: str, extra: Mapping[str, str]) -> None:
        """Store a connection in Airflow's database."""
        body = {"connection_id": name, "conn_type": kind, "login": login, "password": password}
        self._send("POST", "/connections", body={**body, "extra": json.dumps(dict(extra))})

    def newest_run(self, dag_id: str, *, since: datetime.datetime | None = None) -> str | None:
        """The id of the DAG's newest run, of those that were due since then; None where there is none."""
        params: Params = {"limit": 1, "order_by": "-run_after"}
        if since:
            params = {**params, "run_after_gte": since.isoformat()}
        answer = self._call("GET", f"/dags/{quote(dag_id)}/dagRuns", params=params)
        runs = answer["dag_runs"]
        return str(runs[0]["dag_run_id"]) if runs else None

    def open_runs(self, dag_id: str) -> tuple[str, ...]:
        """The ids of the DAG's runs that have not ended, oldest first."""
        params: Params = {"state": ["running", "queued"], "limit": PAGE, "order_by": "run_after"}
        answer = self._call("GET", f"/dags/{quote(dag_id)}/dagRuns", params=params)
        return tuple(str(run["dag_run_id"]) for run in answer["dag_runs"])

    def trigger(self, dag_id: str, conf: Mapping[str, object]) -> str:
        """Start a run with these parameters and return its run id."""
        run_id = f"manual__{datetime.datetime.now(UTC).isoformat()}"  # ours, so that asking twice starts one
        body = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf)}
        self._send("POST", f"/dags/{quote(dag_id)}/dagRuns", body=body)
        return run_id

    def dag_run(self, dag_id: str, run_id: str) -> DagRun:
        """How a run stands."""
        answer = self._call("GET", _run_path(dag_id, run_id))
        return DagRun(
            dag_id=answer["dag_id"],
            run_id=answer["dag_run_id"],
            state=answer["state"],
            start=_time(answer["start_date"]),
            end=_time(answer["end_date"]),
        )

    def wait_for_run(self, dag_id: str, run_id: str, *, timeout: float) -> DagRun:
        """Return the run once it has succeeded or failed. Raises CarpipeError where that takes too long."""
        deadline = time.monotonic() + timeout
        while not (run := self.dag_run(dag_id, run_id)).finished:
            if time.monotonic() > deadline:
                raise CarpipeError(f"Run {run_id} of DAG {dag_id!r} is still {run.state} after {timeout:.0f} s.")
            time.sleep(0.5)
        return run

    def task_instances(self, dag_id: str, run_id: str) -> tuple[TaskInstance, ...]:
        """All task instances of a run, by task id and map index."""
        entries = self._pages(f"{_run_path(dag_id, run_id)}/taskInstances", "task_instances")
        return tuple(sorted(map(_task_instance, entries), key=lambda task: (task.task_id, task.map_index)))

    def xcom(self, dag_id: str, run_id: str, task_id: str, *, map_index: int = -1) -> object:
        """What a task returned. Raises InputError where it returned nothing."""
        path = f"{_run_path(dag_id, run_id)}/taskInstances/{quote(task_id)}/xcomEntries/return_value"
        return self._call("GET", path, params={"map_index": map_index})["value"]

    def task_log(self, dag_id: str, run_id: str, task: TaskInstance, *, lines: int = 30) -> str:
        """The end of the log of a task's last attempt."""
        path = f"{_run_path(dag_id, run_id)}/taskInstances/{quote(task.task_id)}/logs/{max(task.try_number, 1)}"
        answer = self._call("GET", path, params={"map_index": task.map_index, "full_content": True})
        text = "\n".join(line for entry in answer["content"] for line in _log_lines(entry))
        return "\n".join(text.splitlines()[-lines:])

    def _pages(self, path: str, field: str) -> Iterator[dict[str, Any]]:
        offset, total = 0, 1
        while offset < total:
            answer = self._call("GET", path, params={"limit": PAGE, "offset": offset, "order_by": "id"})
            yield from answer[field]
            offset, total = offset + PAGE, answer["total_entries"]

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        params: Params | None = None,
    ) -> dict[str, Any]:
        answer = self._send(method, path, body=body, params=params)
        return answer or {}

    def _send(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, object] | None = None,
        params: Params | None = None,
        missing_ok: bool = False,
    ) -> dict[str, Any] | None:
        """One call; None for 404 where that is `missing_ok`.

        After an error of the server it is made again: on SQLite, a call that writes and the start of a task can wait
        for each other until one of them gives up (`log_action` of Airflow's API commits in its event loop). So it is
        where no answer came in time.
        """
        unknown = 0  # calls of which nobody knows whether they were carried out

        def ask() -> httpx.Response:
            nonlocal unknown
            try:
                answer = self._http.request(
                    method, f"/api/v2{path}", json=body, params=params, headers={"Accept": "application/json"}
                )
            except httpx.ReadTimeout:
                unknown += 1
                raise
            unknown += answer.is_server_error
            return answer

        answer = self._logged_in(ask)
        if answer.is_server_error:
            answer = self._logged_in(ask)
        if unknown and answer.status_code == httpx.codes.CONFLICT:  # an earlier call was not in vain
            return {}
        if missing_ok and answer.status_code == httpx.codes.NOT_FOUND:
            return None
        return _content(answer)

    def _logged_in(self, ask: Callable[[], httpx.Response]) -> httpx.Response:
        if "Authorization" not in self._http.headers:
            self._authorize()
        answer = self._answered(ask)
        if answer.status_code in REFUSED:
            self._authorize()
            answer = self._answered(ask)
        return answer

    def _authorize(self) -> None:
        answer = self._answered(lambda: self._http.post("/auth/token", json=self._login))
        self._http.headers["Authorization"] = f"Bearer {_content(answer)['access_token']}"

    def _answered(self, ask: Callable[[], httpx.Response]) -> httpx.Response:
        """The answer; asked for again while the server is busy."""
        began = time.monotonic()
        while True:
            try:
                return ask()
            except httpx.ReadTimeout as error:
                if time.monotonic() - began > PATIENCE_S:
                    raise self._silent(error) from error
                self._tell("Airflow is busy and has not answered yet. Waiting for it ...")
            except httpx.HTTPError as error:
                raise self._silent(error) from error

    def _silent(self, error: httpx.HTTPError) -> CarpipeError:
        return CarpipeError(f"Airflow at {self._http.base_url} does not answer: {error}.")


def _content(answer: httpx.Response) -> dict[str, Any]:
    if answer.is_success:
        content: dict[str, Any] = answer.json()
        return content
    what = f"{answer.request.method} {answer.request.url.path}"
    reason = _reason(answer)
    if answer.status_code in REFUSED:
        raise InputError(f"Airflow refuses {what} for this user: {reason}.")
    if answer.is_client_error:
        raise InputError(f"Airflow does not accept {what}: {reason}.")
    raise CarpipeError(f"Airflow failed at {what} with status {answer.status_code}: {reason}.")


def _reason(answer: httpx.Response) -> str:
    try:
        detail = answer.json()["detail"]
    except (json.JSONDecodeError, KeyError, TypeError):
        return answer.text[:500] or answer.reason_phrase
    return detail if isinstance(detail, str) else json.dumps(detail)


def _run_path(dag_id: str, run_id: str) -> str:
    return f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id)}"


def _task_instance(entry: Mapping[str, Any]) -> TaskInstance:
    return TaskInstance(
        task_id=entry["task_id"],
        map_index=entry["map_index"],
        label=entry["rendered_map_index"] or "",
        state=entry["state"],
        try_number=entry["try_number"],
        start=_time(entry["start_date"]),
        end=_time(entry["end_date"]),
        queue=entry["queue"] or "",
        hostname=entry["hostname"] or "",
    )


def _heartbeat(part: str, report: Mapping[str, str]) -> datetime.datetime | None:
    if report.get("status") != "healthy":
        return None
    # The database gives no heartbeat: it was well when it was asked.
    return _time(report.get(f"latest_{part}_heartbeat")) or datetime.datetime.now(UTC)


def _time(text: str | None) -> datetime.datetime | None:
    return from_iso(text) if text else None


def _log_lines(entry: Mapping[str, Any]) -> Iterator[str]:
    """A structured log entry as people read it: the message, then the traceback, innermost error last."""
    level = str(entry.get("level") or "").upper()
    yield f"{level}: {entry['event']}" if level else str(entry["event"])
    for error in reversed(entry.get("error_detail") or []):
        for frame in error.get("frames") or []:
            yield f"  {frame['filename']}:{frame['lineno']} in {frame['name']}"
        yield f"{error.get('exc_type')}: {error.get('exc_value')}"
