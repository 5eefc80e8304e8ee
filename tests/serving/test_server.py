"""`carpipe serve` as a process, and `carpipe candidates`: what their users see."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx

from carpipe.cli import main
from carpipe.config import ServingConfig
from carpipe.local.ports import free_ports
from carpipe.serving.candidates import Candidates, Seen
from tests.serving.conftest import serving

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "carpipe.cli"]


def test_it_says_where_it_listens_and_ends_when_told_to(session, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CARPIPE_STORE": session.store.url}
    command = [*COMMAND, "--set", f"serving.cache={tmp_path}", "serve", "--port", "0"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as server:
        try:
            lines = iter(server.stderr.readline, "")
            address = next(
                found[1] for line in lines if (found := re.search(r"listening on (http://127\.0\.0\.1:\d+)", line))
            )
            health = httpx.get(f"{address}/healthz", trust_env=False)
            assert (health.status_code, health.json()["success"]) == (503, False)
        finally:
            server.send_signal(signal.SIGTERM)
            rest = server.stderr.read()

    assert server.returncode == 0
    assert "Traceback" not in rest


def test_health_has_a_port_of_its_own(session, cache):
    [port] = free_ports(1)
    with serving(session, cache, health_port=port) as client, contextlib.ExitStack() as stack:
        address = (client.base_url.host, client.base_url.port)
        for _ in range(110):
            stack.enter_context(socket.create_connection(address)).sendall(b"POST /predict HTTP/1.1\r\n")

        health = httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False)

        assert (health.status_code, health.json()["success"]) == (503, False)
        assert httpx.post(f"http://127.0.0.1:{port}/predict", trust_env=False).status_code == 404
        assert client.get("/healthz").status_code == 503


def test_a_port_that_is_taken_is_one_sentence(session, s3):
    command = [*COMMAND, "serve", "--port", s3.endpoint.rpartition(":")[2]]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CARPIPE_STORE": session.store.url}

    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 1
    assert re.fullmatch(
        r"carpipe: serving\.host and .*:\d+, cannot be listened on: Address already in use\.\n", done.stderr
    )


def test_candidates_are_downloaded_by_a_command(session, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CARPIPE_STORE", session.store.url)
    writer = Candidates(session.store, ServingConfig())
    writer.keep(
        Seen("0" * 32, "2026-03-01T10:00:00+00:00", b"jpeg", {"prediction": "a", "score": 1, "model": {"id": "m"}}),
        "right",
        client="a",
    )
    writer.close()

    assert main(["candidates", str(tmp_path / "out")]) == 0

    assert capsys.readouterr().out == f"1 candidate in {tmp_path / 'out'}\n"
    assert (tmp_path / "out" / f"{'0' * 32}.jpg").read_bytes() == b"jpeg"
