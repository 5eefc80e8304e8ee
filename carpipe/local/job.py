"""The main job, however its services were started: photos and labels into the bucket, then the three DAGs.

What `make run` and `make cluster` have in common.
"""

import argparse
import datetime
import hashlib
import os
import re
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from carpipe import manifest
from carpipe.backports import UTC
from carpipe.cli.bars import bars
from carpipe.config import load_config
from carpipe.errors import CarpipeError, InputError, explain_os_error
from carpipe.local import state
from carpipe.local.follow import follow
from carpipe.local.rest import AirflowClient
from carpipe.local.s3server import start_s3
from carpipe.steps.chain import needs_filter
from carpipe.steps.session import Session, open_session

HOME = Path("local")
DAGS = ("train_filter", "prepare_dataset", "retrain_classifier", "promote_weights", "learning_curve")
SAMPLE_SEED = 0
# The scheduler sees a dataset event within a second or two; when it has not after this, something is odd.
ASSET_RUN_TIMEOUT_S = 60
# States of tasks that will not run any more.
ENDED = ("success", "failed", "skipped", "upstream_failed", "removed")
WAIT_S = 2.0


@dataclass(frozen=True)
class Job:
    """What to run on: photos and labels to upload first (None: those in the bucket), and settings."""

    raw: Path | None
    labels: Path | None
    config: Path | None
    store: str


@dataclass(frozen=True)
class Ready:
    """A bucket that holds photos and labels, and the variables by which Airflow and the command line find it."""

    session: Session
    variables: dict[str, str]


def run_command(parser: argparse.ArgumentParser, arguments: Sequence[str] | None, *, services: str) -> int:
    """Parse and run; an error becomes one sentence. `services` says what an interrupt leaves behind."""
    options = parser.parse_args(arguments)
    console = Console(soft_wrap=True)
    try:
        options.run(options, console)
    except CarpipeError as error:
        console.print(f"\ncarpipe: {error}", style="red", highlight=False, markup=False)
        return 1
    except OSError as error:
        console.print(f"\ncarpipe: {explain_os_error(error)}", style="red", highlight=False, markup=False)
        return 1
    except KeyboardInterrupt:
        console.print(f"\nInterrupted; {services}", highlight=False)
        return 130
    return 0


def add_job_arguments(start: argparse.ArgumentParser) -> None:
    """What to run on."""
    start.add_argument("--raw", type=Path, help="folder of listing photos; default: the sample world")
    start.add_argument(
        "--labels",
        type=Path,
        help="labels to train the car filter on: CSV with the columns key,label, or JSON of Label Studio",
    )
    start.add_argument("--config", type=Path, help="settings in TOML")
    start.add_argument("--store", default="", help="s3://bucket/prefix of your own instead of the embedded server")


def prepare(options: argparse.Namespace, console: Console, *, home: Path) -> Ready:
    """Draw the sample world if need be, start the S3 server unless there is a bucket, and upload photos and labels.

    The bucket's variables are in the environment of this process afterwards, and in `local/env`.

    Args:
        options: those of `add_job_arguments`, and `s3_port`.
        console: for a line on what happens.
        home: of the S3 server.
    """
    state.private_home(HOME)
    job = _job(options, console)
    variables = {"CARPIPE_STORE": job.store, **({"CARPIPE_CONFIG": str(job.config.resolve())} if job.config else {})}
    if options.store:
        chain = ("AWS_", "CARPIPE_S3_CONNECTION")
        variables |= {name: value for name, value in os.environ.items() if name.startswith(chain)}
    else:
        # The shell's own AWS settings are for another server; a session token among them would be refused here.
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]
        # Nor is a connection of the shell's for the embedded server.
        variables |= _embedded_s3(home, options.s3_port, console) | {"CARPIPE_S3_CONNECTION": ""}
    os.environ.pop("CARPIPE_CONFIG", None)
    os.environ.update(variables)
    session = open_session(load_config(), progress=bars())
    _write_env(variables)
    _upload(session, job, console)
    return Ready(session, variables)


def _job(options: argparse.Namespace, console: Console) -> Job:
    for path in (options.raw, options.labels, options.config):
        if path is not None and not path.exists():
            raise InputError(f"There is no {path}.")
    if options.raw is None and not options.store:
        return _sample_job(options, console)
    return Job(options.raw, options.labels, options.config, options.store or f"s3://carpipe/{_prefix(options.raw)}")


def _prefix(raw: Path) -> str:
    """A prefix per folder: photos of one never end up in the dataset of another."""
    path = str(raw.resolve())
    name = re.sub(r"[^a-z0-9-]+", "-", Path(path).name.lower()).strip("-")
    return f"{name or 'photos'}-{hashlib.sha256(path.encode()).hexdigest()[:6]}"


def _sample_job(options: argparse.Namespace, console: Console) -> Job:
    from carpipe.sample import draw_world

    folder = HOME / "sample"
    complete = folder / "complete"
    if not complete.exists():
        console.print("Drawing the sample world ...", highlight=False)
        draw_world(folder, seed=SAMPLE_SEED)
        complete.touch()
    with resources.as_file(resources.files("carpipe.sample") / "sample.toml") as config:
        return Job(
            folder / "raw", options.labels or folder / "labels.csv", options.config or config, "s3://carpipe/sample"
        )


def _embedded_s3(home: Path, port: int, console: Console) -> dict[str, str]:
    s3 = start_s3(home, port=port)
    console.print(f"S3 server on {s3.settings.endpoint}, data in {home / 's3'}", highlight=False)
    return s3.settings.env()


def _upload(session: Session, job: Job, console: Console) -> None:
    from carpipe.steps.data.upload import upload
    from carpipe.steps.labels.store import import_labels

    if job.raw:
        done = upload(session, job.raw)
        if done.forgotten:
            console.print(
                f"{done.forgotten} photos were not uploaded: `carpipe forget` removed their listings.", highlight=False
            )
        if done.refused:
            console.print(
                f"{len(done.refused)} could not be uploaded. The first is {escape(done.refused[0])}.", highlight=False
            )
    if job.labels:
        now = datetime.datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        import_labels(session, job.labels.read_bytes(), at=now)


def _write_env(variables: dict[str, str]) -> None:
    """`local/env`, so that `source local/env` lets the `carpipe` command speak to the same bucket."""
    lines = (f"export {name}={shlex.quote(value)}\n" for name, value in sorted(variables.items()))
    state.secret_file(
        HOME / "env", "".join(lines) + f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"\n'
    )


def _unpause(client: AirflowClient) -> None:
    client.ensure_pool("gpu", slots=1)
    for dag_id in DAGS:
        client.wait_for_dag(dag_id, timeout=120)
        client.unpause(dag_id)


def run_dags(client: AirflowClient, session: Session, *, console: Console) -> str:
    """Run the three DAGs; returns what came of them, as text.

    Raises:
        CarpipeError: a run failed, or nothing was decided.
    """
    from carpipe.steps.models.decisions import decisions
    from carpipe.steps.views.summary import summary

    def trigger(dag_id: str) -> str:
        _wait_for_earlier(client, dag_id, console)
        return client.trigger(dag_id, {})

    def run_dag(dag_id: str, run_id: str) -> None:
        console.print(f"\n{dag_id}  {run_id}", style="bold", highlight=False)
        follow(client, session.store, dag_id, run_id, console=console)

    _unpause(client)
    if needs_filter(session):
        run_dag("train_filter", trigger("train_filter"))
    prepared = trigger("prepare_dataset")
    run_dag("prepare_dataset", prepared)
    trained = _started_by_dataset(client, prepared) or trigger("retrain_classifier")
    run_dag("retrain_classifier", trained)
    decided = [one for one in decisions(session, session.config.classifier.channel) if one["run"] == trained]
    if not decided:
        raise CarpipeError("The run has ended, but nothing was decided; the Airflow page shows why.")
    last = decided[-1]
    dataset = manifest.read(session.store, str(client.xcom("prepare_dataset", prepared, "dataset")))
    evaluation = manifest.read(session.store, manifest.read(session.store, last["model"]).inputs[0])
    verdict = f"{last['outcome'].replace('_', ' ')}: {last['reasons'][0]}"
    return summary(session, dataset=dataset, evaluation=evaluation, model=last["model"], verdict=verdict)


def _wait_for_earlier(client: AirflowClient, dag_id: str, console: Console) -> None:
    """Return once no earlier run of the DAG is open: one that was interrupted goes on when Airflow starts again.

    A DAG has one run at a time. What the earlier one makes, the next one takes over.
    """
    told: set[str] = set()
    while earlier := client.open_runs(dag_id):
        run = earlier[0]
        if run not in told:
            told.add(run)
            tasks = client.task_instances(dag_id, run)
            left = sum(task.state not in ENDED for task in tasks)
            console.print(
                f"\nAn earlier run of {dag_id} goes on, {run}: {left} of its {len(tasks)} tasks are left. Waiting for "
                "it; what it makes is reused ...",
                highlight=False,
            )
        time.sleep(WAIT_S)


def _started_by_dataset(client: AirflowClient, prepared: str) -> str | None:
    """The training that the new dataset's event has started. That of an earlier one was due before this was begun."""
    begun = client.dag_run("prepare_dataset", prepared).start
    deadline = time.monotonic() + ASSET_RUN_TIMEOUT_S
    while time.monotonic() < deadline:
        newest = client.newest_run("retrain_classifier", since=begun)
        if newest and newest.startswith("asset_triggered__"):
            return newest
        time.sleep(1)
    return None
