"""`make cluster`: the services of `docker-compose.airflow.yml` as plain processes, and the main job on them.

    python -m carpipe.local.cluster start [--raw FOLDER] [--labels FILE] [--config TOML] [--workers 2]
    python -m carpipe.local.cluster stop

CeleryExecutor, Redis, PostgreSQL, two workers of queue `default` and one of queue `gpu`, each with the command, the
environment and the health check of the Compose file. It proves the file where there is no Docker engine. Everything
lies under `local/cluster/`; a start begins with an empty database and a bucket as the last one left it.
"""

import argparse
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console

from carpipe.errors import CarpipeError, InputError
from carpipe.local import debian, processes, state
from carpipe.local.airflow import process_environment
from carpipe.local.compose import Service, find_compose_file
from carpipe.local.job import HOME, add_job_arguments, prepare, run_command, run_dags
from carpipe.local.ports import LOOPBACK
from carpipe.local.rest import AirflowClient, TaskInstance
from carpipe.local.topology import Instance, Shape, Topology, read_topology

FOLDER = "cluster"
SERVICES = ("airflow", "redis", "postgres", "s3")  # in the order in which they are stopped
START_TIMEOUT_S = 600.0  # 40 s on two idle cores
CHECK_TIMEOUT_S = 60.0
DAGS = ("train_filter", "prepare_dataset", "retrain_classifier")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m carpipe.local.cluster", description="the Compose file as processes"
    )
    commands = parser.add_subparsers(required=True)
    start = commands.add_parser("start", help="start the services and run the three DAGs")
    add_job_arguments(start)
    start.add_argument("--workers", type=int, default=2, help="workers of the queue default")
    start.add_argument(
        "--without", nargs="+", default=(), choices=("housekeeping", "serve"), help="services to leave out"
    )
    start.set_defaults(run=_start, s3_port=0)
    stop = commands.add_parser("stop", help="stop the services; the bucket stays")
    stop.set_defaults(run=_stop)
    return run_command(parser, arguments, services="the cluster goes on. `make cluster-stop` stops it.")


def stop_cluster(home: Path) -> tuple[str, ...]:
    """Stop what runs under `<home>/cluster`, and return the names of what did. Safe to repeat."""
    folder = home / FOLDER
    stopped = tuple(f"cluster {name}" for name in SERVICES if folder.exists() and state.stop(folder, name))
    debian.remove_data(folder / "postgres")
    return stopped


def _stop(options: argparse.Namespace, console: Console) -> None:
    stopped = stop_cluster(HOME)
    console.print(f"Stopped {', '.join(stopped)}." if stopped else "Nothing was running.", highlight=False)


def _start(options: argparse.Namespace, console: Console) -> None:
    began = time.monotonic()
    text, programs = find_compose_file().read_text(encoding="utf-8"), debian.find_programs()
    if options.workers < 1:
        raise InputError(f"A cluster needs at least one worker, got --workers {options.workers}.")
    stop_cluster(HOME)
    home = HOME / FOLDER
    ready = prepare(options, console, home=home)
    shape = Shape(options.workers, gpu=Path("/dev/nvidia0").exists(), without=tuple(options.without))
    topology = read_topology(text, home / "airflow", shape=shape, variables=ready.variables)
    try:
        start_services(topology, home, programs=programs, console=console)
    except BaseException:
        stop_cluster(HOME)
        raise
    password = topology.variables["CARPIPE_PASSWORD"]
    console.print(f"Airflow on {topology.url}, log in as admin with {password}", highlight=False)
    with AirflowClient(topology.url, user="admin", password=password, tell=console.print) as client:
        console.print(f"\n{run_dags(client, ready.session, console=console)}", highlight=False, markup=False)
        _show_spread(client, console)
    console.print(f"\nDone in {(time.monotonic() - began) / 60:.1f} minutes.", highlight=False)
    console.print(
        "The cluster stays up until `make cluster-stop`. For the command line: source local/env", highlight=False
    )


def start_services(topology: Topology, home: Path, *, programs: debian.Programs, console: Console) -> None:
    """Start all processes of the topology and return once every health check of the Compose file passes.

    Raises:
        CarpipeError: one ended or stayed unwell; names it, and gives the end of its log.
    """
    folder = home / "airflow"
    for part in ("airflow", "airflow/logs", "airflow/yolo", "redis", "postgres"):
        (home / part).mkdir(parents=True, exist_ok=True)
    env = _environment(folder, topology, programs)
    console.print("Starting PostgreSQL and Redis ...", highlight=False)
    postgres, redis = topology.ports["5432"], topology.ports["6379"]
    debian.start_postgres(topology.postgres, home / "postgres", port=postgres, env=env)
    debian.start_redis(topology.redis, home / "redis", port=redis, env=env)
    for service in (topology.postgres, topology.redis):
        _wait_for_check(service, home / service.name / f"{service.name}.log", env)
    debian.create_database(topology.postgres, port=postgres, env=env)
    _run_once(topology.init, folder, env)
    console.print(f"Starting {', '.join(one.name for one in topology.instances)} ...", highlight=False)
    pids = {one.name: _spawn(one, folder, env) for one in topology.instances}
    _wait_for_all(topology.instances, pids, folder, env)


def _environment(folder: Path, topology: Topology, programs: debian.Programs) -> dict[str, str]:
    """What all processes have beside the Compose file's: the image's environment, and where programs are."""
    inherited = process_environment(folder.resolve(), {"PGHOST": LOOPBACK, "PGPORT": str(topology.ports["5432"])})
    env = {name: value for name, value in inherited.items() if not name.startswith(("AWS_", "CARPIPE_"))}
    env["PATH"] = os.pathsep.join([env["PATH"], str(programs.postgres), str(programs.redis)])
    return env


def _spawn(one: Instance, folder: Path, env: Mapping[str, str]) -> int:
    command = ["/usr/bin/env", *one.command]
    return processes.spawn(command, folder=folder, log=folder / f"{one.name}.log", env={**env, **one.environment})


def _run_once(one: Instance, folder: Path, env: Mapping[str, str]) -> None:
    log = folder / f"{one.name}.log"
    marked = {**env, **one.environment, processes.MARK: str(folder.resolve())}
    with log.open("wb") as output:
        command = ["/usr/bin/env", *one.command]
        done = subprocess.run(command, cwd=folder, env=marked, stdout=output, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise CarpipeError(f"The service {one.name} failed; its log ends:\n{processes.tail(log)}")


def _wait_for_check(service: Service, log: Path, env: Mapping[str, str]) -> None:
    deadline = time.monotonic() + CHECK_TIMEOUT_S
    while not _is_well(service, service.environment, env):
        if time.monotonic() > deadline:
            raise CarpipeError(f"{service.name} is not well; its log ends:\n{processes.tail(log)}")
        time.sleep(0.2)


def _wait_for_all(instances: Iterable[Instance], pids: Mapping[str, int], folder: Path, env: Mapping[str, str]) -> None:
    waiting, deadline = list(instances), time.monotonic() + START_TIMEOUT_S
    while waiting:
        ended = [one.name for one in waiting if not processes.exists(pids[one.name])]
        if ended or time.monotonic() > deadline:
            name = (ended or [waiting[0].name])[0]
            what = "ended" if ended else f"was not well in {START_TIMEOUT_S:.0f} s"
            raise CarpipeError(f"{name} {what}; its log ends:\n{processes.tail(folder / f'{name}.log')}")
        time.sleep(1)
        # Beside each other: a service that hangs must not hold up the look at the others.
        with ThreadPoolExecutor(len(waiting)) as pool:
            well = list(pool.map(lambda one: _is_well(one.service, one.environment, env), waiting))
        waiting = [one for one, is_well in zip(waiting, well, strict=True) if not is_well]


def _is_well(service: Service, environment: Mapping[str, str], env: Mapping[str, str]) -> bool:
    """Run the health check of the Compose file."""
    try:
        command, given = ["/usr/bin/env", *service.check], {**env, **environment}
        return (
            subprocess.run(command, env=given, capture_output=True, timeout=CHECK_TIMEOUT_S, check=False).returncode
            == 0
        )
    except subprocess.TimeoutExpired:
        return False


def _show_spread(client: AirflowClient, console: Console) -> None:
    """Which worker did what, as Airflow has recorded it."""
    runs = [(dag_id, run_id) for dag_id in DAGS if (run_id := client.newest_run(dag_id))]
    console.print(f"\n{'worker':<12} {'queue':<8} {'tasks':>5}   what", style="bold", highlight=False)
    for worker, queue, tasks in spread(task for run in runs for task in client.task_instances(*run)):
        what = ", ".join(f"{name} {count}" if count > 1 else name for name, count in tasks.items())
        console.print(f"{worker:<12} {queue:<8} {tasks.total():>5}   {what}", highlight=False)


def spread(tasks: Iterable[TaskInstance]) -> list[tuple[str, str, Counter[str]]]:
    """(worker, queue, how often it ran each task) of all tasks that ran, by worker."""
    found: dict[tuple[str, str], Counter[str]] = {}
    for task in tasks:
        if task.hostname:
            found.setdefault((task.hostname, task.queue), Counter())[task.task_id.rpartition(".")[2]] += 1
    return [(worker, queue, counts) for (worker, queue), counts in sorted(found.items())]


if __name__ == "__main__":
    sys.exit(main())
