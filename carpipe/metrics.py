"""Figures for dashboards and alerts, sent by StatsD over UDP: what was done, how fast, how good the models are.

Off unless `metrics.statsd` names a server. Sending never fails a step and never holds it up for longer than
SEND_S; what a server misses is lost, since manifests hold the same figures for good. Only work that was done
counts: what is reused is not sent again. A name is a metric and its labels, `<prefix>.photos_dropped.clean.truncated`;
`monitoring/statsd_exporter.yml` maps it to `carpipe_photos_dropped_total{stage="clean",reason="truncated"}`.
"""

import logging
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from carpipe.config import MetricsConfig
from carpipe.manifest import Manifest

log = logging.getLogger(__name__)

# Seconds that a step waits for its figures to leave: looking up a host name may take longer than sending.
SEND_S = 1.0
# Every metric with its labels, its kind and what it says. Counters add up, gauges hold the last value.
CATALOGUE: dict[str, tuple[str, str]] = {
    "commits.<stage>": ("counter", "results committed"),
    "photos_in.<stage>": ("counter", "photos that a stage looked at"),
    "photos_kept.<stage>": ("counter", "photos that it kept"),
    "photos_dropped.<stage>.<reason>": ("counter", "photos that it dropped, by reason"),
    "photos_reused.<stage>": ("counter", "photos of a new result that were taken over from an earlier one"),
    "photos_per_second.<stage>": ("gauge", "of the last result, without photos taken over"),
    "bytes_read.<stage>": ("counter", "bytes of photos and blobs read from the bucket"),
    "bytes_written.<stage>": ("counter", "bytes committed to the bucket"),
    "stage_seconds.<stage>": ("timer", "wall time of a result; in milliseconds on the wire, as StatsD wants"),
    "raw_photos": ("gauge", "photos under raw/ at the last change"),
    "dataset_photos.<split>": ("gauge", "photos of the last dataset"),
    "dataset_vehicles": ("gauge", "vehicles of the last dataset"),
    "dataset_classes": ("gauge", "classes of the last dataset"),
    "model.<model>.<figure>": ("gauge", "figures of the last evaluation: test_accuracy, test_macro_f1, ..."),
    "decisions.<channel>.<outcome>": ("counter", "decisions of the gate: publish, ask, refuse, nothing_to_do"),
    "channel_generation.<channel>": ("gauge", "generation that is live"),
}


@dataclass(frozen=True)
class Metric:
    """One value. `labels` are in the order of the catalogue's placeholders; a timer's value is in seconds."""

    name: str
    labels: tuple[str, ...]
    value: float

    @property
    def kind(self) -> str:
        """`counter`, `gauge` or `timer`."""
        return next(kind for path, (kind, _) in CATALOGUE.items() if path.partition(".")[0] == self.name)

    @property
    def path(self) -> str:
        """As it is sent, without the prefix. Labels hold no dots: they would shift those behind them."""
        return ".".join([self.name, *(re.sub(r"[^A-Za-z0-9_-]", "_", label) or "_" for label in self.labels)])


def committed(done: Manifest) -> list[Metric]:
    """What a commit says of its work; nothing where somebody else had committed it."""
    return list(_committed(done)) if done.fresh else []


def counted(stage: str, counts: Mapping[str, Any]) -> Iterator[Metric]:
    """Photos that a stage looked at, kept and dropped."""
    for field in ("in", "kept"):
        if field in counts:
            yield Metric(f"photos_{field}", (stage,), counts[field])
    for reason, number in counts.get("dropped", {}).items():
        yield Metric("photos_dropped", (stage, reason), number)


def _committed(done: Manifest) -> Iterator[Metric]:
    stage = (done.stage,)
    yield Metric("commits", stage, 1)
    yield from counted(done.stage, done.counts)
    yield Metric("bytes_written", stage, sum(entry["bytes"] for entry in done.files.values()))
    if done.bytes_read:
        yield Metric("bytes_read", stage, done.bytes_read)
    if done.reused:
        yield Metric("photos_reused", stage, done.reused)
    if done.seconds:
        yield Metric("stage_seconds", stage, done.seconds)
        if "in" in done.counts:
            yield Metric("photos_per_second", stage, (done.counts["in"] - done.reused) / done.seconds)
    if done.stage == "evaluate":
        for figure, value in done.extra["metrics"].items():
            yield Metric("model", (done.partition, figure), value)
    if done.stage == "dataset":
        for split, photos in done.extra["splits"].items():
            yield Metric("dataset_photos", (split,), photos)
        yield Metric("dataset_vehicles", (), done.extra["vehicles"])
        yield Metric("dataset_classes", (), len(done.extra["classes"]))


def send(config: MetricsConfig, metrics: Iterable[Metric]) -> None:
    """Send values to the StatsD server, if one is set. Never raises, and is back within SEND_S."""
    metrics = list(metrics)
    if not config.statsd or not metrics:
        return
    # A daemon: a name server that does not answer must not keep the process from ending.
    sender = threading.Thread(target=_send, args=(config, metrics), daemon=True, name="carpipe-metrics")
    try:
        sender.start()
    except RuntimeError as error:  # no room for a thread
        log.warning("figures were not sent to %s: %s", config.statsd, error)
        return
    sender.join(SEND_S)


def _send(config: MetricsConfig, metrics: list[Metric]) -> None:
    host, _, port = config.statsd.rpartition(":")
    try:
        from statsd import StatsClient

        client = StatsClient(host, int(port), prefix=config.prefix)
        with client.pipeline() as pipe:
            for metric in metrics:
                _VERBS[metric.kind](pipe, metric.path, metric.value)
        client.close()
    except Exception as error:  # whatever it is, the work is done and committed
        log.warning("figures were not sent to %s: %s", config.statsd, error)


_VERBS: Mapping[str, Any] = {
    "counter": lambda pipe, path, value: pipe.incr(path, int(value)),
    "gauge": lambda pipe, path, value: pipe.gauge(path, value),
    "timer": lambda pipe, path, value: pipe.timing(path, value * 1000),
}
