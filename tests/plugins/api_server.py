"""A real Airflow API server with our DAGs and pages, and those who use it."""

import contextlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from carpipe.local import airflow
from carpipe.local.ports import free_ports
from carpipe.local.s3server import S3Settings
from carpipe.steps.session import Session
from tests.conftest import SAMPLE

ROOT = Path(__file__).parents[2]
ROLES = ("viewer", "user", "op", "admin")
START_S = 400  # on a machine that has other things to do
REFRESH, REFRESHED_S = b'http-equiv="refresh"', 60  # what a page says that is to be asked for again; how long it is


class Browser(httpx.Client):
    """Asks again for a page that says so, as browsers do: a dataset's photos are read when somebody first looks."""

    def get(self, *args: Any, **options: Any) -> httpx.Response:
        deadline = time.monotonic() + REFRESHED_S
        while REFRESH in (answer := super().get(*args, **options)).content and time.monotonic() < deadline:
            time.sleep(0.2)
        return answer


@contextlib.contextmanager
def api_server(session: Session, home: Path, *, path: str = "") -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    """Gives its address, and (method, path) of every route of the pages; `path` is that of Airflow behind a proxy.

    Its environment has no credentials of the bucket: see `add_connection`. A user is named for the role, and so is
    the password.
    """
    [port] = free_ports(1)
    settings = airflow.airflow_cfg(home, dags=ROOT / "dags", plugins=ROOT / "plugins", port=port)
    (home / "airflow.cfg").write_text(settings)
    (home / "passwords.json").write_text(json.dumps({role: role for role in ROLES}))
    variables = {
        "AIRFLOW_API_APPS": "core",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{role}:{role}" for role in ROLES),
        "CARPIPE_STORE": session.store.url,
        "CARPIPE_CONFIG": str(SAMPLE),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}:{ROOT / 'dags'}",
    }
    if path:
        variables["AIRFLOW__API__BASE_URL"] = f"http://127.0.0.1:{port}{path}"
    command = [sys.executable, str(Path(__file__).with_name("server.py")), str(port)]
    environment = airflow.process_environment(home, variables)
    environment = {name: value for name, value in environment.items() if not name.startswith("AWS_")}
    environment["AWS_EC2_METADATA_DISABLED"] = "true"
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}{path}"
        _wait(url, process, home / "server.log")
        said = re.search(r"^ROUTES (.*)$", (home / "server.log").read_text(), re.MULTILINE)
        yield url, [tuple(route) for route in json.loads(said[1])]
    finally:
        process.kill()
        process.wait()


def log_in(url: str, role: str) -> Browser:
    """A client with the cookie and the headers of a browser."""
    token = httpx.post(f"{url}/auth/token", json={"username": role, "password": role}, trust_env=False)
    cookies = {"_token": token.json()["access_token"]}
    headers = {"Origin": "/".join(url.split("/")[:3]), "Accept": "text/html"}
    return Browser(base_url=url, cookies=cookies, headers=headers, trust_env=False, timeout=30)


def add_connection(admin: httpx.Client, s3: S3Settings) -> None:
    """Store the credentials of the bucket as an Airflow connection, so that all pages are opened by it."""
    keys = s3.env()
    extra = {"region_name": "eu-central-1", "endpoint_url": s3.endpoint}
    connection = {"connection_id": "aws_default", "conn_type": "aws", "extra": json.dumps(extra)}
    connection |= {"login": keys["AWS_ACCESS_KEY_ID"], "password": keys["AWS_SECRET_ACCESS_KEY"]}
    admin.post("/api/v2/connections", json=connection).raise_for_status()


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/api/v2/version", trust_env=False).is_success:
                return
        time.sleep(0.2)
    raise RuntimeError(log.read_text()[-5000:])
