"""Airflow's API on SQLite now and then gives up a call that writes: it is made again, and starts one run."""

import http.server
import json
import threading

import pytest

from carpipe.errors import CarpipeError, InputError
from carpipe.local.rest import AirflowClient

LOCKED = (500, {"detail": "database is locked"})


class Airflow(http.server.BaseHTTPRequestHandler):
    """Gives the next of the server's answers to each call, and keeps what was asked."""

    def do_POST(self):
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, body = (201, {"access_token": "t"}) if self.path == "/auth/token" else self.server.answers.pop(0)
        if self.path != "/auth/token":
            self.server.asked.append(said)
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
        server.asked = []
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
