"""A line for each request on standard error, with nothing in it that somebody wrote into a photo or into feedback."""

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from carpipe.config import ServingConfig
from carpipe.serving.app import body_limits
from tests.serving.conftest import post, ready, serving, wait_for
from tests.serving.wire import HOST, tell

LOG = "carpipe.serving.request_log"


@pytest.fixture
def lines(caplog):
    """Waits for so many lines and returns them: they are written after the answers."""
    caplog.set_level(logging.INFO, logger=LOG)

    def said():
        return [one.message for one in caplog.records if one.name == LOG]

    def wait(count):
        return wait_for(lambda: len(said()) >= count and said())

    return wait


def test_a_line_has_method_path_status_time_bytes_and_request_id(api, photos, lines):
    sent = api.build_request(
        "POST", "/predict?secret=1", files={"file": ("secret.jpg", photos[0])}, headers={"X-Request-ID": "4bf9-2f35"}
    )
    answer = api.send(sent)

    [line] = lines(1)
    into, out = sent.headers["content-length"], len(answer.content)
    assert re.fullmatch(rf"POST /predict 200 \d+ ms, {into} bytes in, {out} out, request 4bf9-2f35", line)


def test_nothing_of_feedback_is_in_it(api, photos, lines):
    name = post(api, photos[0]).json()["id"]

    api.post("/feedback", json={"id": name, "right": False, "class_name": "a secret"}).raise_for_status()

    said = lines(2)[1]
    assert re.fullmatch(r"POST /feedback 202 \d+ ms, \d+ bytes in, \d+ out", said)


def test_what_no_app_gets_to_see_has_a_line_too(api, lines):
    limit = body_limits(ServingConfig())["/feedback"].max_bytes
    head = f"POST /feedback HTTP/1.1\r\nContent-Length: {limit + 1}\r\n".encode() + HOST + b"\r\n"

    answer = tell(api.base_url.port, head)
    tell(api.base_url.port, b"\x16\x03\x01\r\n\r\n")

    body = len(answer.partition(b"\r\n\r\n")[2])
    assert re.fullmatch(rf"POST /feedback 413 \d+ ms, 0 bytes in, {body} out", lines(2)[0])
    assert re.fullmatch(r"- - 400 \d+ ms, 0 bytes in, \d+ out", lines(2)[1])


@pytest.mark.parametrize(
    ("path", "shown"),
    [("/%0aPOST%20/x%20200", "/%0APOST%20/x%20200"), ("/%1b%5b2J", "/%1B%5B2J"), (f"/{'a' * 500}", f"/{'a' * 99}")],
)
def test_a_path_forges_neither_a_line_nor_a_word(api, path, shown, lines):
    api.get(path, headers={"X-Request-ID": "x 200 ms"})

    [line] = lines(1)
    assert re.fullmatch(rf"GET {shown} 404 \d+ ms, 0 bytes in, \d+ out", line)


def test_the_answer_to_head_has_no_bytes(api, lines):
    api.head("/classes")

    assert lines(1)[0].endswith("0 bytes in, 0 out")


def test_it_can_be_turned_off(session, live, cache, lines):
    with serving(session, cache, request_log=False) as client:
        ready(client)
        client.get("/classes")

    with serving(session, cache) as client:
        client.get("/nowhere")
        assert [line.split()[1] for line in lines(1)] == ["/nowhere"]


def test_the_command_writes_it_to_standard_error(session, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "CARPIPE_STORE": session.store.url}
    command = [sys.executable, "-m", "carpipe.cli", "--set", f"serving.cache={tmp_path}", "serve", "--port", "0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, text=True, **pipes) as server:
        try:
            lines = iter(server.stderr.readline, "")
            address = next(found[1] for line in lines if (found := re.search(r"listening on (http:\S+)", line)))
            httpx.get(f"{address}/healthz", trust_env=False)
            assert any(re.match(r"GET /healthz 503 \d+ ms, 0 bytes in, \d+ out", line) for line in lines)
        finally:
            server.terminate()
            assert server.stdout.read() == ""
