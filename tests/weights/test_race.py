"""Publishers and readers at once, on the real S3 server: no gap in the generations, nobody ever sees half a model."""

import contextlib
import itertools
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from carpipe.errors import ConflictError
from carpipe.weights import channel
from carpipe.weights.client import pull
from tests import tiny

pytestmark = [pytest.mark.slow]

EACH = 8  # publishers, and readers
# A minute is what `CARPIPE_RACE_S=60 make test` takes; the suite has less time.
SECONDS = float(os.environ.get("CARPIPE_RACE_S", "8"))
PICTURES = np.random.default_rng(3).integers(0, 256, (2, tiny.SIDE, tiny.SIDE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def networks():
    return [tiny.Tiny(seed=number) for number in range(EACH)]


def keep_publishing(session, network, wins, ended, *, name):
    """Publish model after model until the race ends; notes those that went live."""
    files = network.files()
    for number in itertools.count():
        if ended.is_set():
            return
        model = tiny.publish(session, files, tag=f"{name}-{number}")
        with contextlib.suppress(ConflictError):
            tiny.go_live(session, model)
            wins.append(model)


def keep_reading(session, networks, seen, ended, cache):
    """Pull and predict until the race ends; notes the generations, in order."""
    truths = [network.probabilities(PICTURES).argmax(axis=1).tolist() for network in networks]
    while not ended.is_set():
        model = pull(session.store, cache=cache)
        assert model.predict(PICTURES).argmax(axis=1).tolist() in truths
        seen.append(model.generation)


def test_sixteen_at_once_see_every_generation_whole(session, networks, tmp_path):
    tiny.go_live(session, tiny.publish(session, networks[0].files(), tag="first"))
    ended, wins, seen = threading.Event(), [], [[] for _ in range(EACH)]

    with ThreadPoolExecutor(2 * EACH) as pool:
        running = [
            *(pool.submit(keep_publishing, session, network, wins, ended, name=f"p{number}")
              for number, network in enumerate(networks)),
            *(pool.submit(keep_reading, session, networks, seen[number], ended, tmp_path / f"reader-{number}")
              for number in range(EACH)),
        ]  # fmt: skip
        started = time.monotonic()
        while (busy := time.monotonic() - started) < SECONDS or not happened(wins, seen):
            if busy > 20 * SECONDS or any(future.done() for future in running):
                break
            time.sleep(0.1)
        ended.set()
        for future in running:
            future.result()

    history = channel.history(session.store, "classifier")
    assert [release.generation for release in history] == list(range(1, len(wins) + 2))
    assert happened(wins, seen)
    assert all(generations == sorted(generations) for generations in seen), "no reader went back in time"


def happened(wins, seen):
    """Whether there was a race at all, on a machine however slow."""
    return len(wins) >= EACH and all(len(generations) > 2 for generations in seen)


def writes_of(session, monkeypatch, stop_after):
    """Let the publisher be killed after so many of its writes to the bucket."""
    done = threading.Semaphore(stop_after)
    write = session.store._put  # what every write goes through

    def killed(key, data, options):
        if not done.acquire(blocking=False):
            raise KeyboardInterrupt
        return write(key, data, options)

    monkeypatch.setattr(session.store, "_put", killed)


# A model of six files, its manifest, the old entry of the history once more, the swap, the new entry: ten writes.
@pytest.mark.parametrize("writes", range(11))
def test_a_publisher_killed_at_any_write_leaves_a_whole_model_live(session, networks, tmp_path, monkeypatch, writes):
    tiny.go_live(session, tiny.publish(session, networks[0].files(), tag="old"))
    with monkeypatch.context() as patch:
        writes_of(session, patch, writes)
        try:
            tiny.go_live(session, tiny.publish(session, networks[1].files(), tag="new"))
            killed = False
        except KeyboardInterrupt:
            killed = True

    model = pull(session.store, cache=tmp_path)
    right = networks[model.generation - 1].probabilities(PICTURES).argmax(axis=1)

    assert killed == (writes < 10)
    assert model.generation in (1, 2)
    assert model.predict(PICTURES).argmax(axis=1).tolist() == right.tolist()
    tiny.go_live(session, tiny.publish(session, networks[1].files(), tag="new"))
    tiny.go_live(session, tiny.publish(session, networks[2].files(), tag="newer"))
    assert [release.generation for release in channel.history(session.store, "classifier")] == [1, 2, 3]
