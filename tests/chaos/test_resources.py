"""Full disks, too little memory, a wrong clock, credentials that change: an error that says so, then a calm end."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.bench import Bench, check_whole, picture

pytestmark = [pytest.mark.timeout(900)]

HOUR = 3600


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A disk of its own; skips where this user may not mount one."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def harmed(
    bench: Bench, prefix: str, name: str, *wrapper: str, codes: tuple[int, ...] = (1,), **extra: str
) -> tuple[str, int]:
    """Run a step that must fail; returns what it said and its exit code, having seen that nothing is half visible."""
    calm = bench.calm[name]
    task = bench.start(prefix, calm.step, calm.keys, *wrapper, **extra)
    complaints = task.end()[1].strip()
    assert task.returncode in codes, complaints
    check_whole(bench.store(prefix))
    return complaints, task.returncode


def last_line(said: tuple[str, int]) -> str:
    return said[0].splitlines()[-1]


def finish(bench: Bench, prefix: str, name: str) -> None:
    """The retry after the trouble is over."""
    calm = bench.calm[name]
    bench.run(prefix, calm.step, calm.keys)
    check_whole(bench.store(prefix))
    assert picture(bench.store(prefix)) == calm.picture


def test_a_full_folder_for_temporary_files_is_named(short, tmp_path, note):
    prefix = short.fill(short.calm["filter"].before)
    with small_disk(tmp_path / "tmp", "16k") as folder:
        said = last_line(harmed(short, prefix, "filter", TMPDIR=str(folder)))

    assert said.startswith("carpipe: The disk is full")
    finish(short, prefix, "filter")
    note("full disk under TMPDIR", "filter", "one sentence, then equal")


@pytest.mark.parametrize("limit", [600_000_000, 1_000_000_000])
def test_too_little_memory_is_said_and_more_of_it_helps(short, note, limit):
    """The smaller limit is too little to load the libraries, the larger one for the threads that fetch photos.

    Where it is the S3 library (Rust) that gets none, that ends the process: an abort, which Airflow tries again.
    """
    prefix = short.fill(short.calm["clean"].before)

    said, code = harmed(short, prefix, "clean", "prlimit", f"--as={limit}", codes=(1, -signal.SIGABRT))

    if code == 1:
        assert said.splitlines()[-1].startswith("carpipe: There is not enough memory")
    else:
        assert "memory allocation of" in said
    finish(short, prefix, "clean")
    note("too little memory", "clean", f"{'one sentence' if code == 1 else 'aborted'}, then equal")


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_clock_that_is_wrong_is_named(short, note, jump):
    if not shutil.which("faketime"):
        pytest.skip("no faketime here: apt-get install faketime")
    prefix = short.fill(short.calm["filter"].before)

    said = last_line(harmed(short, prefix, "filter", "faketime", "-f", f"{jump:+d}s", FAKETIME_DONT_FAKE_MONOTONIC="1"))

    assert "clock" in said
    finish(short, prefix, "filter")
    note("clock an hour wrong", f"filter, {jump:+d} s", "one sentence, then equal")


@pytest.mark.chaos
def test_a_full_disk_of_the_server_is_named_and_room_helps(short, tmp_path, note):
    with small_disk(tmp_path / "disk", "96m") as folder:
        bench = Bench(folder)
        try:
            bench.calm = short.calm
            bench.settings = {**short.settings, "store.max_retries": 2}
            prefix = bench.fill(bench.calm["clean"].before)
            ballast = folder / "ballast"
            fill_up(ballast)
            said = last_line(harmed(bench, prefix, "clean"))
            assert "has its disk room?" in said
            ballast.unlink()
            finish_once_writable(bench, prefix, "clean", note)
        finally:
            bench.server.stop()


@pytest.mark.chaos
def test_credentials_that_change_under_a_task_are_named(short, raw, tmp_path, note):
    bench = Bench(tmp_path)
    try:
        bench.calm, bench.settings = short.calm, short.settings
        calm = bench.calm["clean"]
        prefix = bench.fill(calm.before)
        task = bench.start(prefix, calm.step, calm.keys)
        time.sleep(0.5 * calm.seconds)
        os.kill(bench.server.pid, signal.SIGKILL)
        change_credentials(bench)
        bench.restart()
        complaints = task.end()[1]
        assert task.returncode == 1
        assert "refuses these credentials" in complaints.strip().splitlines()[-1]
        finish(bench, prefix, "clean")
    finally:
        bench.server.stop()
    note("credentials changed under a task", "clean", "one sentence, then equal")


def change_credentials(bench: Bench) -> None:
    """Those that the server takes when it starts next."""
    path = bench.home / "s3" / "settings.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "access_key": "OTHER", "secret_key": "o" * 40}))


def fill_up(path: Path) -> None:
    """Write until the disk is full."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(b"\0" * 65_536):
            pass


def finish_once_writable(bench: Bench, prefix: str, name: str, note) -> None:
    """A server whose disk was full may look away for a moment, or need to be started again."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        calm = bench.calm[name]
        task = bench.start(prefix, calm.step, calm.keys)
        task.end()
        if task.returncode == 0:
            finish(bench, prefix, name)
            note("full disk of the S3 server", name, "one sentence, then equal")
            return
    os.kill(bench.server.pid, signal.SIGKILL)
    bench.restart()
    finish(bench, prefix, name)
    note("full disk of the S3 server", name, "one sentence, then equal once the server was started again")
