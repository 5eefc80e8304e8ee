"""Which processes the Compose file comes down to on one machine, and how each differs from its container.

Command, environment and health check are the file's own. What differs: ports are free ones of loopback, folders of the
containers are folders here, each worker has a name of its own, and no log server is started, since all see one folder.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import certifi

from carpipe.local.compose import Service, read_services
from carpipe.local.env_file import RENAMED, SECRETS
from carpipe.local.ports import LOOPBACK, free_ports

# The ports that the services of the file speak on.
PORTS = ("8080", "6379", "5432", "5000", "5001")
AIRFLOW = ("api-server", "scheduler", "dag-processor", "triggerer", "housekeeping", "serve")


@dataclass(frozen=True)
class Instance:
    """One process to start: a service of the file, under a name of its own."""

    name: str
    service: Service
    command: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Topology:
    """All of it: what Debian's packages provide, what runs once first, and then the rest."""

    postgres: Service
    redis: Service
    init: Instance
    instances: tuple[Instance, ...]
    ports: Mapping[str, int]
    """Port here by port in the file."""
    variables: Mapping[str, str]

    @property
    def url(self) -> str:
        """The address of the page and of the REST API."""
        return f"http://{LOOPBACK}:{self.ports['8080']}"


@dataclass(frozen=True)
class Shape:
    """How many of what."""

    workers: int = 2
    gpu: bool = False
    """Whether this machine has a GPU; without, a CPU takes the queue `gpu`."""
    without: tuple[str, ...] = ()
    """Services that are left out."""


def read_topology(text: str, folder: Path, *, shape: Shape, variables: Mapping[str, str]) -> Topology:
    """Turn the Compose file into processes for this machine.

    Args:
        text: the file; the folder it lies in is the current one.
        folder: where Airflow keeps its files, in place of `/opt/airflow`.
        shape: how many of what.
        variables: what is known of `.env`, such as the bucket, or of a shell; passwords are drawn.
    """
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    known = {
        **{name: draw() for name, draw in SECRETS.items()},
        "CARPIPE_MAIN_HOST": LOOPBACK,
        "CARPIPE_URL": f"http://{LOOPBACK}:{ports['8080']}",
        "CARPIPE_WORKER_CONCURRENCY": "1",  # three workers share one machine
        **{RENAMED.get(name, name): value for name, value in variables.items()},
    }
    services = read_services(text, known, replace=_words(folder, ports))
    gpu = services["worker-gpu" if shape.gpu else "worker-train-cpu"]
    workers = [_worker(services["worker"], f"worker-{number + 1}") for number in range(shape.workers)]
    others = [Instance(name, services[name], services[name].command, services[name].environment) for name in AIRFLOW]
    init = services["init"]
    return Topology(
        postgres=services["postgres"],
        redis=services["redis"],
        init=Instance("init", init, init.command, init.environment),
        instances=tuple(
            one for one in (*others, *workers, _worker(gpu, "worker-gpu")) if one.name not in shape.without
        ),
        ports=ports,
        variables=known,
    )


def _words(folder: Path, ports: Mapping[str, int]) -> dict[str, str]:
    here = {
        "/opt/airflow": str(folder.resolve()),
        "/opt/carpipe": str(Path.cwd()),
        "/etc/ssl/certs/ca-certificates.crt": certifi.where(),
    }
    hosts = {"0.0.0.0": LOOPBACK, "postgres:5432": f"{LOOPBACK}:{ports['5432']}"}  # noqa: S104  # replaced, not used
    return {**here, **hosts, **{port: str(number) for port, number in ports.items()}}


def _worker(service: Service, name: str) -> Instance:
    """A Celery worker under a name that nobody has, so that the records show who did what."""
    celery = f"{name}-{secrets.token_hex(3)}"
    command = (*service.command, "--celery-hostname", celery, "--skip-serve-logs")
    return Instance(name, service, command, {**service.environment, "CARPIPE_WORKER": name, "CARPIPE_CELERY": celery})
