"""`make run` on a small world: three real DAG runs through a real Airflow, and nothing left behind."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from carpipe.local.ports import free_ports
from carpipe.local.rest import AirflowClient
from carpipe.sample import draw_world
from tests.local.living import living

pytestmark = [pytest.mark.slow, pytest.mark.timeout(840)]

ROOT = Path(__file__).parents[2]
SMALLER = (ROOT / "carpipe" / "sample" / "small.toml").read_text(encoding="utf-8")


def test_how_an_airflow_is_operated_is_handed_on_and_nothing_else_of_it():
    from carpipe.local.run import HANDED_ON

    names = [
        "AIRFLOW__LOGGING__REMOTE_LOGGING", "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER",
        "AIRFLOW__LOGGING__DELETE_LOCAL_LOGS", "AIRFLOW__METRICS__STATSD_ON", "AIRFLOW_CONN_SMTP_DEFAULT",
        "CARPIPE_NOTIFY_MAIL", "CARPIPE_STATSD",
    ]  # fmt: skip
    others = ["AIRFLOW__CORE__EXECUTOR", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "CARPIPE_CONFIG", "CARPIPE_STORE"]
    assert [name for name in names + others if HANDED_ON.fullmatch(name)] == names


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder that looks like the repository to `make run`, with photos, labels and settings."""
    folder = tmp_path_factory.mktemp("machine")
    for name in ("dags", "plugins"):
        (folder / name).symlink_to(ROOT / name)
    draw_world(folder / "world", seed=9, listings=36)
    (folder / "small.toml").write_text(SMALLER, encoding="utf-8")
    yield folder
    run(folder, "stop")


@pytest.fixture(scope="module")
def arguments(place):
    s3, ui = free_ports(2)
    world = place / "world"
    settings = ["--raw", world / "raw", "--labels", world / "labels.csv", "--config", place / "small.toml"]
    return ["start", "--s3-port", str(s3), "--ui-port", str(ui), *map(str, settings)]


def clean_environment():
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CARPIPE_"))}


def run(folder, *arguments):
    command = [sys.executable, "-m", "carpipe.local.run", *arguments]
    return subprocess.run(command, cwd=folder, env=clean_environment(), capture_output=True, text=True, check=False)


def airflow(done):
    """A client of the Airflow that a run has left."""
    url, user, password = re.search(r"Airflow: (\S+) \((\w+) / (\S+)\)", done.stdout).groups()
    return AirflowClient(url, user=user, password=password)


@pytest.fixture(scope="module")
def first(place, arguments):
    return run(place, *arguments)


def test_it_ends_in_published_weights(first):
    assert first.returncode == 0, first.stdout + first.stderr
    for stage in (
        "label set",
        "clean",
        "filter cars",
        "crop",
        "identify",
        "split",
        "validate",
        "pack",
        "evaluate",
        "publish",
    ):
        assert f"\n  {stage}" in first.stdout
    assert "classifier, generation 1" in first.stdout
    assert "asset_triggered__" in first.stdout
    assert "top-1" in first.stdout


def test_a_file_that_is_edited_changes_no_run_that_has_been_planned(place, first):
    """`classes` is cleared, as if it came only now: under other settings, it would make something else."""
    file, dag = place / "small.toml", "prepare_dataset"
    with airflow(first) as client:
        run_id = client.newest_run(dag)
        before = client.xcom(dag, run_id, "classes")
        file.write_text(SMALLER.replace("min_photos = ", "min_photos = 1"), encoding="utf-8")
        try:
            asked = {"dry_run": False, "dag_run_id": run_id, "task_ids": ["classes"], "only_failed": False}
            client._send("POST", f"/dags/{dag}/clearTaskInstances", body=asked)
            assert client.wait_for_run(dag, run_id, timeout=120).state == "success"
        finally:
            file.write_text(SMALLER, encoding="utf-8")
        task = next(one for one in client.task_instances(dag, run_id) if one.task_id == "classes")
        said = client.task_log(dag, run_id, task)
        assert task.try_number == 2
        assert client.xcom(dag, run_id, "classes") == before
    assert re.search(r"goes on with the settings that it was planned with: classes\.min_photos \d \(here 1\d\)", said)
    assert "clear the task `plan` and all that comes after it" in said


def test_a_second_run_reuses_everything_and_says_so(place, arguments, first):
    again = run(place, *arguments)

    assert again.returncode == 0, again.stdout + again.stderr
    lines = [line.split(" ", 3) for line in again.stdout.splitlines() if "nothing to do: all results are there" in line]
    assert sorted(line[2] for line in lines) == ["clean", "crop", "filter", "pack"]
    assert not re.search(r"\d/\d partitions ", again.stdout)
    for stage in ("identify", "classes", "split", "validate", "dataset"):
        assert re.search(rf"\n  {stage} .* unchanged, reused", again.stdout), stage
    assert "classifier, generation 1" in again.stdout


def test_a_failing_task_ends_the_run_with_its_reason(place, arguments, first):
    (place / "bad.toml").write_text(SMALLER.replace("sample:detector.pt", "nowhere.pt"), encoding="utf-8")

    failed = run(place, *[str(place / "bad.toml") if "small.toml" in item else item for item in arguments])

    assert failed.returncode == 1
    assert "prepare_dataset failed in plan" in failed.stdout
    assert "nowhere.pt" in failed.stdout


def test_a_misspelt_parameter_fails_the_run(first):
    with airflow(first) as client:
        model = "models/classifier/0/manifest.json"
        run = client.trigger("promote_weights", {"model": model, "chanel": "staging"})
        assert client.wait_for_run("promote_weights", run, timeout=120).state == "failed"
        [task] = client.task_instances("promote_weights", run)
        said = client.task_log("promote_weights", run, task)
    assert task.try_number == 1
    assert "This DAG has no parameter 'chanel'; did you mean 'channel'?" in said


def test_stop_leaves_no_process(place, first):
    assert len(living(place / "local")) > 4, "Airflow and the S3 server"

    stopped = run(place, "stop")

    assert "Stopped" in stopped.stdout
    assert json.loads((place / "local" / "state.json").read_text() or "{}") == {}
    mine = f"CARPIPE_LOCAL={place / 'local'}".encode()
    left = [path.parent.name for path in Path("/proc").glob("[0-9]*/environ") if mine in _read(path)]
    assert left == []
    assert living(place / "local") == []


def _read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""
