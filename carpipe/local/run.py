"""`make run` and `make stop`: the main job on one machine, from a folder of photos to published weights.

    python -m carpipe.local.run start [--raw FOLDER] [--labels FILE] [--config TOML]
    python -m carpipe.local.run stop

Everything lies under `local/` of the folder it is started in: `s3/` (the embedded S3 server's data),
`airflow/` (database and logs), `sample/` (the drawn photos).
"""

import argparse
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from carpipe.errors import InputError
from carpipe.local import state
from carpipe.local.airflow import AirflowServer, start_airflow
from carpipe.local.cluster import stop_cluster
from carpipe.local.job import HOME, add_job_arguments, prepare, run_command, run_dags

# Variables of the shell that Airflow and its tasks get: how an Airflow is operated, and not what `make run` decides.
HANDED_ON = re.compile(
    r"AIRFLOW_CONN_\w+|AIRFLOW__METRICS__\w+|AIRFLOW__LOGGING__(REMOTE_\w+|DELETE_LOCAL_LOGS)"
    r"|CARPIPE_(DEADLINE_H|NOTIFY_\w+|STATSD|WAIT_\w+)"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    return run_command(_parser(), arguments, services="Airflow and the S3 server go on. `make stop` stops them.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m carpipe.local.run", description="the main job on one machine")
    commands = parser.add_subparsers(required=True)
    start = commands.add_parser("start", help="start the services and run the three DAGs")
    add_job_arguments(start)
    start.add_argument("--s3-port", type=int, default=8333)
    start.add_argument("--ui-port", type=int, default=8080)
    start.set_defaults(run=_start)
    stop = commands.add_parser("stop", help="stop the services; the data stays")
    stop.set_defaults(run=_stop)
    return parser


def _stop(options: argparse.Namespace, console: Console) -> None:
    stopped = (*state.stop_all(HOME), *stop_cluster(HOME))
    console.print(f"Stopped {' and '.join(stopped)}." if stopped else "Nothing was running.", highlight=False)


def _start(options: argparse.Namespace, console: Console) -> None:
    started = time.monotonic()
    ready = prepare(options, console, home=HOME)
    airflow = _airflow(options.ui_port, ready.variables, console)
    with airflow.client(tell=console.print) as client:
        outcome = run_dags(client, ready.session, console=console)
    console.print(f"\n{outcome}", highlight=False, markup=False)
    minutes = (time.monotonic() - started) / 60
    console.print(
        f"\nDone in {minutes:.1f} minutes. Airflow: {airflow.url} ({airflow.user} / {airflow.password})",
        highlight=False,
    )
    console.print("The services stay up until `make stop`. For the command line: source local/env", highlight=False)


def _airflow(port: int, variables: dict[str, str], console: Console) -> AirflowServer:
    handed_on = {name: value for name, value in os.environ.items() if HANDED_ON.fullmatch(name)}
    # Two tasks at a time, as many as parallelism allows: one thread each keeps them out of each other's way.
    environment = handed_on | variables | {"OMP_NUM_THREADS": "1"}
    folders = {"dags": Path("dags"), "plugins": Path("plugins")}
    running = state.running(HOME).get("airflow")
    if running is None:
        console.print("Starting Airflow ...", highlight=False)
    try:
        airflow = start_airflow(HOME, **folders, port=port, env=environment)
    except InputError:
        if running is None:
            raise
        console.print("Airflow runs with other settings: restarting it ...", highlight=False)
        state.stop(HOME, "airflow")
        airflow = start_airflow(HOME, **folders, port=port, env=environment)
    console.print(f"Airflow on {airflow.url}, log in as {airflow.user} with {airflow.password}", highlight=False)
    return airflow


if __name__ == "__main__":
    sys.exit(main())
