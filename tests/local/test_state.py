"""The state file is a hint: only living, marked processes count."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from carpipe.errors import InputError
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


def test_files_with_secrets_are_written_into_no_draft_that_somebody_else_has_made(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("theirs")
    draft = tmp_path / f".secret.{os.getpid()}"
    draft.symlink_to(victim)
    state.secret_file(tmp_path / "secret", "mine")
    assert victim.read_text() == "theirs"
    assert draft.is_symlink()
    assert not (tmp_path / "secret").is_symlink()
    assert (tmp_path / "secret").read_text() == "mine"


def test_a_secret_that_cannot_be_written_leaves_no_draft(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        state.secret_file(tmp_path / "secret", "\ud800")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("no_umask")
def test_the_home_and_its_lock_are_closed_to_others(tmp_path: Path) -> None:
    with state.starting(tmp_path / "new"):
        assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "new" / "lock").stat().st_mode & 0o777 == 0o600


def test_a_home_that_was_open_is_closed(tmp_path: Path) -> None:
    home = tmp_path / "old"
    home.mkdir()
    home.chmod(0o777)
    (home / "lock").touch()
    (home / "lock").chmod(0o666)
    with state.starting(home):
        assert home.stat().st_mode & 0o777 == 0o700
        assert (home / "lock").stat().st_mode & 0o777 == 0o600


def test_a_home_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    refused = pytest.raises(InputError, match=r"belongs to the user \d+, who could read .* Remove it")
    with refused, state.starting(tmp_path):
        pass


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"), state.starting(tmp_path):
        pass
    assert not (tmp_path / "victim").exists()


def test_who_waits_for_the_lock_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(state, "PATIENCE_S", 0.0)
    hold = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print('held', flush=True); input()"
    command = [sys.executable, "-c", hold, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdin
        holder.stdout.readline()
        entered = threading.Event()

        def start() -> None:
            with state.starting(tmp_path):
                entered.set()

        waiting = threading.Thread(target=start)
        waiting.start()
        end = time.monotonic() + 30
        while not caplog.messages and time.monotonic() < end:
            waiting.join(0.01)
        early = entered.is_set()
        holder.stdin.close()
        waiting.join()
    assert not early
    assert entered.is_set()
    [said] = caplog.messages
    assert said.startswith(f"Waiting for {tmp_path / 'lock'}, which ")
    assert f"process {holder.pid} (" in said or "which another process holds" in said  # not all file systems tell


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_command_line_forges_no_line(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "input()", "a\n\x1b[31mb"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as other:
        said = state._described(other.pid)
    assert "\n" not in said
    assert "\x1b" not in said
