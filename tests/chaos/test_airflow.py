"""`kill -9` of parts of a real Airflow in the middle of `prepare_dataset`: the supervisor of a task, the scheduler, the
API server, Celery workers. What is left, or is started again, ends the run, and the bucket is as after a calm one.
"""

import contextlib
import json
import os
import shutil
import signal
import time
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from rich.console import Console

from carpipe.config import load_config
from carpipe.errors import InputError
from carpipe.local import airflow, cluster, debian, processes, state
from carpipe.local.rest import AirflowClient
from carpipe.local.topology import Shape, read_topology
from carpipe.steps import chain
from carpipe.steps.session import Session
from tests.chaos.bench import (
    AT,
    SETTINGS,
    Bench,
    check_whole,
    contents,
    environment,
    live_car_filter,
    picture,
    two_classes,
)
from tests.conftest import SAMPLE

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(2400)]

REPOSITORY = Path(__file__).parents[2]
DAG = "prepare_dataset"
MARKER = "raw/_complete/today"


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def objects(bench: Bench, raw: Path) -> dict[str, bytes]:
    """What every run starts from: photos and a live car filter."""
    photos = {f"raw/{path.relative_to(raw).as_posix()}": path.read_bytes() for path in sorted(raw.rglob("*.jpg"))}
    store = bench.store(bench.fill(photos))
    live_car_filter(store)
    return photos | contents(store, but=photos)


@pytest.fixture(scope="module")
def calm(bench: Bench, objects: dict[str, bytes], settings: Path) -> dict[str, Any]:
    """The picture that the same steps leave in this process, undisturbed."""
    store = bench.store(bench.fill(objects))
    with environment(bench.server.settings.env()):
        session = Session(load_config(settings, {"store.url": store.url}), store)
        chain.prepare_dataset(session, now=lambda: AT, progress=lambda stage, done: None)
    return picture(store)


@pytest.fixture
def prefix(bench: Bench, objects: dict[str, bytes]) -> str:
    """Of the run that is disturbed."""
    return bench.fill(objects)


@pytest.fixture
def environ(bench: Bench, settings: Path, prefix: str) -> dict[str, str]:
    """Of every part of Airflow."""
    return {
        **bench.server.settings.env(),
        "CARPIPE_CONFIG": str(settings),
        "CARPIPE_STORE": f"s3://{bench.server.settings.bucket}/{prefix}",
        "OMP_NUM_THREADS": "1",
        # Seconds until a task whose supervisor was killed is tried again; 120 in `make run`, 300 by default.
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    }


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder that looks like the repository, but for one DAG only and retries that do not wait."""
    shutil.copytree(REPOSITORY / "plugins", tmp_path / "plugins")
    (tmp_path / "dags").mkdir()
    shutil.copy(REPOSITORY / "dags" / f"{DAG}.py", tmp_path / "dags")
    shutil.copy(REPOSITORY / "docker-compose.airflow.yml", tmp_path)
    shared = tmp_path / "plugins" / "carpipe_airflow" / "dag_defaults.py"
    text = shared.read_text(encoding="utf-8")
    assert 'retry_delay": timedelta(seconds=30)' in text
    shared.write_text(text.replace('retry_delay": timedelta(seconds=30)', 'retry_delay": timedelta(seconds=3)'))
    return tmp_path


@pytest.fixture
def start(checkout: Path, environ: dict[str, str]):
    """Start the Airflow of this test, again after a part of it was killed."""
    home = checkout / "local"

    def start(port: int = 0) -> airflow.AirflowServer:
        folders = {"dags": checkout / "dags", "plugins": checkout / "plugins"}
        return airflow.start_airflow(home, **folders, port=port, env=environ)

    yield start
    state.stop_all(home)


def test_parts_of_airflow_killed_in_the_middle_of_a_run(bench, calm, prefix, start, note):
    server = start()
    with server.client() as client:
        run = begin(client)
        wait_for(lambda: at_work(client, run, "partition.clean"), seconds=300)
        killed_with_children(supervisors(server))
        note("kill -9 inside Airflow", "the supervisor of clean", "killed")
        wait_for(lambda: at_work(client, run, "partition.crop", "partition.filter_cars"), seconds=600)
    server = killed_part(server, "scheduler", lambda: start(server.port))
    note("kill -9 inside Airflow", "the scheduler", "killed and started again")
    with server.client() as client:
        where = wait_for(lambda: at_work(client, run, "identify", "classes", "split", "validate"), seconds=600)
    assert where != "late"
    server = killed_part(server, "api-server", lambda: start(server.port))
    note("kill -9 inside Airflow", "the API server", "killed and started again")
    with server.client() as client:
        again = tries(client, run)
    check_as_calm(bench, prefix, calm)
    note("kill -9 inside Airflow", f"attempts: {again}", "equal")


@pytest.fixture
def workers(bench: Bench, checkout: Path, environ: dict[str, str], monkeypatch):
    """The services of the Compose file with three Celery workers: a client of their Airflow, their folder.

    Credentials in their environment are wrong: those of the connection in Airflow's database count.
    """
    try:
        programs = debian.find_programs()
    except InputError as error:
        pytest.skip(str(error))
    monkeypatch.chdir(checkout)
    home = checkout / "local" / cluster.FOLDER
    text = (checkout / "docker-compose.airflow.yml").read_text(encoding="utf-8")
    shape = Shape(workers=3, without=("serve", "housekeeping", "worker-gpu"))
    given = {"AWS_SECRET_ACCESS_KEY": "wrong", "CARPIPE_S3_CONNECTION": "aws_default", "CARPIPE_WAIT_FOR": MARKER}
    environ = {**environ, **given}
    topology = read_topology(text, home / "airflow", shape=shape, variables=environ)
    instances = [replace(one, environment={**one.environment, **environ}) for one in topology.instances]
    topology = replace(topology, instances=tuple(instances))
    try:
        cluster.start_services(topology, home, programs=programs, console=Console(quiet=True))
        with AirflowClient(topology.url, user="admin", password=topology.variables["CARPIPE_PASSWORD"]) as client:
            keys = {"login": bench.server.settings.access_key, "password": bench.server.settings.secret_key}
            extra = {"endpoint_url": bench.server.settings.endpoint, "region_name": "us-east-1"}
            client.add_connection("aws_default", kind="aws", **keys, extra=extra)
            yield client, home / "airflow"
    finally:
        cluster.stop_cluster(checkout / "local")


def test_celery_workers_killed_in_the_middle_of_a_run(bench, calm, prefix, workers, note):
    """One is lost with everything on it, of another only the process that takes tasks; the third does the rest."""
    client, folder = workers
    run = begin(client)
    wait_for(lambda: "yes" if "deferred" in states(client, run) else None, seconds=300)
    bench.store(prefix).put(MARKER, b"")
    lost = wait_for(lambda: at_work(client, run, "partition.clean"), seconds=300)
    killed_with_children(of_worker(folder, lost))
    note("kill -9 of Celery workers", f"{lost} in clean, with its tasks", "killed")
    headless = wait_for(lambda: at_work(client, run, "partition.crop", "partition.filter_cars", but=lost), seconds=600)
    parents = [process for process in of_worker(folder, headless) if "celery worker" in " ".join(process.cmdline())]
    min(parents, key=lambda process: process.create_time()).kill()
    note("kill -9 of Celery workers", f"{headless} in crop or filter, its tasks go on", "killed")
    again = tries(client, run)
    check_as_calm(bench, prefix, calm)
    note("kill -9 of Celery workers", f"attempts: {again}", "equal")


def states(client: AirflowClient, run: str) -> set[str | None]:
    """Of all tasks of the run."""
    return {task.state for task in client.task_instances(DAG, run)}


def begin(client: AirflowClient) -> str:
    """Start the run that is disturbed."""
    client.wait_for_dag(DAG, timeout=180)
    client.unpause(DAG)
    return client.trigger(DAG, {})


def tries(client: AirflowClient, run: str) -> str:
    """Wait until the run has succeeded; returns which tasks took more than one attempt."""
    assert client.wait_for_run(DAG, run, timeout=900).state == "success"
    tasks = client.task_instances(DAG, run)
    return ", ".join(f"{task.task_id} {task.try_number}" for task in tasks if task.try_number > 1)


def check_as_calm(bench: Bench, prefix: str, calm: dict[str, Any]) -> None:
    """The bucket is whole, and as the undisturbed steps leave it."""
    store = bench.store(prefix)
    check_whole(store)
    assert picture(store) == calm


def supervisors(server: airflow.AirflowServer) -> list[psutil.Process]:
    """The processes that run a task of the LocalExecutor: their title names it."""
    found = [psutil.Process(pid) for pid in processes.pids(server.logs)]
    titles = {process: " ".join(process.cmdline()) for process in found}
    return [
        process for process, title in titles.items() if title.startswith("airflow worker -- ") and "idle" not in title
    ]


def of_worker(folder: Path, name: str) -> list[psutil.Process]:
    """The processes of one Celery worker, and of the tasks it runs."""
    found = [psutil.Process(pid) for pid in processes.pids(folder)]
    return [process for process in found if process.environ().get("CARPIPE_WORKER") == name]


def killed_with_children(found: list[psutil.Process]) -> None:
    """Kill processes and what they have started, as the loss of their machine does."""
    assert found, "nothing was at work"
    for process in [process for parent in found for process in (parent, *parent.children(recursive=True))]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def killed_part(
    server: airflow.AirflowServer, name: str, again: Callable[[], airflow.AirflowServer]
) -> airflow.AirflowServer:
    """Kill one of the four processes, and start Airflow again as `make run` does."""
    pid = server.pids[list(airflow.COMPONENTS).index(name)]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: None if processes.exists(pid) else "gone", seconds=30)
    return again()


def at_work(client: AirflowClient, run: str, *names: str, but: str = "") -> str | None:
    """The worker on which one of the tasks is running (not that one), or "late" once the last of them has ended."""
    tasks = client.task_instances(DAG, run)
    failed = [task.task_id for task in tasks if task.state == "failed"]
    assert not failed, failed
    running = [task.hostname for task in tasks if task.task_id in names and task.state == "running"]
    ended = [task for task in tasks if task.task_id == names[-1] and task.state == "success"]
    return next((host for host in running if host != but), "late" if ended else None)


def wait_for(answer: Callable[[], str | None], *, seconds: float) -> str:
    """What it answers, once it does."""
    deadline = time.monotonic() + seconds
    while not (found := answer()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.2)
    return found
