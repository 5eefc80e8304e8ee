"""What runs on this machine, kept in `<home>/state.json`, so that a second start finds it again.

The file is a hint and never believed alone: a service counts as running only while each process it lists
is alive and carries the mark of the service's folder.
"""

import contextlib
import fcntl
import json
import logging
import os
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from carpipe.errors import InputError
from carpipe.local import processes
from carpipe.names import brief

log = logging.getLogger(__name__)

# Until a start says that it waits for another one.
PATIENCE_S = 1.0
SERVICES = ("airflow", "s3")  # in the order in which they are stopped: tasks need S3 until they end


@dataclass(frozen=True)
class Service:
    """One running service: its processes, where it listens, and what it was started with."""

    name: str
    pids: tuple[int, ...]
    port: int
    fingerprint: str
    """Equal for two starts that asked for the same thing."""


def running(home: Path) -> dict[str, Service]:
    """The services of this home that really run, by name."""
    found = (_service(entry) for entry in _read(home).values())
    return {service.name: service for service in found if _lives(home, service)}


def remember(home: Path, service: Service) -> None:
    """Note a service that has just been started."""
    _write(home, {**_read(home), service.name: asdict(service)})


def stop(home: Path, name: str, *, grace: float = processes.GRACE_S) -> bool:
    """Stop one service, whatever the file says of it; whether there was anything to stop."""
    stopped = processes.stop(home / name, grace=grace)
    entries = _read(home)
    if entries.pop(name, None) is not None:
        # On a full disk the note stays; it is checked against the living processes before anybody believes it.
        with contextlib.suppress(OSError):
            _write(home, entries)
    return bool(stopped)


def stop_all(home: Path) -> tuple[str, ...]:
    """Stop all services of this home and return the names of those that ran. Safe to repeat."""
    return tuple(name for name in SERVICES if stop(home, name))


@contextlib.contextmanager
def starting(home: Path) -> Iterator[None]:
    """Hold the home while a service starts, so that two commands do not start it twice.

    Who waits for another command says so after a second, and who holds the lock where the system tells.
    """
    private_home(home)
    path = home / "lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "rb+", buffering=0):
        with contextlib.suppress(PermissionError):  # of an earlier carpipe, under another account
            os.fchmod(descriptor, 0o600)  # who may open it may hold it
        speaker = threading.Timer(PATIENCE_S, _say_who_holds, (path, descriptor))
        speaker.daemon = True
        speaker.start()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        finally:
            speaker.cancel()
            speaker.join()  # it looks at the descriptor
        yield


def private_home(home: Path) -> None:
    """Make the folder of the local services, open to its owner alone; one that is there is closed to others.

    Raises:
        InputError: it belongs to another account, which could read and replace the secrets in it. Root may use it.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = home.stat()
    if found.st_uid != os.geteuid():
        if os.geteuid() == 0:  # in a container, or by sudo: it is closed to nobody who could get in before
            return
        raise InputError(
            f"{home} belongs to the user {found.st_uid}, who could read the secrets that are kept there. Remove it, "
            "or start in a folder that is yours."
        )
    if found.st_mode & 0o077:
        home.chmod(0o700)


def secret_file(path: Path, content: str) -> None:
    """Write a file that only its owner may read, replacing an earlier one in one step."""
    # A new name that nobody can have taken before, not even with a link.
    descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def _say_who_holds(path: Path, descriptor: int) -> None:
    holders = [_described(pid) for pid in _holders(os.fstat(descriptor))]
    who = " and ".join(holders) or "another process"
    log.warning("Waiting for %s, which %s holds: it may be starting the same service.", path, who)


def _holders(file: os.stat_result) -> list[int]:
    """The processes that hold a lock on the file, as far as the system tells."""
    device = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}:{file.st_ino}"
    try:
        lines = [line.split() for line in Path("/proc/locks").read_text(encoding="ascii").splitlines()]
    except OSError:
        return []
    # `1: FLOCK ADVISORY WRITE 4711 fe:01:1234 0 EOF`; an arrow after the number marks those that wait.
    return [int(line[4]) for line in lines if line[1] == "FLOCK" and line[5] == device]


def _described(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return f"process {pid}"
    return f"process {pid} ({brief(' '.join(words).strip())})"


def _lives(home: Path, service: Service) -> bool:
    return bool(service.pids) and set(service.pids) <= set(processes.pids(home / service.name))


def _service(entry: dict[str, Any]) -> Service:
    return Service(
        name=str(entry["name"]),
        pids=tuple(int(pid) for pid in entry["pids"]),
        port=int(entry["port"]),
        fingerprint=str(entry["fingerprint"]),
    )


def _read(home: Path) -> dict[str, dict[str, Any]]:
    try:
        content = json.loads((home / "state.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        # Nothing is lost with a broken file: the marks in /proc still find every process.
        return {}
    return content if isinstance(content, dict) else {}


def _write(home: Path, entries: dict[str, dict[str, Any]]) -> None:
    private_home(home)
    secret_file(home / "state.json", json.dumps(entries, indent=2) + "\n")
