"""Networks that break: every verb, and every write of a publish in turn, under every fault of the proxy."""

import gc
import socket

import numpy as np
import pytest

from carpipe.errors import ConflictError, UnavailableError
from carpipe.steps.session import Session
from carpipe.storage import Store
from carpipe.weights import channel
from carpipe.weights.client import pull
from tests import tiny
from tests.chaos.proxy import Fault, proxy_to
from tests.conftest import make_config

PICTURES = np.random.default_rng(3).integers(0, 256, (2, tiny.SIDE, tiny.SIDE, 3), dtype=np.uint8)
# Six files of a model, its manifest, the release before once more, the swap, the new release.
WRITES = 10
SWAP = 8


@pytest.fixture(scope="module")
def proxy(s3):
    with proxy_to(s3.endpoint) as found:
        yield found


@pytest.fixture
def session(proxy, make_session):
    """Everything goes through the proxy; `calm_store` of the same bucket does not."""
    proxy.reset()
    calm = make_session()
    config = make_config(calm.store.url, store__endpoint=proxy.endpoint)
    return Session(config, Store(config.store))


@pytest.fixture
def calm_store(session, s3):
    return Store(make_config(session.store.url, store__endpoint=s3.endpoint).store)


@pytest.fixture(scope="module")
def networks():
    return [tiny.Tiny(seed=number) for number in range(2)]


def once(fault, *, write=None):
    """Harm the first request, or that write, counted from 0."""
    done = []

    def plan(request):
        if done or (write is not None and request.write != write):
            return None
        done.append(request)
        return fault

    return plan


def always(fault):
    return lambda request: fault


VERBS = {
    "put": lambda store: store.put("k/new", b"new"),
    "create": lambda store: store.create("k/new", b"new"),
    "replace": lambda store: store.replace("k/old", b"new", etag=store.head("k/old").etag),
    "get": lambda store: store.get("k/large"),
    "head": lambda store: store.head("k/old"),
    "list": lambda store: [info.key for info in store.list_objects("k")],
    "folders": lambda store: store.list_folders("k"),
    "delete": lambda store: store.delete(["k/old", "k/gone"]),
}


@pytest.fixture
def filled(session, calm_store):
    for name in ("k/old", "k/large", "k/under/a"):
        calm_store.put(name, name.encode() * 5_000)
    return session.store


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("verb", VERBS)
def test_one_broken_request_is_nobodys_concern(filled, proxy, calm_store, verb, fault):
    expected = {"get": b"k/large" * 5_000, "list": ["k/large", "k/old", "k/under/a"], "folders": ["k/under"]}
    proxy.reset(once(fault))

    answer = VERBS[verb](filled)

    assert proxy.faults() == 1
    if verb in expected:
        assert answer == expected[verb]
    elif verb == "delete":
        assert calm_store.head("k/old") is None
    elif verb != "head":
        key = "k/old" if verb == "replace" else "k/new"
        assert (calm_store.get(key), calm_store.head(key).etag) == (b"new", answer)


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.RESET, Fault.DONE_AND_503])
@pytest.mark.parametrize("write", range(WRITES))
def test_a_publish_knows_its_own_write_again(session, proxy, calm_store, networks, tmp_path, write, fault):
    tiny.go_live(session, tiny.publish(session, networks[0].files(), tag="old"))
    proxy.reset(once(fault, write=write))

    release = tiny.go_live(session, tiny.publish(session, networks[1].files(), tag="new"))

    assert proxy.faults() == 1
    assert release.generation == 2
    assert [one.generation for one in channel.history(calm_store, "classifier")] == [1, 2]
    right = networks[1].probabilities(PICTURES).argmax(axis=1)
    assert pull(calm_store, cache=tmp_path).predict(PICTURES).argmax(axis=1).tolist() == right.tolist()


def test_the_writes_are_those_that_the_tests_count(session, proxy, networks):
    tiny.go_live(session, tiny.publish(session, networks[0].files(), tag="old"))
    proxy.reset()

    tiny.go_live(session, tiny.publish(session, networks[1].files(), tag="new"))

    writes = [request.path for request, _ in proxy.seen if request.write is not None]
    assert len(writes) == WRITES
    assert writes[SWAP].endswith("/channels/classifier/production.json")


def test_a_swap_that_was_overtaken_while_its_answer_was_lost_says_so(session, proxy, calm_store, networks):
    """Our release was live for a moment: it is in the history, and a retry of the task does not bring it back."""
    ours, theirs = (tiny.publish(session, network.files(), tag=str(n)) for n, network in enumerate(networks))
    other = Session(session.config, calm_store)

    swaps = []

    def overtake(request):
        if request.write is None or not request.path.endswith("production.json"):
            return None
        swaps.append(request)
        if len(swaps) == 2:
            tiny.go_live(other, theirs)
        return Fault.LOST if len(swaps) == 1 else None

    proxy.reset(overtake)
    with pytest.raises(ConflictError, match="written by somebody else first"):
        promote(session, ours, run="ours")
    promote(session, ours, run="ours")

    assert channel.read_channel(calm_store, "classifier").model == theirs.key
    assert [one.model for one in channel.history(calm_store, "classifier")] == [ours.key, theirs.key]


def test_a_server_that_stays_away_is_an_error_worth_a_retry(session, proxy):
    config = make_config(session.store.url, store__endpoint=proxy.endpoint, store__max_retries=2)
    store = Store(config.store)
    for verb in ("create", "list", "delete"):
        proxy.reset(always(Fault.LOST))
        with pytest.raises(UnavailableError, match=r"is in trouble|cannot be reached"):
            VERBS[verb](store)
        assert len(proxy.seen) == 3, "one try and two more"


def test_a_long_listing_goes_on_where_it_broke_off(session, proxy, calm_store):
    keys = sorted(f"k/{number:04d} ü+%2f.jpg" for number in range(2_100))
    for key in keys:
        calm_store.put(key, b"")
    listings = []

    def second_page(request):
        listings.append(request)
        return Fault.RESET if len(listings) == 2 else None

    proxy.reset(second_page)
    found = [info.key for info in session.store.list_objects("k")]

    assert proxy.faults() == 1
    assert found == keys
    assert len(listings) == 4, "three pages, one of them twice"


def promote(session, model, *, run):
    return channel.promote(session.store, "classifier", model=model.key, reason="test", run=run, at="2026-01-01")


def test_a_proxy_that_stops_closes_connections_it_has_taken_in_just_now():
    with socket.create_server(("127.0.0.1", 0)) as server:
        for _ in range(100):
            with proxy_to(f"http://127.0.0.1:{server.getsockname()[1]}") as proxy:
                port = int(proxy.endpoint.rpartition(":")[2])
                clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
            for client in clients:
                client.close()
    gc.collect()  # an open one would warn here, and a warning fails
