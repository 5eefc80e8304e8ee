"""A task as a process of its own, in a session of its own, that can be killed, frozen and woken with its children."""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Protocol
from unittest.mock import patch

LIMIT_S = 600
# Libraries that may be loaded before a fork; TensorFlow may not.
LIBRARIES = ["carpipe.cli", "carpipe.photos", "carpipe.stages.clean", "carpipe.stages.identify", "openvino",
             "pandas", "pyarrow.parquet", "scipy.stats"]  # fmt: skip
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(LIBRARIES)


class Task(Protocol):
    """What the two below have in common; `returncode` is None while it runs."""

    pid: int

    @property
    def returncode(self) -> int | None: ...

    def end(self) -> tuple[str, str]:
        """Wait for it; what it printed and complained of."""

    def ends_within(self, seconds: float) -> bool: ...


class Forked:
    """Forked from a process that has the libraries loaded: its time goes into its work, and so do the kills."""

    def __init__(self, module: str, command: list[str], environment: dict[str, str]):
        self._folder = tempfile.TemporaryDirectory(prefix="chaos-task-")
        self._process = _forks.Process(target=_main, args=(module, command, environment, self._folder.name))
        self._process.start()
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        """As of a command."""
        return self._process.exitcode

    def end(self) -> tuple[str, str]:
        """Wait for it; what it printed and complained of."""
        self._process.join(LIMIT_S)
        said, complaints = (Path(self._folder.name, name) for name in ("out", "err"))
        texts = tuple(path.read_text() if path.exists() else "" for path in (said, complaints))
        self._folder.cleanup()
        return texts

    def ends_within(self, seconds: float) -> bool:
        """Wait that long; whether it has ended."""
        self._process.join(seconds)
        return self._process.exitcode is not None


class Wrapped:
    """Started from nothing, as a command under another one (`faketime`, `prlimit`) or in another environment."""

    def __init__(self, command: list[str], environment: dict[str, str]):
        self._process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """As of a command."""
        return self._process.returncode

    def end(self) -> tuple[str, str]:
        """Wait for it; what it printed and complained of."""
        return self._process.communicate(timeout=LIMIT_S)

    def ends_within(self, seconds: float) -> bool:
        """Wait that long; whether it has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.returncode is not None


def send(task: Task, number: signal.Signals) -> None:
    """A signal to a task and all its children."""
    try:
        os.killpg(task.pid, number)
    except ProcessLookupError:  # it has ended, or has no session of its own yet, and so no children
        with contextlib.suppress(ProcessLookupError):
            os.kill(task.pid, number)


def kill(task: Task) -> bool:
    """SIGKILL to a task and all its children, as the kernel or a lost machine does; False: it had ended before."""
    send(task, signal.SIGKILL)
    complaints = task.end()[1]
    assert task.returncode in (0, -signal.SIGKILL), complaints
    return task.returncode != 0


def _main(module: str, command: list[str], environment: dict[str, str], folder: str) -> None:
    """In the fork: a session of its own, its own environment and output, then the command."""
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    for name, number in (("out", 1), ("err", 2)):
        os.dup2(os.open(Path(folder, name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    run = main if module == "carpipe.cli" else main_of_one_run
    code = run(command)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main(command: list[str]) -> int:
    """`carpipe`, in a process that has done nothing yet."""
    from carpipe.cli import main

    return main(command)


def main_of_one_run(command: list[str]) -> int:
    """As the task of one DAG run: every attempt has the same run id, which a command makes from its clock."""
    with patch("carpipe.cli.step.now", lambda: "2026-01-02T00:00:00Z"):
        return main(command)


if __name__ == "__main__":
    sys.exit(main_of_one_run(sys.argv[1:]))
