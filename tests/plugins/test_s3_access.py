"""S3 credentials by an Airflow connection, on the real S3 server; the environment has none."""

import json
import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from uuid import uuid4

import pytest

from carpipe.config import StoreConfig
from carpipe.errors import AccessError, ConfigError
from carpipe.local.s3server import S3Settings
from carpipe.storage import Access, Store


def connection(**fields: Any) -> str:
    return json.dumps({"conn_type": "aws", **fields})


@pytest.fixture
def bare(s3: S3Settings, monkeypatch: pytest.MonkeyPatch) -> str:
    """A prefix of the bucket as a task finds it whose environment says nothing of S3."""
    for name in s3.env():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    url = f"s3://{s3.bucket}/{uuid4().hex[:12]}"
    monkeypatch.setenv("CARPIPE_STORE", url)
    return url


@pytest.fixture
def right(s3: S3Settings) -> dict[str, Any]:
    """The connection that opens the server."""
    env = s3.env()
    return {
        "login": env["AWS_ACCESS_KEY_ID"],
        "password": env["AWS_SECRET_ACCESS_KEY"],
        "extra": {"region_name": "eu-central-1", "endpoint_url": s3.endpoint},
    }


@pytest.mark.parametrize("name", ["aws_default", "bucket_of_cars"])
def test_a_task_opens_the_bucket_by_the_connection(
    name: str, bare: str, right: dict[str, Any], running: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from carpipe_airflow.task_session import open_task_session

    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", connection(**right))
    if name != "aws_default":
        monkeypatch.setenv("CARPIPE_S3_CONNECTION", name)
    with running():
        session = open_task_session()

    session.store.put("raw/a", b"photo")
    assert session.store.get("raw/a") == b"photo"
    assert session.store.access.region == "eu-central-1"


def test_without_a_connection_the_aws_chain_counts(
    s3: S3Settings, running: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from carpipe_airflow.task_session import open_task_session

    monkeypatch.setenv("CARPIPE_STORE", f"s3://{s3.bucket}/{uuid4().hex[:12]}")
    with running():
        assert open_task_session().store.access is None


def test_nothing_as_the_name_turns_connections_off(
    s3: S3Settings, right: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from carpipe_airflow.s3_access import find_access

    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection(**right))
    assert find_access() is not None
    monkeypatch.setenv("CARPIPE_S3_CONNECTION", "")
    assert find_access() is None


def test_a_named_connection_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from carpipe_airflow.s3_access import find_access

    monkeypatch.setenv("CARPIPE_S3_CONNECTION", "bucket_of_cars")
    with pytest.raises(ConfigError, match="no Airflow connection 'bucket_of_cars'"):
        find_access()


def test_a_connection_says_which_authority_to_trust_but_not_to_trust_all(
    right: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from carpipe_airflow.s3_access import find_access

    def verify(value: object) -> str:
        return connection(**{**right, "extra": {"endpoint_url": "https://s3.example", "verify": value}})

    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", verify("/etc/ssl/own.pem"))
    assert find_access().ca_bundle == "/etc/ssl/own.pem"
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", verify(True))
    assert find_access().ca_bundle == ""
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", verify(False))
    with pytest.raises(ConfigError, match="always verified"):
        find_access()
    right["extra"]["verify"] = False  # by http:// there is nothing to verify
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection(**right))
    assert find_access().ca_bundle == ""


@pytest.mark.usefixtures("bare")
def test_a_connection_without_credentials_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from carpipe_airflow.s3_access import find_access

    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection(extra={"region_name": "eu-central-1"}))
    with pytest.raises(AccessError, match="'aws_default' has no credentials"):
        find_access()


def test_no_secret_is_logged_or_shown(
    bare: str,
    right: dict[str, Any],
    running: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from carpipe_airflow.task_session import open_task_session

    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection(**right))
    with running():
        session = open_task_session()
    secrets = [right["password"], "wrong-and-secret"]
    shown = [repr(session), repr(session.store.access), str(vars(session.config))]
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection(**{**right, "password": secrets[1]}))

    with running(), pytest.raises(AccessError, match="check the connection's keys") as refused:
        open_task_session()

    shown += ["".join(traceback.format_exception(refused.value)), caplog.text]
    assert "eu-central-1" in caplog.text, "the log is looked at"
    assert not [secret for secret in secrets for text in shown if secret in text]


def test_a_fresh_process_gets_credentials_by_its_pipe(
    bare: str, right: dict[str, Any], running: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from carpipe.steps.models.gate import check_servable
    from carpipe_airflow.task_session import open_task_session
    from tests import tiny

    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection(**right))
    with running():
        session = open_task_session()
    model = tiny.publish(session, tiny.Tiny().files())

    assert "loads without TensorFlow" in check_servable(session, model.key)


def test_credentials_that_end_are_asked_for_again(bare: str, s3: S3Settings) -> None:
    env, asked = s3.env(), []

    def ask() -> dict[str, Any]:
        asked.append(1)
        return {
            "access_key_id": env["AWS_ACCESS_KEY_ID"],
            # The second time, somebody has changed them.
            "secret_access_key": env["AWS_SECRET_ACCESS_KEY"] if len(asked) == 1 else "changed",
            "token": None,
            "expires_at": datetime.now(UTC) + timedelta(seconds=1),
        }

    store = Store(StoreConfig(url=bare), access=Access(ask, endpoint=s3.endpoint))
    store.put("raw/a", b"photo")
    time.sleep(0.3)  # obstore does not ask within a tenth of a second

    with pytest.raises(AccessError, match="refuses these credentials"):
        store.get("raw/a")


class Sts(BaseHTTPRequestHandler):
    """Gives temporary credentials that last eleven minutes, numbered."""

    given = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).given += 1
        end = (datetime.now(UTC) + self.lasting).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = f"""<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
            <AccessKeyId>ASIA{self.given:016d}</AccessKeyId><SecretAccessKey>secret-{self.given}</SecretAccessKey>
            <SessionToken>token-{self.given}</SessionToken><Expiration>{end}</Expiration></Credentials>
            <AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/cars/x</Arn><AssumedRoleId>A:x</AssumedRoleId>
            </AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>""".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def sts() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), Sts) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("bare")
def test_a_role_is_assumed_again_before_its_credentials_end(sts: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from carpipe.s3_access import ASK_AGAIN
    from carpipe_airflow.s3_access import find_access

    extra = {
        "region_name": "eu-central-1",
        "role_arn": "arn:aws:iam::123456789012:role/cars",
        "service_config": {"sts": {"endpoint_url": f"http://127.0.0.1:{sts.server_port}"}},
    }
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection(login="A", password="B", extra=extra))
    # botocore renews what lasts less than ten minutes more.
    monkeypatch.setattr(Sts, "lasting", timedelta(minutes=9), raising=False)
    access = find_access()
    assert access is not None
    first, second = access.credentials(), access.credentials()

    assert (first["secret_access_key"], second["secret_access_key"]) == (
        f"secret-{Sts.given - 1}",
        f"secret-{Sts.given}",
    )
    assert second["token"] == f"token-{Sts.given}"
    assert timedelta(minutes=10) > ASK_AGAIN
    assert second["expires_at"] <= datetime.now(UTC) + timedelta(minutes=9)

    monkeypatch.setattr(Sts, "lasting", timedelta(hours=1), raising=False)
    assert access.credentials()["token"] == access.credentials()["token"], "not more often than needed"


def test_figures_go_where_airflow_sends_its_own(
    bare: str, right: dict[str, Any], running: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from carpipe_airflow.task_session import open_task_session

    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection(**right))
    monkeypatch.setenv("AIRFLOW__METRICS__STATSD_ON", "True")
    monkeypatch.setenv("AIRFLOW__METRICS__STATSD_HOST", "127.0.0.1")
    monkeypatch.setenv("AIRFLOW__METRICS__STATSD_PORT", "9125")
    with running():
        assert open_task_session().config.metrics.statsd == "127.0.0.1:9125"
    monkeypatch.setenv("CARPIPE_STATSD", "127.0.0.1:8125")
    with running():
        assert open_task_session().config.metrics.statsd == "127.0.0.1:8125"
