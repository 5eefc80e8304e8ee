"""Publishers and readers at once, on the real S3 server: no gap in the generations, nobody ever sees half a model."""

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


def keep_publishing(session, network, deadline, *, name):
    """Publish model after model until the deadline; returns how many of them went live here."""
    files, wins = network.files(), 0
    while time.monotonic() < deadline:
        model = tiny.publish(session, files, tag=f"{name}-{wins}")
        try:
            tiny.go_live(session, model)
            wins += 1
        except ConflictError:
            continue
    return wins


def keep_reading(session, networks, deadline, cache):
    """Pull and predict until the deadline; returns the generations seen, in order."""
    truths = [network.probabilities(PICTURES).argmax(axis=1).tolist() for network in networks]
    seen = []
    while time.monotonic() < deadline:
        model = pull(session.store, cache=cache)
        assert model.predict(PICTURES).argmax(axis=1).tolist() in truths
        seen.append(model.generation)
    return seen


def test_sixteen_at_once_see_every_generation_whole(session, networks, tmp_path):
    tiny.go_live(session, tiny.publish(session, networks[0].files(), tag="first"))
    deadline = time.monotonic() + SECONDS

    with ThreadPoolExecutor(2 * EACH) as pool:
        publishers = [
            pool.submit(keep_publishing, session, network, deadline, name=f"p{number}")
            for number, network in enumerate(networks)
        ]
        readers = [
            pool.submit(keep_reading, session, networks, deadline, tmp_path / f"reader-{number}")
            for number in range(EACH)
        ]
        wins = [future.result() for future in publishers]
        seen = [future.result() for future in readers]

    history = channel.history(session.store, "classifier")
    assert [release.generation for release in history] == list(range(1, sum(wins) + 2))
    assert sum(wins) >= EACH // 2
    assert all(len(generations) > 2 for generations in seen)
    assert all(generations == sorted(generations) for generations in seen), "no reader went back in time"


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
