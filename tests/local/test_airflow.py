"""A real Airflow: start, run a DAG with a mapped task over REST, read results, leave no process behind."""

import os
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from carpipe.errors import CarpipeError, InputError
from carpipe.local import airflow, rest, state

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TINY = '''
    """Doubles three numbers, and leaves a process in a session of its own behind."""
    import os, subprocess
    from airflow.sdk import dag, task

    @dag(schedule=None, params={"last": 3})
    def tiny():
        @task
        def numbers(params=None):
            subprocess.Popen(["sleep", "600"], start_new_session=True)
            return list(range(params["last"]))

        @task(map_index_template="number {{ task.op_kwargs['number'] }}")
        def double(number):
            return {"double": 2 * number, "from": os.environ["GIVEN"], "yolo": os.environ["YOLO_OFFLINE"]}

        double.expand(number=numbers())

    tiny()
'''
BROKEN = """
    from airflow.sdk import dag, task

    @dag(schedule=None)
    def broken():
        @task
        def fails():
            raise ValueError("the photo is upside down")

        fails()

    broken()
"""
UNREADABLE = "from airflow.sdk import dag\nimport a_module_that_is_not_there\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("airflow")
    (folder / "dags").mkdir()
    (folder / "dags" / "tiny.py").write_text(textwrap.dedent(TINY))
    (folder / "dags" / "broken.py").write_text(textwrap.dedent(BROKEN))
    (folder / "dags" / "unreadable.py").write_text(UNREADABLE)
    return folder


def start(folder: Path, *, port: int = 0, given: str = "the caller") -> airflow.AirflowServer:
    return airflow.start_airflow(
        folder / "local", dags=folder / "dags", plugins=folder / "plugins", port=port, env={"GIVEN": given}
    )


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[airflow.AirflowServer]:
    yield start(folder)
    state.stop_all(folder / "local")


@pytest.fixture(scope="module")
def client(server: airflow.AirflowServer) -> Iterator[rest.AirflowClient]:
    with server.client() as found:
        yield found


@pytest.fixture(scope="module")
def run(client: rest.AirflowClient) -> rest.DagRun:
    client.wait_for_dag("tiny")
    client.unpause("tiny")
    return client.wait_for_run("tiny", client.trigger("tiny", {"last": 4}), timeout=90)


def marked(mark: str) -> list[str]:
    """The command lines of processes with that in their environment, found without carpipe's help."""
    found = []
    for entry in filter(str.isdecimal, os.listdir("/proc")):
        try:
            if mark.encode() in Path(f"/proc/{entry}/environ").read_bytes():
                found.append(Path(f"/proc/{entry}/cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def test_run_with_parameters_succeeds(run: rest.DagRun) -> None:
    assert run.state == "success"
    assert run.finished
    assert run.start is not None
    assert run.end is not None
    assert run.start < run.end


def test_task_instances_come_in_order_over_several_pages(
    client: rest.AirflowClient, run: rest.DagRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "PAGE", 2)
    tasks = client.task_instances("tiny", run.run_id)
    assert [(task.task_id, task.map_index, task.label, task.state, task.try_number) for task in tasks] == [
        ("double", 0, "number 0", "success", 1),
        ("double", 1, "number 1", "success", 1),
        ("double", 2, "number 2", "success", 1),
        ("double", 3, "number 3", "success", 1),
        ("numbers", -1, "", "success", 1),
    ]


def test_returned_values_and_the_environment_of_tasks(client: rest.AirflowClient, run: rest.DagRun) -> None:
    assert client.xcom("tiny", run.run_id, "numbers") == [0, 1, 2, 3]
    double = client.xcom("tiny", run.run_id, "double", map_index=3)
    assert double == {"double": 6, "from": "the caller", "yolo": "true"}


def test_log_of_a_failed_task_ends_with_its_error(client: rest.AirflowClient) -> None:
    client.wait_for_dag("broken")
    client.unpause("broken")
    run = client.wait_for_run("broken", client.trigger("broken", {}), timeout=60)
    assert run.state == "failed"
    (task,) = client.task_instances("broken", run.run_id)
    assert "ValueError: the photo is upside down" in client.task_log("broken", run.run_id, task)


def test_unreadable_dag_file_is_named_with_the_reason(client: rest.AirflowClient) -> None:
    with pytest.raises(InputError, match=r"(?s)unreadable\.py.*a_module_that_is_not_there"):
        client.wait_for_dag("unreadable", timeout=5)
    (failure,) = client.import_errors()
    assert failure.file.endswith("unreadable.py")


def test_expired_login_is_renewed(client: rest.AirflowClient, run: rest.DagRun) -> None:
    client._http.headers["Authorization"] = "Bearer expired"
    assert client.dag_run("tiny", run.run_id).state == "success"


def test_errors_say_what_was_asked_and_what_came(server: airflow.AirflowServer, client: rest.AirflowClient) -> None:
    with pytest.raises(InputError, match=r"dags/nothing/dagRuns: .*not found"):
        client.trigger("nothing", {})
    with (
        rest.AirflowClient(server.url, user="admin", password="wrong") as stranger,
        pytest.raises(InputError, match="refuses"),
    ):
        stranger.import_errors()


def test_client_of_no_airflow_says_so() -> None:
    with (
        rest.AirflowClient("http://127.0.0.1:1", user="admin", password="") as nobody,
        pytest.raises(CarpipeError, match=r"Airflow at http://127.0.0.1:1 does not answer"),
    ):
        nobody.import_errors()


def test_only_the_page_listens_and_only_on_loopback(server: airflow.AirflowServer) -> None:
    inodes = set()
    for pid in server.pids:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            target = os.readlink(link) if link.is_symlink() else ""
            inodes.add(target.removeprefix("socket:[").removesuffix("]"))
    rows = [row.split() for table in ("tcp", "tcp6") for row in Path(f"/proc/net/{table}").read_text().splitlines()]
    listening = {row[1] for row in rows if row[3] == "0A" and row[9] in inodes}
    assert listening == {f"0100007F:{server.port:04X}"}


def test_second_start_finds_the_running_airflow(folder: Path, server: airflow.AirflowServer) -> None:
    again = start(folder)
    assert again.reused
    assert again.pids == server.pids


@pytest.mark.usefixtures("server")
def test_running_airflow_is_not_taken_for_one_with_other_settings(folder: Path) -> None:
    with pytest.raises(InputError, match=r"already runs .* with other settings"):
        start(folder, given="somebody else")


def test_secrets_are_private(server: airflow.AirflowServer) -> None:
    for name in ("airflow.cfg", "airflow.db", "passwords.json", "secrets.json"):
        assert (server.logs / name).stat().st_mode & 0o777 == 0o600, name


@pytest.mark.usefixtures("run")
def test_stop_leaves_no_process(server: airflow.AirflowServer) -> None:
    mark = f"CARPIPE_LOCAL={server.logs.resolve()}"
    commands = marked(mark)
    assert any("sleep 600" in command for command in commands), "the task's own session should still be there"
    assert len(commands) > len(server.pids)
    server.stop()
    assert marked(mark) == []
    assert state.running(server.home) == {}
