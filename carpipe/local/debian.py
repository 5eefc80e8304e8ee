"""PostgreSQL and Redis as Debian packages them, started as the Compose file says, on loopback.

Both begin empty: what is in them is Airflow's record of runs, and results are in the bucket.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from carpipe import scratch
from carpipe.errors import CarpipeError, InputError
from carpipe.local import processes, state
from carpipe.local.compose import Service
from carpipe.local.ports import LOOPBACK

USER = "postgres"  # whom it runs as where we are root; the package makes it
INSTALL = "install them with: apt-get install redis-server postgresql"


@dataclass(frozen=True)
class Programs:
    """Where the two servers are installed."""

    postgres: Path
    """The folder that holds initdb, postgres and createdb."""
    redis: Path


def find_programs() -> Programs:
    """The newest PostgreSQL, and Redis.

    Raises:
        InputError: one of them is not installed; says how to.
    """
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    found = shutil.which("initdb")
    postgres = folders[-1] if folders else Path(found).parent if found else None
    redis = shutil.which("redis-server")
    missing = [name for name, path in (("PostgreSQL", postgres), ("Redis", redis)) if path is None]
    if postgres is None or redis is None:
        raise InputError(f"The cluster needs {' and '.join(missing)}, not here yet: {INSTALL}")
    return Programs(postgres, Path(redis).parent)


def start_redis(service: Service, folder: Path, *, port: int, env: Mapping[str, str]) -> int:
    """Start Redis with an empty database in `<folder>/data`; returns its process id.

    Args:
        service: the Compose file's; its command is kept, and told where to listen.
        folder: of the service.
        port: on loopback.
        env: the rest of its environment, with a PATH that holds the program.
    """
    data = _empty(folder / "data")
    # A title would be written over the environment by which its process is found again.
    here = ["--port", str(port), "--bind", LOOPBACK, "--dir", str(data.resolve()), "--set-proc-title", "no"]
    command = ["/usr/bin/env", *service.command, *here]
    return processes.spawn(command, folder=folder, log=folder / "redis.log", env={**env, **service.environment})


def start_postgres(service: Service, folder: Path, *, port: int, env: Mapping[str, str]) -> int:
    """Start PostgreSQL with an empty cluster; returns its process id. See `start_redis`.

    It refuses to run as root and then runs as the user `postgres`.
    """
    data = _data_folder(folder)
    _initdb(data, service.environment, env)
    command = [
        "/usr/bin/env", *_as_user(), *service.command, "-D", str(data / "pg"), "-p", str(port),
        "-c", f"listen_addresses={LOOPBACK}", "-c", "unix_socket_directories=",
        "-c", "fsync=off",  # nothing in it outlives a stop
    ]  # fmt: skip
    return processes.spawn(command, folder=folder, log=folder / "postgres.log", env={**env, **service.environment})


def create_database(service: Service, *, port: int, env: Mapping[str, str]) -> None:
    """Make the database that the image makes by itself when it starts for the first time."""
    given = service.environment
    command = ["/usr/bin/env", "createdb", "-h", LOOPBACK, "-p", str(port), "-U", given["POSTGRES_USER"]]
    _run([*command, given["POSTGRES_DB"]], {**env, "PGPASSWORD": given["POSTGRES_PASSWORD"]})


def remove_data(folder: Path) -> None:
    """Remove PostgreSQL's files, wherever they lie."""
    here, elsewhere = data_folders(folder)
    shutil.rmtree(here, ignore_errors=True)
    if os.geteuid() == 0:
        scratch.remove_folder_of(USER, elsewhere)


def data_folders(folder: Path) -> tuple[Path, Path]:
    """Where PostgreSQL's files may lie; the second is for root, where the server's user cannot reach the first."""
    mark = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    return folder / "data", scratch.FOR_OTHER_USERS / f"carpipe-postgres-{mark}"


def _initdb(data: Path, given: Mapping[str, str], env: Mapping[str, str]) -> None:
    secret = data / "password"
    state.secret_file(secret, given["POSTGRES_PASSWORD"])
    if os.geteuid() == 0:
        shutil.chown(secret, USER, USER)
    options = ["--auth=scram-sha-256", f"--username={given['POSTGRES_USER']}", f"--pwfile={secret}"]
    command = ["initdb", "-D", str(data / "pg"), "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", *options]
    _run(["/usr/bin/env", *_as_user(), *command], env)
    secret.unlink()


def _as_user() -> list[str]:
    if os.geteuid() != 0:
        return []
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--"]


def _data_folder(folder: Path) -> Path:
    remove_data(folder)
    here, elsewhere = data_folders(folder)
    if os.geteuid() != 0:
        return _empty(here).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    reachable = subprocess.run([*_as_user(), "test", "-x", str(folder)], check=False).returncode == 0
    if not reachable:
        scratch.folder_for(USER, elsewhere)
        return elsewhere
    data = _empty(here)
    shutil.chown(data, USER, USER)
    return data.resolve()


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    return folder


def _run(command: list[str], env: Mapping[str, str]) -> None:
    done = subprocess.run(command, env=dict(env), cwd="/", capture_output=True, text=True, check=False)
    if done.returncode:
        raise CarpipeError(f"PostgreSQL could not be set up: {done.stderr.strip() or done.stdout.strip()}")
