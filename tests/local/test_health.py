"""Health checks against servers that say what they are told to say."""

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from carpipe.local import health
from carpipe.local.ports import free_ports

REPORT = {"metadatabase": {"status": "healthy"}, "scheduler": {"status": "unhealthy"}}


class Answers(http.server.BaseHTTPRequestHandler):
    """As Airflow answers, below /starting as one that cannot serve tasks yet; else with the status in the path."""

    def do_GET(self):  # the name that http.server asks for
        airflow = self.path.endswith("/api/v2/monitor/health")
        ready = {"/execution/health": 200, "/starting/execution/health": 503}.get(self.path)
        self.send_response(200 if airflow else ready or int(self.path.split("/")[1]))
        self.end_headers()
        self.wfile.write(json.dumps(REPORT if airflow else {}).encode())

    def log_message(self, *_):
        """Quietly."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(("part", "code"), [("metadatabase", 0), ("scheduler", 1), ("triggerer", 1)])
def test_a_part_of_airflow_is_as_well_as_the_server_says(url, part, code, capsys):
    assert health.main([part, url]) == code
    said = {"metadatabase": "", "scheduler": "scheduler is unhealthy\n", "triggerer": "triggerer is not there\n"}
    assert capsys.readouterr().err == said[part]


def test_the_api_server_is_well_once_it_is_ready_for_tasks(url, capsys):
    assert health.main(["api-server", url]) == 0
    assert health.main(["metadatabase", f"{url}/starting"]) == 0
    assert health.main(["api-server", f"{url}/starting"]) == 1
    assert capsys.readouterr().err == "api-server does not answer: HTTP Error 503: Service Unavailable\n"


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 0), (500, 1), (404, 1)])
def test_the_api_is_well_even_before_its_first_model(url, status, code):
    assert health.main(["serve", f"{url}/{status}"]) == code


def test_what_does_not_answer_is_not_well(capsys):
    assert health.main(["serve", f"http://127.0.0.1:{free_ports(1)[0]}"]) == 1
    assert "does not answer" in capsys.readouterr().err


def test_a_worker_without_its_queue_is_not_well(monkeypatch, capsys):
    monkeypatch.setenv("AIRFLOW__CELERY__BROKER_URL", f"redis://127.0.0.1:{free_ports(1)[0]}/0")
    assert health.main(["worker"]) == 1
    assert "the queue cannot be reached" in capsys.readouterr().err


def test_tasks_are_recorded_under_the_workers_name(monkeypatch):
    monkeypatch.setenv("CARPIPE_WORKER", "gpu-1")
    assert health.worker_name() == "gpu-1"


def test_checks_load_neither_airflow_nor_celery():
    code = "import sys, carpipe.local.health; print({'airflow', 'celery', 'pydantic'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
