"""Threads and processes of apps: a model answers in all of them, and a bucket that would hang says so at once."""

import asyncio
import contextlib
import multiprocessing
import os
import pickle
import signal
import socket
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import httpx
import numpy as np
import pytest

from carpipe.errors import InputError, StoreError
from carpipe.weights.client import open_channel
from carpipe.weights.runtime import Network
from tests.tiny import SIDE, Tiny, go_live, publish

PICTURES = np.random.default_rng(3).integers(0, 256, (12, SIDE, SIDE, 3), dtype=np.uint8)
# What an app of two workers does: it answers, and looks at the channel again.
APP = """
from carpipe.errors import StoreError
from carpipe.weights.client import open_channel
import numpy as np, os

def opened():
    return open_channel({url!r}, "classifier", cache={cache!r})

model = opened()

def app(environ, start_response):
    if environ["PATH_INFO"] == "/predict":
        body = repr(model.predict(np.zeros((2, {side}, {side}, 3), np.uint8)).shape)
    else:
        try:
            body = opened().id
        except StoreError as error:
            body = str(error)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body.encode()]
"""


@pytest.fixture(scope="module")
def place(s3, tmp_path_factory):
    """The address of a bucket with a live model, and a cache."""
    from carpipe.steps.session import open_session
    from tests.conftest import make_config

    session = open_session(make_config(f"s3://{s3.bucket}/processes"))
    go_live(session, publish(session, Tiny().files()))
    return session.store.url, tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def model(place):
    return open_channel(place[0], "classifier", cache=place[1])


def in_a_fork(do):
    """What it returns, or raises, in a child that was forked from here; nothing waits for ever."""
    read, write = os.pipe()
    if not (child := os.fork()):
        with contextlib.suppress(BaseException):
            signal.alarm(30)
            try:
                said = pickle.dumps(do())
            except Exception as error:
                said = pickle.dumps(error)
            os.write(write, said)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        data = pipe.read()
    os.waitpid(child, 0)
    assert data, "it waited for ever"
    found = pickle.loads(data)
    if isinstance(found, Exception):
        raise found
    return found


def test_a_model_answers_in_threads_and_in_asyncio(model, place):
    expected = model.predict(PICTURES)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: model.predict(PICTURES), range(24)):
            assert np.array_equal(found, expected)

    async def serve():
        again = open_channel(place[0], "classifier", cache=place[1])  # in a notebook, too, a loop is running
        answers = await asyncio.gather(*(asyncio.to_thread(again.predict, PICTURES) for _ in range(6)))
        return [np.array_equal(one, expected) for one in answers]

    assert asyncio.run(serve()) == [True] * 6


def test_a_model_answers_in_a_fork(model):
    expected = model.predict(PICTURES)
    assert np.array_equal(in_a_fork(lambda: model.predict(PICTURES)), expected)

    def in_threads():
        with ThreadPoolExecutor(4) as pool:
            return [
                one.tobytes() == expected.tobytes() for one in pool.map(lambda _: model.predict(PICTURES), range(8))
            ]

    assert in_a_fork(in_threads) == [True] * 8


@pytest.mark.parametrize("used", [False, True])
def test_a_fork_ends_by_itself(model, used):
    """As a worker does: it gives back all that it holds."""
    child = multiprocessing.get_context("fork").Process(
        target=model.predict if used else time.time, args=(PICTURES,) * used
    )
    child.start()
    child.join(30)
    assert child.exitcode == 0


def test_a_fork_of_who_has_used_a_bucket_is_told_at_once(model, place, session):
    began = time.monotonic()
    for do in (
        lambda: open_channel(place[0], "classifier", cache=place[1]).id,
        lambda: session.store.head("x"),
        lambda: list(session.store.list_objects("channels")),
        lambda: session.store.put("x", b"x"),
        lambda: session.store.create("x", b"x"),
        lambda: session.store.list_folders("channels"),
        lambda: session.store.delete(["x"]),
        lambda: list(session.store.get_many(["x", "y"])),
    ):
        with pytest.raises(StoreError, match="is a fork of one that has used a bucket already"):
            in_a_fork(do)
    assert time.monotonic() - began < 60


def test_a_fork_goes_on_with_what_is_cached_where_that_may_be(model, place):
    found = in_a_fork(lambda: open_channel(place[0], "classifier", cache=place[1], offline_ok=True).instead)
    assert "is a fork of one that has used a bucket already" in found


def test_a_fork_of_who_has_only_imported_it_may_use_a_bucket(place):
    code = f"""
        import multiprocessing
        from carpipe.weights.client import open_channel

        def ask():
            return open_channel({place[0]!r}, "classifier", cache={str(place[1])!r}).id

        with multiprocessing.get_context("fork").Pool(2) as pool:
            print(*{{pool.apply(ask) for _ in range(3)}})
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True, timeout=60
    )
    assert len(done.stdout.split()) == 1


def test_a_model_is_sent_to_other_processes(model):
    expected = model.predict(PICTURES)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        for found in pool.map(model.predict, [PICTURES] * 3):
            assert np.array_equal(found, expected)
    again = pickle.loads(pickle.dumps(model))
    assert (again.id, again.classes) == (model.id, model.classes)


def test_a_network_for_calls_at_a_time_answers_the_same_there_too(model):
    one, two = Network(model.folder / "model.xml"), Network(model.folder / "model.xml", streams=2)
    sent = pickle.loads(pickle.dumps(two))
    assert [each._compiled.get_property("NUM_STREAMS") for each in (one, two, sent)] == [1, 2, 2]
    with ThreadPoolExecutor(4) as pool:
        for network in (two, sent):
            for found in pool.map(network.predict, [PICTURES] * 8):
                np.testing.assert_allclose(found, one.predict(PICTURES), atol=1e-6)


def test_a_network_whose_file_has_gone_is_said_to_be(model, tmp_path):
    for name in ("model.xml", "model.bin"):
        (tmp_path / name).write_bytes((model.folder / name).read_bytes())
    data = pickle.dumps(Network(tmp_path / "model.xml"))
    (tmp_path / "model.xml").unlink()
    with pytest.raises(InputError, match="OpenVINO cannot load"):
        pickle.loads(data)


@pytest.mark.parametrize("preload", [False, True])
def test_gunicorn_serves_it_with_and_without_preload(place, tmp_path, preload):
    (tmp_path / "mine.py").write_text(APP.format(url=place[0], cache=str(place[1]), side=SIDE))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "-w", "2", "-b", f"127.0.0.1:{port}", "--timeout", "20", "mine:app"]
    with subprocess.Popen([*command, *["--preload"] * preload], cwd=tmp_path, stderr=subprocess.PIPE) as server:
        try:
            end = time.monotonic() + 60
            while True:
                try:
                    answer = httpx.get(f"http://127.0.0.1:{port}/predict", trust_env=False, timeout=30)
                    break
                except httpx.TransportError:
                    assert time.monotonic() < end
                    time.sleep(0.1)
            assert (answer.status_code, answer.text) == (200, "(2, 7)")
            said = {httpx.get(f"http://127.0.0.1:{port}/again", trust_env=False, timeout=30).text for _ in range(6)}
        finally:
            server.terminate()
            server.communicate(timeout=30)
    assert len(said) == 1
    assert ("is a fork of one that has used a bucket already" in said.pop()) == preload
