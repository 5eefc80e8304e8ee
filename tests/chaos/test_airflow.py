"""`kill -9` of parts of a real Airflow in the middle of `prepare_dataset`: the supervisor of a task, the scheduler, the
API server. What is started again ends the run, and the bucket is as after a calm one.

Workers of other executors are killed alike: give `killed_worker` their processes.
"""

import json
import os
import shutil
import signal
import time
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil
import pytest

from carpipe.config import load_config
from carpipe.local import airflow, processes, state
from carpipe.steps import chain
from carpipe.steps.session import Session
from tests.chaos.bench import AT, SETTINGS, Bench, check_whole, environment, live_car_filter, picture, two_classes
from tests.conftest import SAMPLE

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(2400)]

REPOSITORY = Path(__file__).parents[2]
DAG = "prepare_dataset"


@pytest.fixture
def settings(bench: Bench, raw: Path) -> Path:
    """The settings of the bench as a file."""
    sections = tomllib.loads(SAMPLE.read_text(encoding="utf-8"))
    taxonomy = two_classes(bench.home, sorted(path.name for path in raw.iterdir()))
    for name, value in {**SETTINGS, "classes.taxonomy": str(taxonomy)}.items():
        section, _, key = name.partition(".")
        sections.setdefault(section, {})[key] = value
    lines = [
        line
        for section, values in sections.items()
        for line in (f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items()))
    ]
    path = bench.home / "chaos.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture
def start(bench: Bench, settings: Path, tmp_path: Path):
    """Start the Airflow of this test, again after a part of it was killed."""
    shutil.copytree(REPOSITORY / "plugins", tmp_path / "plugins")
    (tmp_path / "dags").mkdir()
    shutil.copy(REPOSITORY / "dags" / f"{DAG}.py", tmp_path / "dags")
    shared = tmp_path / "plugins" / "carpipe_airflow.py"
    shared.write_text(
        shared.read_text().replace('retry_delay": timedelta(seconds=30)', 'retry_delay": timedelta(seconds=3)')
    )

    def start(prefix: str, port: int = 0) -> airflow.AirflowServer:
        env = {
            **bench.server.settings.env(),
            "CARPIPE_CONFIG": str(settings),
            "CARPIPE_STORE": f"s3://{bench.server.settings.bucket}/{prefix}",
            "OMP_NUM_THREADS": "1",
            # Seconds until a task whose supervisor was killed is tried again; 120 here, 300 by default.
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
        }
        return airflow.start_airflow(
            tmp_path / "local", dags=tmp_path / "dags", plugins=tmp_path / "plugins", port=port, env=env
        )

    yield start
    state.stop_all(tmp_path / "local")


def test_parts_of_airflow_killed_in_the_middle_of_a_run(bench, raw, settings, start, note):
    photos = {f"raw/{path.relative_to(raw).as_posix()}": path.read_bytes() for path in sorted(raw.rglob("*.jpg"))}
    expected = calm_picture(bench, photos, settings)
    prefix = bench.fill(photos)
    live_car_filter(bench.store(prefix))

    server = start(prefix)
    with server.client() as client:
        client.wait_for_dag(DAG, timeout=180)
        client.unpause(DAG)
        run = client.trigger(DAG, {})
        wait_for(lambda: in_work(client, run, "partition.clean"), seconds=300)
        killed_worker(supervisors(server))
        note("kill -9 inside Airflow", "the supervisor of clean", "killed")
        wait_for(lambda: in_work(client, run, "partition.crop", "partition.filter_cars"), seconds=600)
    server = killed_part(server, "scheduler", lambda: start(prefix, server.port))
    note("kill -9 inside Airflow", "the scheduler", "killed and started again")
    with server.client() as client:
        wait_for(lambda: in_work(client, run, "identify", "classes", "split", "validate"), seconds=600)
    server = killed_part(server, "api-server", lambda: start(prefix, server.port))
    note("kill -9 inside Airflow", "the API server", "killed and started again")
    with server.client() as client:
        assert client.wait_for_run(DAG, run, timeout=900).state == "success"
        tries = {task.task_id: task.try_number for task in client.task_instances(DAG, run)}

    store = bench.store(prefix)
    check_whole(store)
    assert picture(store) == expected
    again = ", ".join(f"{name} {number}" for name, number in tries.items() if number > 1)
    note("kill -9 inside Airflow", f"attempts: {again}", "equal")


def calm_picture(bench: Bench, photos: dict[str, bytes], settings: Path) -> dict:
    """The same steps in this process, undisturbed."""
    store = bench.store(bench.fill(photos))
    live_car_filter(store)
    with environment(bench.server.settings.env()):
        session = Session(load_config(settings, {"store.url": store.url}), store)
        chain.prepare_dataset(session, at=AT, progress=lambda stage, done: None)
    return picture(store)


def supervisors(server: airflow.AirflowServer) -> list[psutil.Process]:
    """The processes that run a task of the LocalExecutor: their title names it."""
    found = [psutil.Process(pid) for pid in processes.pids(server.logs)]
    titles = {process: " ".join(process.cmdline()) for process in found}
    return [
        process for process, title in titles.items() if title.startswith("airflow worker -- ") and "idle" not in title
    ]


def killed_worker(workers: Iterable[psutil.Process]) -> None:
    """Kill processes that run tasks, and what they have started, as the loss of their machine does."""
    found = list(workers)
    assert found, "nothing was at work"
    for worker in found:
        for process in (worker, *worker.children(recursive=True)):
            process.kill()


def killed_part(
    server: airflow.AirflowServer, name: str, again: Callable[[], airflow.AirflowServer]
) -> airflow.AirflowServer:
    """Kill one of the four processes, and start Airflow again as `make run` does."""
    os.kill(server.pids[list(airflow.COMPONENTS).index(name)], signal.SIGKILL)
    return again()


def in_work(client, run: str, *names: str) -> bool:
    """Whether one of the tasks is running, or the last of them has ended."""
    tasks = client.task_instances(DAG, run)
    failed = [task.task_id for task in tasks if task.state == "failed"]
    assert not failed, failed
    states = {task.task_id: task.state for task in tasks}
    return any(states.get(name) == "running" for name in names) or states.get(names[-1]) == "success"


def wait_for(condition: Callable[[], bool], *, seconds: float) -> None:
    """Until it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.2)
