"""Start processes that outlive their starter, find them again, and stop them with all their children.

A service is known by its folder. Everything it starts inherits `CARPIPE_LOCAL=<folder>`, so that children
which left the process group or the session are still found, and a recycled process id is never mistaken
for ours. Reading that mark needs `/proc`: Linux, or WSL.
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

MARK = "CARPIPE_LOCAL"
GRACE_S = 15.0  # between SIGTERM and SIGKILL

# Python warns about a child that is forgotten while it runs; these are meant to outlive us.
_children: dict[int, subprocess.Popen[bytes]] = {}


def spawn(command: Sequence[str], *, folder: Path, log: Path, env: Mapping[str, str], umask: int = -1) -> int:
    """Start a command in a session of its own and return its process id.

    Args:
        command: the program, by absolute path, and its arguments.
        folder: the service it belongs to, and its working folder.
        log: where its output goes; an earlier log is replaced.
        env: its whole environment; the mark is added.
        umask: takes permissions from the files it makes; -1 leaves them to the caller's.
    """
    with log.open("wb") as output:
        child = subprocess.Popen(
            command,
            cwd=folder,
            env={**env, MARK: str(folder.resolve())},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=umask,
        )
    _children[child.pid] = child
    # Its environment appears a moment after it has begun; `pids` and `stop` look for the mark in it.
    deadline = time.monotonic() + 5.0
    while child.poll() is None and not _environment(child.pid)[1:] and time.monotonic() < deadline:
        time.sleep(0.001)
    return child.pid


def pids(folder: Path) -> list[int]:
    """The living processes of the service in that folder, the oldest ids first."""
    _reap()
    mark = f"{MARK}={folder.resolve()}".encode()
    candidates = (int(entry) for entry in os.listdir("/proc") if entry.isdecimal())
    return sorted(pid for pid in candidates if pid != os.getpid() and mark in _environment(pid))


def stop(folder: Path, *, grace: float = GRACE_S) -> list[int]:
    """Stop every process of the service and return once none is left; say which there were.

    They get SIGTERM and `grace` seconds to finish, then SIGKILL.
    """
    stopped = pids(folder)
    _signal(stopped, signal.SIGTERM)
    if not _gone_within(folder, stopped, grace):
        # Twice, since a process may have forked between the look and the signal.
        for _ in range(2):
            _signal(pids(folder), signal.SIGKILL)
            _gone_within(folder, stopped, 5.0)
    _reap()
    return stopped


def tail(log: Path, *, lines: int = 15) -> str:
    """The last lines of a log, for an error message; empty where there is no log."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # ended meanwhile, or somebody else's
        return []


def _signal(targets: Sequence[int], number: signal.Signals) -> None:
    for pid in targets:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _gone_within(folder: Path, known: Sequence[int], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    # A process that is ending loses its mark before its ports, so those we knew must be gone altogether.
    while pids(folder) or any(exists(pid) for pid in known):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def exists(pid: int) -> bool:
    """Whether the process lives; unlike `pids`, right from the start: its environment appears a moment later."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    # "pid (name) state ...", and the name may hold anything; a zombie (Z) has let go of everything.
    return fields.rpartition(")")[2].split()[0] != "Z"


def _reap() -> None:
    for pid in [pid for pid, child in _children.items() if child.poll() is not None]:
        del _children[pid]
