"""Strangers' photos: what one of them costs is bounded, and the others do not wait for it."""

import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from carpipe.serving import decoders
from tests.pictures import hostile
from tests.serving.conftest import encode, post, ready, serving, wait_for

ROOT = Path(__file__).parents[2]
OWN_NICENESS = os.getpriority(os.PRIO_PROCESS, 0)  # tests may be run with a low priority


@lru_cache(1)
def expensive():
    """A valid PNG of 40 megapixels of 16 bits in 1.4 MB: 1 to 2 s of a processor."""
    return hostile.png(8000, 5000, hostile.png_chunk(b"IDAT", hostile.zeros(5000 * 64_001)), depth=16, colour=6)


def processes():
    """(process, its parent, whether it decodes, whether it is of low priority) of all that live."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state = (folder / "stat").read_text().rpartition(")")[2].split()
            command = (folder / "cmdline").read_bytes()
            if state[0] != "Z":
                yield int(folder.name), int(state[1]), b"isolation_child" in command, int(state[16]) > OWN_NICENESS


def children(parent=None, *, slow=None):
    parent = parent or os.getpid()
    return [pid for pid, own, decodes, low in processes() if own == parent and decodes and slow in (None, low)]


def alive(pid):
    """A process that ends has no command any more, some time before it is a zombie."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


@pytest.fixture
def started():
    """Children that this process has for other servers, which are no business of a test."""
    before = set(children())
    return lambda **which: [pid for pid in children(**which) if pid not in before]


@pytest.fixture
def patient(monkeypatch):
    """Photos end by what they cost a processor, and never by the clock of a machine that has other things to do."""
    monkeypatch.setattr(decoders, "FAST_PATIENCE", 1000)
    monkeypatch.setattr(decoders, "SLOW_PATIENCE", 1000)
    monkeypatch.setattr(decoders, "MAX_WAIT_S", 300.0)


def test_a_photo_over_its_time_is_too_expensive_and_the_next_is_answered(session, live, cache, photos, patient):
    with serving(session, cache, photo_timeout_s=0.2) as client:
        ready(client)
        response = post(client, expensive())
        assert (response.status_code, response.json()["reason"]) == (422, "too_expensive")
        assert "takes too long" in response.json()["error"]
        assert post(client, photos[0]).status_code == 200
        response = post(client, expensive())
        assert (response.status_code, response.json()["reason"]) == (422, "too_expensive"), "a new child does as well"


def test_a_listing_has_a_budget_too(session, live, cache, photos, patient, monkeypatch):
    monkeypatch.setattr(decoders, "LISTING_SHARE", 1)
    with serving(session, cache, photo_timeout_s=0.2) as client:
        ready(client)
        reply = post(client, *[expensive()] * 3, photos[0], url="/predict/listing").json()

    assert [photo.get("reason") for photo in reply["photos"]] == ["too_expensive"] * 3 + [None]
    assert reply["success"]


def test_what_is_broken_spends_the_budget_too(session, live, cache, photos, patient, monkeypatch):
    monkeypatch.setattr(decoders, "LISTING_SHARE", 0.05)
    noise = np.random.default_rng(1).integers(0, 256, (4000, 4400, 3), np.uint8)
    whole = encode(Image.fromarray(noise), "JPEG", quality=20, progressive=True)
    cut = whole[: len(whole) * 2 // 3]
    with serving(session, cache) as client:
        ready(client)
        reply = post(client, cut, cut, photos[0], url="/predict/listing").json()

    assert [photo.get("reason") for photo in reply["photos"]] == ["truncated", "too_expensive", None]


def test_a_budget_that_is_spent_is_spent_without_decoding():
    allowance = decoders.Allowance(1.0, client="a")
    allowance.check()
    allowance.spend(1.5)
    with pytest.raises(decoders.PhotoError) as caught:
        allowance.check()
    assert caught.value.reason == "too_expensive"


@pytest.mark.parametrize(
    "data",
    [
        hostile.lossless_webp(16383, 16383),
        hostile.progressive(640, 640, 300),
        hostile.png(7300, 7300),
        hostile.gif(64, 64, b"\x21\xfe" + b"\1a" * 100_000 + b"\0"),
    ],
    ids=["webp", "jpeg", "png", "gif"],
)
def test_what_no_camera_makes_is_refused_with_a_reason(api, data):
    for response in (post(api, data), post(api, *[data] * 20, url="/predict/listing")):
        assert response.status_code == 422
        for reply in response.json().get("photos", [response.json()]):
            assert reply["reason"] == "bomb"
            assert "costs more to read" in reply["error"]


def test_the_api_takes_fewer_pixels_than_cleaning(session, live, cache, photos):
    with serving(session, cache, max_pixels=10_000) as client:
        ready(client)
        response = post(client, photos[0])

    assert (response.status_code, response.json()["reason"]) == (422, "bomb")


def test_cheap_photos_do_not_wait_for_expensive_ones(session, live, cache, photos, started, patient):
    """The processes of the slow lane are stopped: what waits for them waits, and nobody else."""
    with serving(session, cache, photo_timeout_s=0.2) as client:
        ready(client)
        slow = wait_for(lambda: pids if len(pids := started(slow=True)) == 2 else None)
        for pid in slow:
            os.kill(pid, signal.SIGSTOP)
        bomb, url, count = expensive(), f"{client.base_url}/predict", decoders.MAX_SLOW_PHOTOS + 1
        with ThreadPoolExecutor(count) as pool:
            sent = [
                pool.submit(httpx.post, url, files={"file": bomb}, timeout=60, trust_env=False) for _ in range(count)
            ]
            try:
                refused = wait_for(lambda: done if len(done := [one for one in sent if one.done()]) == 2 else None)
                for photo in photos[:4]:
                    assert post(client, photo).status_code == 200
                assert len([one for one in sent if one.done()]) == 2
            finally:
                for pid in slow:
                    os.kill(pid, signal.SIGCONT)
            for response in (one.result() for one in refused):
                assert (response.status_code, response.json()["reason"]) == (503, "busy")
                assert response.headers["retry-after"] == "2"
            assert {one.result().status_code for one in sent if one not in refused} == {422}


def test_a_process_that_dies_idle_costs_no_photo(session, live, cache, photos, started):
    with serving(session, cache) as client:
        ready(client)
        wait_for(lambda: len(started(slow=False)) == 3)
        killed = started()
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not any(alive(pid) for pid in killed))
        assert post(client, photos[0]).status_code == 200
        wait_for(lambda: len(started(slow=False)) == 3)
    assert not started()


def test_without_processes_it_is_busy_and_well(session, live, cache, photos, monkeypatch, caplog):
    monkeypatch.setattr(decoders, "LOOK", "no_such_module:look")
    monkeypatch.setattr(decoders, "MAX_WAIT_S", 1.0)
    monkeypatch.setattr(decoders, "AGAIN_S", 0.2)
    with serving(session, cache) as client:
        ready(client)
        response = post(client, photos[0])
        assert (response.status_code, response.json()["reason"]) == (503, "busy")
        assert client.get("/healthz").status_code == 200
        assert "no process for decoding can be started" in caplog.text

        monkeypatch.setattr(decoders, "LOOK", "carpipe.pictures.look:look")
        wait_for(lambda: post(client, photos[0]).status_code == 200)


def test_processes_end_with_a_server_that_is_killed(session, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CARPIPE_STORE": session.store.url}
    command = [sys.executable, "-m", "carpipe.cli", "--set", f"serving.cache={tmp_path}", "serve", "--port", "0"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as server:
        next(line for line in iter(server.stderr.readline, "") if re.search("listening on", line))
        found = wait_for(lambda: pids if len(pids := children(server.pid)) == 5 else None)
        server.kill()

    wait_for(lambda: not {pid for pid, *_ in processes()} & set(found), seconds=20)
