"""The state file is a hint: only living, marked processes count."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from carpipe.local import processes, state

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[state.Service]:
    folder = tmp_path / "s3"
    folder.mkdir()
    pid = processes.spawn(SLEEP, folder=folder, log=folder / "log", env=dict(os.environ))
    yield state.Service(name="s3", pids=(pid,), port=8333, fingerprint="bucket")
    processes.stop(folder)


def test_remembered_service_is_running_until_it_is_stopped(tmp_path: Path, service: state.Service) -> None:
    state.remember(tmp_path, service)
    assert state.running(tmp_path) == {"s3": service}
    assert state.stop_all(tmp_path) == ("s3",)
    assert state.running(tmp_path) == {}


def test_stopping_again_stops_nothing(tmp_path: Path, service: state.Service) -> None:
    state.remember(tmp_path, service)
    state.stop_all(tmp_path)
    assert state.stop_all(tmp_path) == ()


def test_stopping_where_nothing_ever_ran(tmp_path: Path) -> None:
    assert state.stop_all(tmp_path / "nowhere") == ()
    assert not (tmp_path / "nowhere").exists()


def test_somebody_elses_process_id_is_not_believed(tmp_path: Path) -> None:
    # As after a reboot: the id of the file is in use, by a process that is not ours (here, this test).
    state.remember(tmp_path, state.Service(name="s3", pids=(os.getpid(),), port=8333, fingerprint="bucket"))
    assert state.running(tmp_path) == {}
    assert state.stop_all(tmp_path) == ()


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_broken_file_does_not_hide_running_processes(tmp_path: Path, service: state.Service, content: str) -> None:
    state.remember(tmp_path, service)
    (tmp_path / "state.json").write_text(content)
    assert state.running(tmp_path) == {}
    assert state.stop_all(tmp_path) == ("s3",)


def test_files_with_secrets_are_private_from_the_start(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o644)
    state.secret_file(path, "new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
