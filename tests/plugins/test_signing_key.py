"""The key that models are signed with, from an Airflow connection: only for tasks that sign, and nowhere else."""

import json
import logging

import pytest

from carpipe.errors import ConfigError
from carpipe.weights.signing_keys import load_key
from tests.makers import Authority, Maker


@pytest.fixture
def store(s3, monkeypatch):
    from uuid import uuid4

    monkeypatch.setenv("CARPIPE_STORE", f"s3://{s3.bucket}/{uuid4().hex[:12]}")
    monkeypatch.setenv("CARPIPE_S3_CONNECTION", "")


@pytest.fixture
def config(tmp_path, monkeypatch):
    path = tmp_path / "carpipe.toml"
    path.write_text("[signing]\nkey = 'connection:weights_key'\n")
    monkeypatch.setenv("CARPIPE_CONFIG", str(path))


def connect(monkeypatch, **fields):
    monkeypatch.setenv("AIRFLOW_CONN_WEIGHTS_KEY", json.dumps({"conn_type": "generic", **fields}))


def test_a_task_that_signs_gets_the_key_and_no_other_does(store, config, running, monkeypatch, tmp_path, caplog):
    from carpipe_airflow.task_session import open_task_session

    caplog.set_level(logging.DEBUG)
    ann = Maker(tmp_path, "ann")
    pem = ann.key.read_text()
    with_certificate = Authority(tmp_path).issue(ann).read_text()
    certificate = with_certificate[with_certificate.index("-----BEGIN CERT") :]
    for fields in (
        {"password": pem},
        {"password": pem.replace("\n", "\\n")},
        {"extra": {"private_key": pem}},
        {"password": pem, "extra": {"certificate": certificate}},
    ):
        connect(monkeypatch, **fields)
        with running():
            signs, other = open_task_session(signs=True), open_task_session()
        key = load_key(signs.config.signing, signs.signing_key)
        assert key.public == ann.public.read_bytes()
        assert len(key.certificates) == ("certificate" in fields.get("extra", {}))
        assert other.signing_key == b""
        assert pem.splitlines()[1] not in repr(signs) + repr(key) + str(signs.config) + caplog.text


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (None, "There is no Airflow connection 'weights_key', which signing.key names"),
        ({}, "holds no key to sign models with"),
        ({"password": "secret"}, "the connection 'weights_key' holds 0 private keys in PEM"),
    ],
)
def test_a_connection_that_has_none_is_said(store, config, running, monkeypatch, fields, message):
    from carpipe_airflow.task_session import open_task_session

    if fields is not None:
        connect(monkeypatch, **fields)

    def key():
        with running():
            session = open_task_session(signs=True)
        return load_key(session.config.signing, session.signing_key)

    with pytest.raises(ConfigError, match=message) as raised:
        key()
    assert "secret" not in str(raised.value)
