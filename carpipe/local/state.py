"""What runs on this machine, kept in `<home>/state.json`, so that a second start finds it again.

The file is a hint and never believed alone: a service counts as running only while each process it lists
is alive and carries the mark of the service's folder.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from carpipe.local import processes

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


def stop(home: Path, name: str) -> bool:
    """Stop one service, whatever the file says of it; whether there was anything to stop."""
    stopped = processes.stop(home / name)
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
    """Hold the home while a service starts, so that two commands do not start it twice."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def secret_file(path: Path, content: str) -> None:
    """Write a file that only its owner may read, replacing an earlier one in one step."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
    draft.replace(path)


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
    home.mkdir(parents=True, exist_ok=True)
    secret_file(home / "state.json", json.dumps(entries, indent=2) + "\n")
