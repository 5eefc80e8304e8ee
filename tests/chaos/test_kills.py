"""`kill -9` of a task, its training process or the S3 server at any moment; a task that is frozen and wakes up late."""

import os
import signal
import time

import psutil
import pytest

from carpipe import manifest
from tests.chaos.bench import Bench, Recovered, Step, check_whole, picture
from tests.chaos.conftest import ROUNDS
from tests.chaos.task import kill, send

pytestmark = [pytest.mark.timeout(3600)]
# Trainings are few: they take long, and have tests of their own. The others as often as they cost little.
CHEAP = ("inventory", "clean", "filter", "identify", "classes", "split", "publish")
LATE = "too late: it had ended"
TRIES = 10  # a moment that comes after the end of the step is drawn again
ALL = (*CHEAP, *CHEAP, *CHEAP, "crop", "validate", "pack", "dataset")


def test_tasks_killed_at_random_moments_end_as_calm_ones(short, rng, note):
    for name in ("clean", "publish"):
        assert any(killed_task(short, name, rng, note) for _ in range(TRIES))


def test_a_server_killed_under_a_task_loses_nothing(short, rng, note):
    assert any(killed_server(short, "filter", rng, note) for _ in range(TRIES))


def test_a_frozen_task_that_wakes_up_late_changes_nothing(short, rng, note):
    assert any(frozen_task(short, "clean", rng, note) for _ in range(TRIES))


@pytest.mark.chaos
@pytest.mark.parametrize(("name", "rounds"), [("task", ROUNDS), ("server", ROUNDS // 3), ("frozen", ROUNDS // 5)])
def test_many_rounds(short, rng, note, name, rounds):
    harm = {"task": killed_task, "server": killed_server, "frozen": frozen_task}[name]
    for _ in range(rounds):
        step = rng.choice(ALL)
        assert any(harm(short, step, rng, note) for _ in range(TRIES)), f"{step} always ends before it is harmed"


@pytest.mark.chaos
@pytest.mark.parametrize("victim", ["task", "child", "evaluate", "package", "gate"])
def test_killed_trainings(short, rng, note, victim):
    if victim == "child":
        assert any(killed_child(short, rng, note) for _ in range(TRIES))
    else:
        name = {"task": "train"}.get(victim, victim)
        assert any(killed_task(short, name, rng, note) for _ in range(TRIES))


def killed_task(bench: Bench, name: str, rng, note) -> bool:
    """Kill a task once or twice, then let it end; whether it was killed at all, or had ended each time."""
    bench.rehearse(name)
    calm = bench.calm[name]
    prefix = bench.fill(calm.before)
    moments = [rng.uniform(0.2, 1.05) * bench.seconds(name) for _ in range(rng.choice([1, 1, 2]))]
    killed = False
    for moment in moments:
        task = bench.start(prefix, calm.step, calm.keys)
        task.ends_within(moment)
        killed |= kill(task)
        check_whole(bench.store(prefix))
    recovered = finish(bench, prefix, calm.step)
    if not killed:
        bench.was_late(name)
    when = ", ".join(f"{moment:.2f} s" for moment in moments)
    note("kill -9 of a task", f"{name} at {when}", "equal" if killed else LATE, recovered)
    return killed


def started(bench: Bench, name: str, rng):
    """The calm run, the prefix, the moment to disturb it at in seconds, and the task that has just begun."""
    bench.rehearse(name)
    calm = bench.calm[name]
    prefix = bench.fill(calm.before)
    moment = rng.uniform(0.2, 1.0) * bench.seconds(name)
    return calm, prefix, moment, bench.start(prefix, calm.step, calm.keys)


def killed_server(bench: Bench, name: str, rng, note) -> bool:
    """Kill the server under a task and start it again; the task rides it out, or is tried again."""
    calm, prefix, moment, task = started(bench, name, rng)
    late = task.ends_within(moment)
    os.kill(bench.server.pid, signal.SIGKILL)
    bench.restart()
    complaints = task.end()[1]
    assert task.returncode == 0 or complaints.strip().splitlines()[-1].startswith("carpipe: s3://"), complaints
    check_whole(bench.store(prefix))
    recovered = finish(bench, prefix, calm.step)
    if task.returncode:
        print(complaints.strip().splitlines()[-1])
    outcome = "equal, the task was tried again" if task.returncode else "equal, the task rode it out"
    note("kill -9 of the S3 server", f"{name} at {moment:.2f} s", LATE if late else outcome, recovered)
    if late:
        bench.was_late(name)
    return not late


def frozen_task(bench: Bench, name: str, rng, note) -> bool:
    """Freeze a task, let another attempt do the work, and wake it up."""
    calm, prefix, moment, task = started(bench, name, rng)
    late = task.ends_within(moment)
    send(task, signal.SIGSTOP)
    try:
        recovered = finish(bench, prefix, calm.step)
        before = referred(bench, prefix)
    finally:
        send(task, signal.SIGCONT)
    task.end()
    store = bench.store(prefix)
    check_whole(store)
    assert picture(store) == calm.picture
    assert referred(bench, prefix) == before
    outcome = LATE if late else f"equal, it ended with {task.returncode}"
    note("SIGSTOP of a task, SIGCONT later", f"{name} at {moment:.2f} s", outcome, recovered)
    if late:
        bench.was_late(name)
    return not late


def killed_child(bench: Bench, rng, note) -> bool:
    """Kill the training process; its task says so, and the next attempt goes on from the last epoch."""
    bench.rehearse("train")
    calm = bench.calm["train"]
    step = calm.step
    prefix = bench.fill(calm.before)
    task = bench.start(prefix, step, calm.keys)
    child = training_child(task.pid)
    time.sleep(rng.uniform(0, 0.5) * calm.seconds)
    child.kill()
    complaints = task.end()[1]
    assert task.returncode == 0 or "trying again goes on from its last epoch" in complaints, complaints
    recovered = finish(bench, prefix, step)
    note("kill -9 of the training process", "train", "equal" if task.returncode else LATE, recovered)
    return task.returncode != 0


def finish(bench: Bench, prefix: str, step: Step) -> Recovered:
    """The retry: it must succeed, name what the calm run named, and leave what that left."""
    calm, began = bench.calm[step.name], time.monotonic()
    bench.run(prefix, step, calm.keys)
    seconds, store = time.monotonic() - began, bench.store(prefix)
    check_whole(store)
    assert picture(store) == calm.picture
    return Recovered(seconds, len(calm.picture))


def referred(bench: Bench, prefix: str) -> dict[str, str]:
    """Every object that a manifest refers to, with its etag, and the manifests and channels themselves."""
    store = bench.store(prefix)
    names = set(picture(store))
    for key in [name for name in names if name.endswith("/manifest.json")]:
        names |= {entry["key"] for entry in manifest.read(store, key).files.values()}
    return {info.key: info.etag for info in store.list_objects("") if info.key in names}


def training_child(pid: int) -> psutil.Process:
    """The process that trains, once it is there."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for child in psutil.Process(pid).children(recursive=True):
            if "carpipe.training.child" in child.cmdline():
                return child
        time.sleep(0.1)
    raise AssertionError("no training process within 120 s")
