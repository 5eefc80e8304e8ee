"""Whether one service of the cluster is well: the health checks of `docker-compose.airflow.yml`.

    python -m carpipe.local.health api-server http://localhost:8080    Airflow's API server, for people and tasks
    python -m carpipe.local.health scheduler http://localhost:8080     another part, as the API server sees it
    python -m carpipe.local.health worker                              the Celery worker of this machine
    python -m carpipe.local.health serve http://localhost:5000         the classification API

They run once or twice a minute in each container, so they load neither Airflow nor carpipe: 0.1 s of a core, 0.5 s for
a worker, where `airflow jobs check` takes 5.
"""

import json
import os
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence

# A proxy set for the internet must not see requests inside the cluster.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
TIMEOUT_S = 10.0


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 where the service is well; else 1, with the reason on standard error."""
    service, *addresses = arguments
    try:
        if service == "worker":
            reason = check_worker(os.environ["AIRFLOW__CELERY__BROKER_URL"])
        elif service == "serve":
            reason = check_serve(addresses[0])
        elif service == "api-server":
            reason = check_api_server(addresses[0])
        else:
            reason = check_airflow(addresses[0], service)
    except OSError as error:
        reason = f"{service} does not answer: {error}"
    if reason:
        print(reason, file=sys.stderr)
    return 1 if reason else 0


def worker_name() -> str:
    """What tasks are recorded to have run on: `CARPIPE_WORKER`, else this host's name."""
    return os.environ.get("CARPIPE_WORKER") or socket.gethostname()


def check_airflow(url: str, part: str) -> str:
    """Why a part of Airflow is not well, or nothing: metadatabase, scheduler, dag_processor or triggerer."""
    with _OPENER.open(f"{url}/api/v2/monitor/health", timeout=TIMEOUT_S) as answer:
        status = (json.load(answer).get(part) or {}).get("status")
    return "" if status == "healthy" else f"{part} is {status or 'not there'}"


def check_api_server(url: str) -> str:
    """Why the API server is not ready, or nothing.

    It builds the routes that tasks use at the first request for one of them, which takes 6 s of a core and holds up
    everybody else. Asking for one here gets that over before the first task and the first page.
    """
    with _OPENER.open(f"{url}/execution/health", timeout=TIMEOUT_S):
        return check_airflow(url, "metadatabase")


def check_serve(url: str) -> str:
    """Nothing, as soon as the API answers: with 503 it waits for the first model, which no restart brings."""
    try:
        with _OPENER.open(f"{url}/healthz", timeout=TIMEOUT_S):
            return ""
    except urllib.error.HTTPError as error:
        return "" if error.code == 503 else f"the API answers {error.code}"


def check_worker(broker: str) -> str:
    """Why the worker of this machine takes no tasks, or nothing."""
    from celery import Celery
    from kombu.exceptions import OperationalError

    name = f"celery@{os.environ.get('CARPIPE_CELERY') or socket.gethostname()}"
    try:
        with Celery(broker=broker) as app:
            answers = app.control.ping(destination=[name], timeout=TIMEOUT_S, limit=1)
    except OperationalError as error:
        return f"the queue cannot be reached: {error}"
    return "" if answers else f"no worker answers as {name}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
