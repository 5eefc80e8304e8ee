"""Who is told what: by a real SMTP conversation on loopback, and by the requests that SNS gets."""

import asyncio
import email
import email.policy
import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import pytest

from carpipe.errors import InputError
from carpipe.steps.models.publish import promote
from carpipe.steps.session import Session
from tests import tiny


class Smtp(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as it takes to receive mail."""

    def handle(self) -> None:
        self.wfile.write(b"220 loopback\r\n")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = iter(self.rfile.readline, b".\r\n")
                self.server.received.append(b"".join(line.removeprefix(b".") for line in lines))
            elif verb == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            self.wfile.write(b"250 ok\r\n")


class Sns(BaseHTTPRequestHandler):
    """Keeps what is published."""

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.server.received.append({name: value for name, (value, *_) in form.items()})
        body = b"<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


def served(server: Any) -> Iterator[Any]:
    server.received = []
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def smtp(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A mail server, chosen by the environment."""
    for server in served(socketserver.TCPServer(("127.0.0.1", 0), Smtp)):
        extra = {"disable_ssl": True, "disable_tls": True, "from_email": "airflow@example.com", "retry_limit": 1}
        connection = {"conn_type": "smtp", "host": "127.0.0.1", "port": server.server_address[1], "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(connection))
        monkeypatch.setenv("CARPIPE_NOTIFY_MAIL", "ops@example.com, anna@example.com")
        yield server


@pytest.fixture
def sns(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A topic, chosen by the environment."""
    for server in served(HTTPServer(("127.0.0.1", 0), Sns)):
        extra = {"service_config": {"sns": {"endpoint_url": f"http://127.0.0.1:{server.server_port}"}}}
        connection = {"conn_type": "aws", "login": "A", "password": "B", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
        monkeypatch.setenv("CARPIPE_NOTIFY_SNS", "arn:aws:sns:eu-central-1:123456789012:cars")
        yield server


def failed(error: BaseException, **ti: Any) -> dict[str, Any]:
    """The context that a failed task's callback gets."""
    facts = {"dag_id": "prepare_dataset", "task_id": "inventory", "run_id": "manual__1", "map_index": -1, **ti}
    return {"ti": SimpleNamespace(log_url="http://airflow/log?try_number=4", **facts), "exception": error}


def read(raw: bytes) -> tuple[Any, str]:
    """A mail and its text."""
    message = email.message_from_bytes(raw, policy=email.policy.default)
    return message, message.get_body(("html",)).get_content()


def test_a_failure_is_mailed_with_reason_and_log(smtp: Any) -> None:
    from carpipe_airflow.notify import tell_failure

    tell_failure(failed(InputError("There are no photos under raw/ in s3://b; upload <them> {{ 7 * 7 }}.")))

    [raw] = smtp.received
    message, text = read(raw)
    assert message["Subject"] == "carpipe: prepare_dataset.inventory failed"
    assert message["To"] == "ops@example.com, anna@example.com"
    for said in ("prepare_dataset", "inventory", "manual__1", "http://airflow/log?try_number=4"):
        assert said in text
    # Neither mark-up nor a template: a reason may hold what uploaders have named their photos.
    assert "There are no photos under raw/ in s3://b; upload &lt;them&gt; {{ 7 * 7 }}." in text


def test_a_failure_goes_to_sns_in_its_region(sns: Any) -> None:
    from carpipe_airflow.notify import tell_failure

    tell_failure(failed(ValueError("é" * 10), task_id="x" * 120))

    [sent] = sns.received
    assert sent["TargetArn"] == "arn:aws:sns:eu-central-1:123456789012:cars"
    assert "ValueError: éééééééééé" in json.loads(sent["Message"])["default"]
    assert len(sent["Subject"]) < 100


def test_nobody_is_told_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    from carpipe_airflow import notify

    monkeypatch.setattr(notify, "_send", lambda *_: pytest.fail("somebody is told"))
    notify.tell_failure(failed(InputError("x")))


def test_where_the_mail_server_is_away_sns_is_told_and_the_task_goes_on(
    sns: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from carpipe_airflow.notify import tell_failure

    monkeypatch.setenv("CARPIPE_NOTIFY_MAIL", "ops@example.com")
    away = {"conn_type": "smtp", "host": "127.0.0.1", "port": 9, "extra": {"disable_ssl": True, "retry_limit": 1}}
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(away))

    tell_failure(failed(InputError("x")))

    assert len(sns.received) == 1


def test_a_setting_that_is_wrong_harms_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    from carpipe_airflow.notify import tell_failure

    monkeypatch.setenv("CARPIPE_DEADLINE_H", "soon")
    tell_failure(failed(InputError("x")))


@pytest.mark.parametrize(("already", "told"), [(0, 1), (2, 1), (3, 0)])
def test_an_outage_of_all_partitions_is_not_a_flood_of_mail(smtp: Any, already: int, told: int) -> None:
    from carpipe_airflow.notify import tell_failure

    tell_failure(failed(InputError("x"), map_index=7, get_ti_count=lambda **_: already))

    assert len(smtp.received) == told


def test_new_weights_are_told_with_figures_and_reason(smtp: Any, session: Session, running: Callable[..., Any]) -> None:
    from airflow.sdk import get_current_context

    from carpipe_airflow.notify import announce, tell_published

    model = tiny.publish(session, tiny.Tiny().files(), metrics={"test_accuracy": 0.9373})
    release = promote(session, "classifier", model.key, run="manual__1", at="2026-01-01", reason="better")
    with running(ti=SimpleNamespace(log_url="http://airflow/log")):
        announce(session, release)
        tell_published(get_current_context())

    message, text = read(smtp.received[0])
    assert message["Subject"] == "carpipe: new weights in channel classifier"
    for said in ("classifier, generation 1", "top-1 0.937", "better", model.key, "http://airflow/log"):
        assert said in text


def test_news_that_cannot_be_made_fail_nobody(smtp: Any, session: Session, running: Callable[..., Any]) -> None:
    from airflow.sdk import get_current_context

    from carpipe.weights.channel import Release
    from carpipe_airflow.notify import announce, tell_published

    with running():
        announce(session, Release("classifier", 1, "models/classifier/gone/manifest.json", "", "", ""))
        tell_published(get_current_context())
    assert smtp.received == []


def test_a_late_run_is_told_of_by_the_triggerer(smtp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from carpipe_airflow.notify import tell_late

    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com/")
    run = {"dag_id": "prepare_dataset", "dag_run_id": "scheduled__2026-01-01T01:00:00+00:00"}
    asyncio.run(tell_late({"dag_run": run, "deadline": {"deadline_time": "2026-01-01T21:00:00Z"}}))

    message, text = read(smtp.received[0])
    assert message["Subject"] == "carpipe: prepare_dataset is late"
    assert "2026-01-01T21:00:00Z" in text
    assert "https://airflow.example.com/dags/prepare_dataset/runs/scheduled__2026-01-01T01%3A00%3A00%2B00%3A00" in text
