"""What an Airflow deployment chooses by environment variables: they are read when DAGs are parsed and tasks run.

Settings of the work itself are in the configuration file (`carpipe config`); these are about where it runs, and
whom to tell. A DAG file is parsed on machines that have no configuration file, so the environment is their place.
"""

import os
from dataclasses import dataclass

from carpipe.errors import ConfigError

# Variable and meaning; docs/operating.md shows this table.
VARIABLES = {
    "CARPIPE_S3_CONNECTION": "Airflow connection with credentials, region and endpoint of S3; empty: the AWS chain",
    "CARPIPE_NOTIFY_MAIL": "addresses, separated by commas, that are told of failures, missed deadlines, new weights",
    "CARPIPE_NOTIFY_MAIL_CONNECTION": "Airflow connection of the mail server",
    "CARPIPE_NOTIFY_SNS": "ARN of an SNS topic that is told of the same",
    "CARPIPE_DEADLINE_H": "hours from when a nightly run is queued until it counts as late; 0: never",
    "CARPIPE_WAIT_FOR": "key of the object that `prepare_dataset` waits for, such as `raw/_complete/{{ ds }}`",
    "CARPIPE_WAIT_H": "hours that it waits for it, at most",
    "CARPIPE_GPU_POD": "JSON of what tasks on queue `gpu` get under KubernetesExecutor; `{}`: one GPU, nothing else",
}
DEFAULTS = {
    "CARPIPE_S3_CONNECTION": "aws_default",
    "CARPIPE_NOTIFY_MAIL_CONNECTION": "smtp_default",
    "CARPIPE_DEADLINE_H": "20",
    "CARPIPE_WAIT_H": "6",
}


@dataclass(frozen=True)
class Deployment:
    """The variables, checked. `connection_named` is whether somebody has chosen the connection."""

    connection: str
    connection_named: bool
    mail: tuple[str, ...]
    mail_connection: str
    sns: str
    deadline_h: float
    wait_for: str
    wait_h: float
    gpu_pod: str


def deployment() -> Deployment:
    """The environment of this process.

    Raises:
        ConfigError: a number is none, or negative.
    """
    return Deployment(
        connection=_text("CARPIPE_S3_CONNECTION"),
        connection_named="CARPIPE_S3_CONNECTION" in os.environ,
        mail=tuple(address for part in _text("CARPIPE_NOTIFY_MAIL").split(",") if (address := part.strip())),
        mail_connection=_text("CARPIPE_NOTIFY_MAIL_CONNECTION"),
        sns=_text("CARPIPE_NOTIFY_SNS"),
        deadline_h=_hours("CARPIPE_DEADLINE_H"),
        wait_for=_text("CARPIPE_WAIT_FOR"),
        wait_h=_hours("CARPIPE_WAIT_H"),
        gpu_pod=_text("CARPIPE_GPU_POD"),
    )


def _text(name: str) -> str:
    return os.environ.get(name, DEFAULTS.get(name, "")).strip()


def _hours(name: str) -> float:
    text = _text(name) or "0"
    try:
        hours = float(text)
    except ValueError:
        hours = -1
    if not 0 <= hours < 24 * 365:
        raise ConfigError(f"{name} = {text!r} is not possible: it must be a number of hours, 0 or more.")
    return hours
