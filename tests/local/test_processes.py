"""Processes are found by their mark, and stopped with everything they started."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from carpipe.local import processes

SLEEP = "import time; time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); {SLEEP}"
# A grandchild in a session of its own, as task runners start them.
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEP!r}], start_new_session=True)"

Start = Callable[[str], int]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    def run(program: str) -> int:
        command = [sys.executable, "-c", program]
        return processes.spawn(command, folder=tmp_path, log=tmp_path / "log", env=dict(os.environ))

    yield run
    processes.stop(tmp_path, grace=0.0)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "waited for 10 s"
        time.sleep(0.02)


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_started_process_is_found_by_its_folder_alone(tmp_path: Path, start: Start) -> None:
    other = tmp_path / "other"
    other.mkdir()
    pid = start(SLEEP)
    assert processes.pids(tmp_path) == [pid]
    assert processes.pids(other) == []


def test_stop_reaches_a_grandchild_in_another_session(tmp_path: Path, start: Start) -> None:
    pid = start(PARENT)
    wait_until(lambda: len(processes.pids(tmp_path)) == 2)
    stopped = processes.stop(tmp_path)
    assert len(stopped) == 2
    assert pid in stopped
    assert not any(exists(process) for process in stopped if process == pid)
    assert processes.pids(tmp_path) == []


def test_stop_kills_what_ignores_the_polite_signal(tmp_path: Path, start: Start) -> None:
    pid = start(STUBBORN)
    wait_until(lambda: "ready" in processes.tail(tmp_path / "log"))
    assert processes.stop(tmp_path, grace=0.3) == [pid]
    assert not exists(pid)


def test_stop_leaves_other_services_alone(tmp_path: Path, start: Start) -> None:
    other = tmp_path / "other"
    other.mkdir()
    pid = start(SLEEP)
    assert processes.stop(other) == []
    assert processes.pids(tmp_path) == [pid]


def test_process_that_ended_by_itself_is_not_found(tmp_path: Path, start: Start) -> None:
    pid = start(SLEEP)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: processes.pids(tmp_path) == [])


def test_tail_is_the_last_lines_and_empty_without_a_log(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("one\ntwo\nthree\n")
    assert processes.tail(tmp_path / "log", lines=2) == "two\nthree"
    assert processes.tail(tmp_path / "nothing") == ""
