"""`make cluster` on a small world: Celery, Redis and PostgreSQL from the Compose file, work on three workers.

The bucket is one of the user's own, in which a car filter is live already: `make run`'s test trains one.
"""

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from uuid import uuid4

import pytest

from carpipe.errors import InputError
from carpipe.local import cluster, debian, rest
from carpipe.sample import draw_world
from carpipe.storage import Store
from tests.chaos.bench import live_car_filter
from tests.conftest import make_config
from tests.local.living import living
from tests.local.test_run import ROOT, SMALLER, _read, clean_environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(840)]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder that looks like the repository, with photos, labels and settings."""
    try:
        debian.find_programs()
    except InputError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("cluster")
    for name in ("dags", "plugins", "docker-compose.airflow.yml"):
        (folder / name).symlink_to(ROOT / name)
    draw_world(folder / "world", seed=9, listings=36)
    # The filter knows nothing and keeps everything; interiors have no vehicle.
    settings = SMALLER.replace("photos = 5000", "photos = 90") + "[filter]\nthreshold = 0.0\n"
    (folder / "small.toml").write_text(settings, encoding="utf-8")
    yield folder
    run(folder, "stop")


def run(folder, *arguments, **bucket):
    command = [sys.executable, "-m", "carpipe.local.cluster", *arguments]
    environment = {**clean_environment(), **bucket}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def done(place, s3):
    store = Store(make_config(f"s3://{s3.bucket}/{uuid4().hex[:12]}").store)
    live_car_filter(store)
    job = ["--raw", "world/raw", "--config", "small.toml", "--store", store.url]
    return run(place, "start", *job, "--without", "housekeeping", "serve", **s3.env())


def test_it_ends_in_published_weights(done):
    assert done.returncode == 0, done.stdout + done.stderr
    assert "classifier, generation 1" in done.stdout


def test_partitions_are_spread_over_the_workers_and_training_is_on_the_queue_gpu(done):
    rows = {row[1]: row for row in re.finditer(r"^(worker-\S+) +(\S+) +(\d+) +(.+)$", done.stdout, flags=re.MULTILINE)}
    assert {name: row[2] for name, row in rows.items()} == {
        "worker-1": "default",
        "worker-2": "default",
        "worker-gpu": "gpu",
    }
    for name in ("worker-1", "worker-2"):
        assert re.search("clean|filter_cars|crop", rows[name][4]), rows[name][0]
        assert "train" not in rows[name][4]
    assert rows["worker-gpu"][4].split(", ") == ["evaluate", "gate", "score", "train"]


def test_all_listen_on_loopback_only(place, done):
    if not shutil.which("ss"):
        pytest.skip("there is no `ss` here")
    ours = {int(path.parent.name) for path in Path("/proc").glob("[0-9]*/environ") if mark(place) in _read(path)}
    rows = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=False).stdout.splitlines()
    listening = [row.split()[3] for row in rows if {int(pid) for pid in re.findall(r"pid=(\d+)", row)} & ours]
    assert [address for address in listening if not address.startswith("127.0.0.1:")] == []
    assert len(listening) >= 2


def test_stop_leaves_no_process_and_no_database(place, done):
    assert {"redis-server", "postgres"} <= set(living(*homes(place)))

    stopped = run(place, "stop")

    assert stopped.stdout.startswith("Stopped cluster airflow, cluster redis, cluster postgres.")
    assert [path.parent.name for path in Path("/proc").glob("[0-9]*/environ") if mark(place) in _read(path)] == []
    assert living(*homes(place)) == []
    assert not any(folder.exists() for folder in debian.data_folders(place / "local" / "cluster" / "postgres"))


def homes(place) -> list[Path]:
    folder = place / "local" / "cluster"
    return [folder, *debian.data_folders(folder / "postgres")]


def mark(place) -> bytes:
    return f"CARPIPE_LOCAL={place / 'local' / 'cluster'}".encode()


def test_what_is_not_installed_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(debian.shutil, "which", lambda name: None)
    with pytest.raises(InputError, match=r"needs .*Redis.*: apt-get install redis-server postgresql"):
        debian.find_programs()


def test_tasks_are_counted_by_the_worker_that_ran_them():
    tasks = [
        rest.TaskInstance(f"partition.{name}", 0, "", "success", 1, None, None, queue, host)
        for name, queue, host in [
            ("clean", "default", "b"),
            ("train", "gpu", "g"),
            ("clean", "default", "b"),
            ("x", "default", ""),
        ]
    ]
    assert cluster.spread(tasks) == [("b", "default", Counter(clean=2)), ("g", "gpu", Counter(train=1))]
