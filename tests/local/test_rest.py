"""Airflow's API on SQLite now and then gives up a call that writes: it is made again, and starts one run."""

import http.server
import io
import json
import threading
import time

import pytest
from rich.console import Console

from carpipe.errors import CarpipeError, InputError
from carpipe.local import job, rest
from carpipe.local.rest import AirflowClient

LOCKED = (500, {"detail": "database is locked"})


class Airflow(http.server.BaseHTTPRequestHandler):
    """Gives the next of the server's answers to each call, and keeps what was asked."""

    def do_GET(self):
        data = json.dumps(self.server.told.pop(0)).encode()
        self.server.paths.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self):
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, body = (201, {"access_token": "t"}) if self.path == "/auth/token" else self.server.answers.pop(0)
        if self.path != "/auth/token":
            self.server.asked.append(said)
            time.sleep(self.server.silent.pop(0) if self.server.silent else 0)
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Airflow) as server:
        server.asked, server.told, server.paths, server.silent = [], [], [], []
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def client(server):
    with AirflowClient(f"http://127.0.0.1:{server.server_port}", user="u", password="p") as client:
        yield client


@pytest.mark.parametrize("second", [(200, {}), (409, {"detail": "there is such a run"})], ids=["made", "was made"])
def test_a_run_that_could_not_be_written_is_asked_for_again(server, client, second):
    server.answers = [LOCKED, second]
    run = client.trigger("prepare_dataset", {"a": 1})
    assert [one["dag_run_id"] for one in server.asked] == [run, run]


def test_a_server_that_goes_on_failing_is_told_of(server, client):
    server.answers = [LOCKED, LOCKED]
    with pytest.raises(CarpipeError, match="status 500: database is locked"):
        client.trigger("prepare_dataset", {})


def test_a_run_of_that_name_that_somebody_else_has_made_is_an_error(server, client):
    server.answers = [(409, {"detail": "there is such a run"})]
    with pytest.raises(InputError, match="there is such a run"):
        client.trigger("prepare_dataset", {})


def test_a_busy_server_is_waited_for_and_that_is_said(server, monkeypatch):
    monkeypatch.setattr(rest, "TIMEOUT_S", 0.2)
    said = []
    server.answers, server.silent = [(200, {}), (409, {"detail": "there is such a run"})], [0.5]
    with AirflowClient(f"http://127.0.0.1:{server.server_port}", user="u", password="p", tell=said.append) as client:
        run = client.trigger("prepare_dataset", {})
    assert [one["dag_run_id"] for one in server.asked] == [run, run]
    assert said == ["Airflow is busy and has not answered yet. Waiting for it ..."]


def test_a_server_that_never_answers_is_given_up(server, monkeypatch):
    monkeypatch.setattr(rest, "TIMEOUT_S", 0.1)
    monkeypatch.setattr(rest, "PATIENCE_S", 0.15)
    server.answers, server.silent = [(200, {})] * 9, [0.5] * 9
    with (
        AirflowClient(f"http://127.0.0.1:{server.server_port}", user="u", password="p") as client,
        pytest.raises(CarpipeError, match="does not answer: timed out"),
    ):
        client.trigger("prepare_dataset", {})


def test_a_run_that_was_interrupted_is_waited_for(server, client, monkeypatch):
    monkeypatch.setattr(job, "WAIT_S", 0.01)
    task = {"task_id": "clean", "rendered_map_index": "", "try_number": 1, "start_date": None, "end_date": None,
            "queue": "default", "hostname": ""}  # fmt: skip
    states = ("success", "running", None)
    tasks = [{**task, "map_index": number, "state": state} for number, state in enumerate(states)]
    earlier = {"dag_runs": [{"dag_run_id": "manual__1"}]}
    server.answers = []
    server.told = [earlier, {"task_instances": tasks, "total_entries": 3}, earlier, earlier, {"dag_runs": []}]
    console = Console(file=io.StringIO(), width=200)

    job._wait_for_earlier(client, "prepare_dataset", console)

    said = console.file.getvalue()
    assert said.count("An earlier run of prepare_dataset goes on, manual__1: 2 of its 3 tasks are left.") == 1
    assert "state=running&state=queued" in server.paths[0]
