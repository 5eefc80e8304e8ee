"""`kill -9` of a task, its training process or the S3 server at any moment; a task that is frozen and wakes up late."""

import os
import signal
import subprocess
import time

import psutil
import pytest

from tests.chaos.bench import Bench, Step, check_whole, kill, picture
from tests.chaos.conftest import ROUNDS

pytestmark = [pytest.mark.timeout(3600)]
# Trainings are few: they take long, and have tests of their own.
CHEAP = ("inventory", "clean", "filter", "crop", "identify", "classes", "split", "validate", "pack", "dataset",
         "package", "gate", "publish")  # fmt: skip


def test_tasks_killed_at_random_moments_end_as_calm_ones(short, rng, note):
    for name in ("clean", "publish"):
        killed_task(short, name, rng, note)


def test_a_server_killed_under_a_task_loses_nothing(short, rng, note):
    killed_server(short, "filter", rng, note)


def test_a_frozen_task_that_wakes_up_late_changes_nothing(short, rng, note):
    frozen_task(short, "clean", rng, note)


@pytest.mark.chaos
def test_many_killed_tasks(full, rng, note):
    for _ in range(ROUNDS):
        killed_task(full, rng.choice(CHEAP), rng, note)


@pytest.mark.chaos
def test_many_killed_servers(full, rng, note):
    for _ in range(ROUNDS // 3):
        killed_server(full, rng.choice(CHEAP), rng, note)


@pytest.mark.chaos
def test_many_frozen_tasks(full, rng, note):
    for _ in range(ROUNDS // 5):
        frozen_task(full, rng.choice(CHEAP), rng, note)


@pytest.mark.chaos
@pytest.mark.parametrize("victim", ["task", "child", "evaluate"])
def test_killed_trainings(full, rng, note, victim):
    if victim == "child":
        killed_child(full, rng, note)
    else:
        killed_task(full, {"task": "train"}.get(victim, victim), rng, note)


def killed_task(bench: Bench, name: str, rng, note) -> None:
    """Kill a task once or twice, then let it end."""
    calm = bench.calm[name]
    step = calm.step
    prefix = bench.fill(calm.before)
    moments = [rng.uniform(0.2, 1.05) * calm.seconds for _ in range(rng.choice([1, 1, 2]))]
    ended = []
    for moment in moments:
        task = bench.start(prefix, step, calm.keys)
        ended.append(end_within(task, moment))
        kill(task)
        check_whole(bench.store(prefix))
    finish(bench, prefix, step)
    when = ", ".join(f"{moment:.2f} s" for moment in moments)
    note("kill -9 of a task", f"{name} at {when} of {calm.seconds:.1f} s", "equal" if not all(ended) else "too late")


def killed_server(bench: Bench, name: str, rng, note) -> None:
    """Kill the server under a task and start it again; the task rides it out, or is tried again."""
    calm = bench.calm[name]
    step = calm.step
    prefix = bench.fill(calm.before)
    moment = rng.uniform(0.2, 1.0) * calm.seconds
    task = bench.start(prefix, step, calm.keys)
    time.sleep(moment)
    os.kill(bench.server.pid, signal.SIGKILL)
    bench.restart()
    complaints = task.communicate(timeout=300)[1]
    assert task.returncode == 0 or complaints.strip().splitlines()[-1].startswith("carpipe: s3://"), complaints
    check_whole(bench.store(prefix))
    finish(bench, prefix, step)
    outcome = "equal, the task rode it out" if task.returncode == 0 else "equal, the task was tried again"
    note("kill -9 of the S3 server", f"{name} at {moment:.2f} s of {calm.seconds:.1f} s", outcome)


def frozen_task(bench: Bench, name: str, rng, note) -> None:
    """Freeze a task, let another attempt do the work, and wake it up."""
    calm = bench.calm[name]
    step = calm.step
    prefix = bench.fill(calm.before)
    moment = rng.uniform(0.2, 1.0) * calm.seconds
    task = bench.start(prefix, step, calm.keys)
    end_within(task, moment)
    os.killpg(task.pid, signal.SIGSTOP)
    try:
        finish(bench, prefix, step)
        before = referred(bench, prefix)
    finally:
        os.killpg(task.pid, signal.SIGCONT)
    task.communicate(timeout=300)
    store = bench.store(prefix)
    check_whole(store)
    assert picture(store) == calm.picture
    assert referred(bench, prefix) == before
    note("SIGSTOP of a task, SIGCONT later", f"{name} at {moment:.2f} s", f"equal, it ended with {task.returncode}")


def killed_child(bench: Bench, rng, note) -> None:
    """Kill the training process; its task says so, and the next attempt goes on from the last epoch."""
    calm = bench.calm["train"]
    step = calm.step
    prefix = bench.fill(calm.before)
    task = bench.start(prefix, step, calm.keys)
    child = training_child(task.pid)
    time.sleep(rng.uniform(0, 0.8) * calm.seconds)
    child.kill()
    complaints = task.communicate(timeout=300)[1]
    assert task.returncode == 0 or "trying again goes on from its last epoch" in complaints, complaints
    finish(bench, prefix, step)
    note("kill -9 of the training process", "train", "equal" if task.returncode else "too late")


def finish(bench: Bench, prefix: str, step: Step) -> None:
    """The retry: it must succeed, name what the calm run named, and leave what that left."""
    calm = bench.calm[step.name]
    bench.run(prefix, step, calm.keys)
    store = bench.store(prefix)
    check_whole(store)
    assert picture(store) == calm.picture


def referred(bench: Bench, prefix: str) -> dict[str, str]:
    """Every object that a manifest refers to, with its etag, and the manifests and channels themselves."""
    store = bench.store(prefix)
    seen = picture(store)
    return {info.key: info.etag for info in store.list_objects("") if info.key in seen}


def end_within(task: "subprocess.Popen[str]", seconds: float) -> bool:
    """Wait that long; whether the task has ended."""
    try:
        task.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def training_child(pid: int) -> psutil.Process:
    """The process that trains, once it is there."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for child in psutil.Process(pid).children(recursive=True):
            if "carpipe.training.child" in child.cmdline():
                return child
        time.sleep(0.1)
    raise AssertionError("no training process within 120 s")
