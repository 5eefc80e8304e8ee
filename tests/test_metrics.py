"""Figures by StatsD: what arrives at a real UDP socket, and that sending can harm nothing."""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from carpipe import manifest, metrics
from carpipe.config import MetricsConfig, load_config
from carpipe.errors import ConfigError
from carpipe.manifest import Manifest, Work
from carpipe.metrics import CATALOGUE, Metric
from carpipe.steps.data.clean import clean
from carpipe.steps.data.inventory import inventory
from carpipe.steps.data.upload import upload
from carpipe.steps.models.gate import gate
from carpipe.steps.models.publish import promote
from carpipe.steps.session import Session
from carpipe.steps.upkeep.forget import forget
from tests import tiny


class Server:
    """A StatsD server that keeps what it hears."""

    def __init__(self, listening: socket.socket):
        listening.settimeout(2)
        self._socket = listening
        self.address = f"127.0.0.1:{listening.getsockname()[1]}"

    def heard(self) -> dict[str, str]:
        """All there is until now, by name."""
        mark = b"end of test"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(mark, self._socket.getsockname())
        packets = []
        while (packet := self._socket.recv(2048)) != mark:
            assert len(packet) <= 512, "larger packets are cut on the way"
            packets.append(packet.decode())
        return dict(line.split(":") for packet in packets for line in packet.splitlines())


@pytest.fixture
def statsd() -> Iterator[Server]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        yield Server(listening)


def test_a_stage_says_what_it_did_once(make_session: Callable[..., Session], statsd: Server, world: Any) -> None:
    session = make_session(metrics__statsd=statsd.address)
    upload(session, world.raw)
    stock = inventory(session)
    heard = statsd.heard()
    assert heard["carpipe.raw_photos"] == f"{stock.photos}|g"
    assert heard["carpipe.photos_in.inventory"] == f"{stock.photos}|c"

    done = clean(session, stock.partitions[0]["manifest"], inventory=stock.key)

    heard = statsd.heard()
    assert heard["carpipe.commits.clean"] == "1|c"
    assert heard["carpipe.photos_kept.clean"] == f"{done.counts['kept']}|c"
    assert heard["carpipe.bytes_read.clean"] == f"{done.bytes_read}|c"
    dropped = {name: value for name, value in heard.items() if name.startswith("carpipe.photos_dropped.clean.")}
    total = sum(int(value.removesuffix("|c")) for value in dropped.values())
    assert 0 < total == done.counts["in"] - done.counts["kept"]
    # In milliseconds, as StatsD has it.
    assert float(heard["carpipe.stage_seconds.clean"].removesuffix("|ms")) == pytest.approx(1000 * done.seconds)
    rate = float(heard["carpipe.photos_per_second.clean"].removesuffix("|g"))
    assert rate == pytest.approx(done.counts["in"] / done.seconds)

    clean(session, stock.partitions[0]["manifest"], inventory=stock.key)
    assert statsd.heard() == {}, "what is reused was no work"

    listing = next(iter(session.store.list_objects("raw"))).key.split("/")[2].split("_")[2]
    forget(session, listing, at="2026-01-01T00:00:00Z")
    assert statsd.heard() == {}, "copies without a listing were no work"


def test_who_loses_the_race_sends_nothing(make_session: Callable[..., Session], statsd: Server) -> None:
    session = make_session(metrics__statsd=statsd.address)
    work = Work("clean", 1, "p00000-0", {}, ())
    manifest.commit(session.store, work, {"photos.parquet": b"theirs"}, counts={"in": 3})

    session.commit(work, {"photos.parquet": b"ours"}, counts={"in": 4})

    assert statsd.heard() == {}


def make_manifest(stage: str, **facts: Any) -> Manifest:
    body: dict[str, Any] = {
        "key": "k", "stage": stage, "version": 1, "partition": "all", "config": {}, "weights": {}, "inputs": [],
        "settings": "", "files": {"a": {"bytes": 5}, "b": {"bytes": 6}}, "counts": {}, "fresh": True,
    }  # fmt: skip
    return Manifest(**{**body, **facts})


def test_datasets_and_models_say_how_large_and_how_good_they_are() -> None:
    extra = {"splits": {"train": 70, "val": 15, "test": 16}, "vehicles": 20, "classes": ["a", "b"]}
    dataset = metrics.committed(make_manifest("dataset", counts={"in": 150, "kept": 101}, extra=extra))
    model = metrics.committed(
        make_manifest("evaluate", partition="classifier", extra={"metrics": {"test_accuracy": 0.9373}})
    )

    found = {metric.path: (metric.kind, metric.value) for metric in dataset + model}
    assert found["dataset_photos.test"] == ("gauge", 16)
    assert found["dataset_vehicles"] == ("gauge", 20)
    assert found["dataset_classes"] == ("gauge", 2)
    assert found["bytes_written.dataset"] == ("counter", 11)
    assert found["model.classifier.test_accuracy"] == ("gauge", 0.9373)


def test_photos_taken_over_do_not_count_as_speed() -> None:
    done = make_manifest("crop", counts={"in": 1000, "kept": 900}, seconds=10.0, reused=800)

    found = {metric.path: metric.value for metric in metrics.committed(done)}

    assert found["photos_reused.crop"] == 800
    assert found["photos_per_second.crop"] == 20


def test_channels_say_what_is_live_and_what_was_decided(make_session: Callable[..., Session], statsd: Server) -> None:
    session = make_session(metrics__statsd=statsd.address)
    first = tiny.publish(session, tiny.Tiny().files())
    facts = {"reason": "r", "run": "test", "at": "2026-01-01T00:00:00Z"}
    promote(session, "classifier", first.key, **facts)
    gate(session, first.key, model="classifier", run="other", at=facts["at"])

    heard = statsd.heard()
    assert heard["carpipe.channel_generation.classifier"] == "1|g"
    assert heard["carpipe.decisions.classifier.nothing_to_do"] == "1|c"


def test_labels_cannot_shift_others() -> None:
    assert Metric("photos_dropped", ("clean", "a.b:c|d é"), 1).path == "photos_dropped.clean.a_b_c_d__"


def test_every_name_is_in_the_catalogue_with_its_labels() -> None:
    for path in CATALOGUE:
        name, *labels = path.split(".")
        assert re.fullmatch(r"[a-z_]+", name)
        assert all(re.fullmatch(r"<[a-z]+>", label) for label in labels)


@pytest.mark.parametrize("address", ["127.0.0.1:9", "no-such-host.invalid:8125"])
def test_a_server_that_is_away_harms_nothing(address: str) -> None:
    metrics.send(MetricsConfig(statsd=address), [Metric("raw_photos", (), 1)])


def test_a_name_server_that_hangs_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: answered.wait(30) and [])
    monkeypatch.setattr(metrics, "SEND_S", 0.1)
    started = time.monotonic()

    metrics.send(MetricsConfig(statsd="slow:8125"), [Metric("raw_photos", (), 1)])

    assert time.monotonic() - started < 5
    answered.set()


def test_the_server_is_named_by_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_config().metrics.statsd == ""
    monkeypatch.setenv("CARPIPE_STATSD", "statsd:9125")
    assert load_config().metrics.statsd == "statsd:9125"
    monkeypatch.setenv("CARPIPE_STATSD", "http://statsd:9125")
    with pytest.raises(ConfigError, match=r"metrics\.statsd = 'http://statsd:9125' is not possible"):
        load_config()
