"""Airflow on this machine: LocalExecutor and SQLite, the page on loopback, everything under `<home>/airflow`.

It starts the four processes of `airflow standalone` itself, because `standalone` also opens two log
servers on all network interfaces and hides which part died. The settings are written to
`<home>/airflow/airflow.cfg` at each start, so `AIRFLOW_HOME=<home>/airflow airflow ...` on a command line
speaks to the same Airflow.
"""

import base64
import datetime
import hashlib
import importlib.metadata
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from carpipe.backports import UTC
from carpipe.errors import CarpipeError, InputError
from carpipe.local import health, processes, state
from carpipe.local.ports import LOOPBACK, free_ports, require_free
from carpipe.local.rest import AirflowClient

USER = "admin"
EVER = datetime.datetime.min.replace(tzinfo=UTC)
START_TIMEOUT_S = 180.0

# The API server takes longest to start, so it goes first. --skip-serve-logs: the page reads log files itself.
COMPONENTS: dict[str, tuple[str, ...]] = {
    "api-server": (),
    "scheduler": ("--skip-serve-logs",),
    "dag-processor": (),
    "triggerer": ("--skip-serve-logs",),
}

# How the libraries that tasks use keep quiet, stay offline, and install nothing.
TASK_ENV = {
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "MPLBACKEND": "Agg",
    "SCARF_ANALYTICS": "false",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "ULTRALYTICS_SAFE_LOAD": "true",
    "YOLO_AUTOINSTALL": "false",
    "YOLO_OFFLINE": "true",
}


@dataclass(frozen=True)
class AirflowServer:
    """An Airflow that is healthy, started by us now or found running."""

    home: Path
    port: int
    pids: tuple[int, ...]
    user: str
    password: str
    logs: Path
    """One log per process: `api-server.log`, `scheduler.log`, `dag-processor.log`, `triggerer.log`."""
    reused: bool

    @property
    def url(self) -> str:
        """The address of the page and of the REST API."""
        return f"http://{LOOPBACK}:{self.port}"

    def client(self, tell: Callable[[str], None] | None = None) -> AirflowClient:
        """A REST client that is logged in as the user; `tell` is for a sentence on what it waits for."""
        return AirflowClient(self.url, user=self.user, password=self.password, tell=tell)

    def stop(self) -> None:
        """Stop it with all running tasks, and wait until no process is left."""
        state.stop(self.home, "airflow")


@dataclass(frozen=True)
class _Secrets:
    fernet_key: str
    jwt_secret: str
    secret_key: str
    password: str


def start_airflow(home: Path, *, dags: Path, plugins: Path, port: int, env: Mapping[str, str]) -> AirflowServer:
    """Start the Airflow of this home, or find it running, and return once all its parts are healthy.

    Args:
        home: the folder of the local services; Airflow keeps to `<home>/airflow`, where tasks also run.
        dags: the folder of DAG files.
        plugins: the folder of plugins; may be missing.
        port: of the page on loopback; 0 takes any free one.
        env: variables for Airflow and its tasks, on top of ours. `AIRFLOW__SECTION__KEY` overrides a setting;
            those of the calling shell are not handed on.

    Raises:
        InputError: the port is taken, or Airflow already runs with other settings.
        CarpipeError: it does not start; the message ends with the log.
    """
    with state.starting(home):
        live = state.running(home).get("airflow")
        folder = home / "airflow"
        folder.mkdir(parents=True, exist_ok=True)
        port = port or (live.port if live else free_ports(1)[0])
        config = airflow_cfg(folder.resolve(), dags=dags.resolve(), plugins=plugins.resolve(), port=port)
        fingerprint = hashlib.sha256(json.dumps([config, sorted(env.items())]).encode()).hexdigest()
        if live is None:
            return _start(home, port, config, env, fingerprint)
        if live.fingerprint != fingerprint:
            raise InputError(
                f"Airflow already runs on port {live.port} with other settings than asked for now: "
                "stop it first (`make stop`)."
            )
        server = _server(home, live, reused=True)
        _wait(server, dict(zip(COMPONENTS, live.pids, strict=True)), EVER)
        return server


def _start(home: Path, port: int, config: str, env: Mapping[str, str], fingerprint: str) -> AirflowServer:
    folder = home / "airflow"
    processes.stop(folder)  # whatever is left of an Airflow that lost a part
    require_free(port, purpose="the Airflow page", setting="make run UI_PORT=8081")
    (folder / "yolo").mkdir(exist_ok=True)
    state.secret_file(folder / "airflow.cfg", config)
    state.secret_file(folder / "passwords.json", json.dumps({USER: _secrets(folder).password}))
    environment = process_environment(folder.resolve(), env)
    _migrate(folder, environment)
    began = datetime.datetime.now(UTC)
    try:
        pids = {name: _spawn(folder, name, environment) for name in COMPONENTS}
        service = state.Service("airflow", tuple(pids.values()), port, fingerprint)
        server = _server(home, service, reused=False)
        _wait(server, pids, began)
    except BaseException:
        processes.stop(folder)
        raise
    state.remember(home, service)
    return server


def _server(home: Path, service: state.Service, *, reused: bool) -> AirflowServer:
    folder = home / "airflow"
    return AirflowServer(
        home=home,
        port=service.port,
        pids=service.pids,
        user=USER,
        password=_secrets(folder).password,
        logs=folder,
        reused=reused,
    )


def _spawn(folder: Path, component: str, env: Mapping[str, str]) -> int:
    command = [_program(), component, *COMPONENTS[component]]
    return processes.spawn(command, folder=folder, log=folder / f"{component}.log", env=env)


def _program() -> str:
    program = Path(sys.executable).with_name("airflow")
    if not program.exists():
        raise InputError("Airflow is not installed here: install carpipe with its `airflow` extra.")
    return str(program)


def _migrate(folder: Path, env: Mapping[str, str]) -> None:
    """Make or upgrade the database. Takes 6 s, so it is done once per Airflow version."""
    version = importlib.metadata.version("apache-airflow")
    stamp, log = folder / "migrated", folder / "db-migrate.log"
    if (folder / "airflow.db").exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == version:
        return
    with log.open("wb") as output:
        done = subprocess.run(
            [_program(), "db", "migrate"],
            cwd=folder,
            env=env,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        raise CarpipeError(f"Airflow could not set up its database; the log ends:\n{processes.tail(log)}")
    (folder / "airflow.db").chmod(0o600)  # holds connections
    stamp.write_text(version, encoding="utf-8")


def _wait(server: AirflowServer, pids: Mapping[str, int], began: datetime.datetime) -> None:
    """Return once every part has given a sign of life since it began; raise as soon as one has ended.

    The database still holds the signs of an earlier start, so "healthy" alone proves nothing.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    with server.client() as client:
        while waiting := _not_ready(server, client, began):
            dead = [name for name, pid in pids.items() if not processes.exists(pid)]
            if dead or time.monotonic() > deadline:
                reason = f"{dead[0]} ended" if dead else f"{waiting[0]} was not healthy in {START_TIMEOUT_S:.0f} s"
                log = server.logs / f"{(dead or waiting)[0]}.log"
                raise CarpipeError(f"Airflow is not healthy: {reason}. {log} ends:\n{processes.tail(log)}")
            time.sleep(0.2)


def _not_ready(server: AirflowServer, client: AirflowClient, began: datetime.datetime) -> list[str]:
    """The components that are not. The API server gets ready for tasks while the others start."""
    try:
        health.check_api_server(server.url)
    except OSError:
        return ["api-server"]
    late = [part for part, beat in client.heartbeats().items() if beat is None or beat < began]
    return ["api-server" if part == "metadatabase" else part.replace("_", "-") for part in late]


def _secrets(folder: Path) -> _Secrets:
    """Made once, then kept, so that a browser stays logged in and stored connections stay readable."""
    path = folder / "secrets.json"
    if path.exists():
        return _Secrets(**json.loads(path.read_text(encoding="utf-8")))
    made = _Secrets(
        fernet_key=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        jwt_secret=secrets.token_urlsafe(48),
        secret_key=secrets.token_urlsafe(32),
        password=secrets.token_urlsafe(12),
    )
    state.secret_file(path, json.dumps(asdict(made)) + "\n")
    return made


def process_environment(folder: Path, env: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of an Airflow process on this machine, which its tasks inherit.

    Args:
        folder: `AIRFLOW_HOME`.
        env: what is set on top, and wins.
    """
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW__")}
    hosts = [os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or "", LOOPBACK, "localhost"]
    no_proxy = ",".join(filter(None, hosts))
    return {
        **inherited,
        **TASK_ENV,
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW_CONFIG": str(folder / "airflow.cfg"),
        "NO_PROXY": no_proxy,  # tasks call the API server, which a company's proxy cannot reach
        "no_proxy": no_proxy,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        # Processes that set their title would otherwise overwrite the environment that marks them as ours.
        "SPT_NOENV": "1",
        "YOLO_CONFIG_DIR": str(folder / "yolo"),
        **env,
    }


def airflow_cfg(folder: Path, *, dags: Path, plugins: Path, port: int) -> str:
    """The text of airflow.cfg, secrets included; what it leaves out keeps Airflow's default.

    Args:
        folder: `AIRFLOW_HOME`, where the secrets are made once and kept.
        dags, plugins: folders.
        port: of the API server on loopback.
    """
    keys = _secrets(folder)
    url = f"http://{LOOPBACK}:{port}"
    settings: dict[str, dict[str, object]] = {
        "core": {
            "executor": "LocalExecutor",
            "dags_folder": dags,
            "plugins_folder": plugins,
            "load_examples": False,
            "parallelism": 2,  # tasks at a time; the default forks 32 workers
            "fernet_key": keys.fernet_key,
            "simple_auth_manager_users": f"{USER}:admin",
            "simple_auth_manager_passwords_file": folder / "passwords.json",
            # Tasks talk to this; the default is port 8080 whatever the API server's port is.
            "execution_api_server_url": f"{url}/execution/",
            "hostname_callable": "socket.gethostname",  # the default asks the DNS
        },
        # Seven processes share the file: wait for a lock rather than fail after 5 s.
        "database": {"sql_alchemy_conn": f"sqlite:///{folder / 'airflow.db'}?timeout=60"},
        "api": {
            "host": LOOPBACK,
            "port": port,
            "base_url": url,
            "workers": 1,
            "secret_key": keys.secret_key,
        },
        "api_auth": {"jwt_secret": keys.jwt_secret},
        "scheduler": {
            "scheduler_idle_sleep_time": 0.3,  # seconds between two looks for work; the default is 1
            # Seconds until a task whose process was killed counts as failed, e.g. after a power cut.
            "task_instance_heartbeat_timeout": 120,
        },
        "dag_processor": {
            "refresh_interval": 15,  # seconds until a new file is seen
            # Seconds until a file is read again that has not changed: each reading costs a second of a core.
            "min_file_process_interval": 300,
            "parsing_processes": 1,
            "print_stats_interval": 3600,
        },
        "workers": {
            # When a task ends, its supervisor often misses that and looks again this many seconds later.
            # With short tasks, the default of 5 leaves workers idle for most of the time.
            "min_heartbeat_interval": 1,
            # Seconds for a call to the API server: a repeated call may be refused.
            "execution_api_timeout": 60,
            # So many heartbeats may fail in a row before the task is killed: a minute, for busy machines.
            "max_failed_heartbeats": 60,
        },
        "logging": {
            "base_log_folder": folder / "logs",
            "dag_processor_child_process_log_directory": folder / "logs" / "dag_processor",
            "namespace_levels": "http.access=WARNING",  # else a line for each heartbeat
            "colored_console_log": False,
        },
        "usage_data_collection": {"enabled": False},
    }
    return "\n".join(_section(name, options) for name, options in settings.items())


def _section(name: str, options: Mapping[str, object]) -> str:
    # A lone % would start an interpolation.
    lines = (f"{key} = {str(value).replace('%', '%%')}" for key, value in options.items())
    return "\n".join([f"[{name}]", *lines, ""])
