"""Steps as processes of their own, what a calm run of them leaves, and a bucket that stands right before any of them.

A round starts from a copy of what the calm run had left before a step, harms the step, tries it again as Airflow
would, and must end in the same picture of the bucket.
"""

import contextlib
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from carpipe import manifest
from carpipe.local.s3server import S3Server, start_s3
from carpipe.manifest import Work
from carpipe.steps.session import Session
from carpipe.storage import Store
from carpipe.weights import channel
from tests import tiny
from tests.chaos.task import Forked, Task, Wrapped
from tests.conftest import SAMPLE, make_config

SETTINGS = {
    "classes.min_photos": 1,
    "filter.threshold": 0.3,
    "validation.split_tolerance": 1.0,
    "validation.class_tolerance": 1.0,
    "classifier.backbone": "MobileNet",
    "classifier.alpha": 0.25,
    "classifier.weights": "none",
    "classifier.image_size": 32,
    "classifier.head_epochs": 3,
    "classifier.finetune_epochs": 0,
    "classifier.deterministic": True,
}
AT = "2026-01-01T00:00:00Z"
# What depends on when and how fast a step ran, and nothing else.
VOLATILE_FIELDS = frozenset({"seconds", "spent", "at", "run", "docs", "committed"})
# Pages and archives with a time in them, and what counts its seconds.
VOLATILE_FILES = ("report.html", "validation.json", "evaluation.html", "model.keras", "history.json", "README.md")

Keys = dict[str, str]


@dataclass(frozen=True)
class Step:
    """A command of `carpipe step`, with its arguments from what the steps before it printed."""

    name: str
    arguments: Callable[[Keys], list[str]] = field(default=lambda keys: [])
    module: str = "carpipe.cli"


PREPARE = (
    Step("inventory"),
    Step("clean", lambda keys: [keys["partition"], "--inventory", keys["inventory"]]),
    Step("filter", lambda keys: [keys["clean"], "--weights", keys["car_filter"]]),
    Step("crop", lambda keys: [keys["filter"]]),
    Step("identify", lambda keys: [keys["crop"], "--inventory", keys["inventory"]]),
    Step("classes", lambda keys: [keys["identify"]]),
    Step("split", lambda keys: [keys["classes"]]),
    Step("validate", lambda keys: [keys["split"]]),
    Step("pack", lambda keys: [keys["split"], keys["crop"]]),
    Step("dataset", lambda keys: [keys["split"], keys["validate"], keys["pack"]]),
)
# A model that is there already goes live: no training is needed for it.
PUBLISH = Step("publish", lambda keys: ["classifier", keys["tiny_model"]], "tests.chaos.task")
TRAIN = (
    Step("train", lambda keys: ["classifier", keys["dataset"]]),
    Step("evaluate", lambda keys: [keys["train"], keys["dataset"]]),
    Step("package", lambda keys: ["classifier", keys["evaluate"]]),
    Step("gate", lambda keys: ["classifier", keys["package"]], "tests.chaos.task"),
)
STEPS = (*PREPARE[:3], PUBLISH, *PREPARE[3:], *TRAIN)


@dataclass(frozen=True)
class Calm:
    """What a step did when nobody disturbed it: the bucket before it, the picture after it, its seconds."""

    step: Step
    before: dict[str, bytes]
    keys: Keys
    picture: dict[str, Any]
    seconds: float


@dataclass(frozen=True)
class Recovered:
    """What a retry took, and how many manifests, channels and decisions were found equal after it."""

    seconds: float
    objects: int


class Bench:
    """An S3 server of its own, and steps on prefixes of its bucket."""

    def __init__(self, home: Path):
        self.home = home
        self.server: S3Server = start_s3(home)
        self.calm: dict[str, Calm] = {}
        self.settings: dict[str, Any] = dict(SETTINGS)
        self._pace: dict[str, float] = {}
        self._prefix, self._keys, self._objects = "", {}, {}

    @property
    def environment(self) -> dict[str, str]:
        """Of a task: the server's credentials, and one thread per library."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CARPIPE_"))}
        return {**kept, **self.server.settings.env(), "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}

    def seconds(self, name: str) -> float:
        """How long a step takes: the calm run's time, less where later runs had ended before they were harmed."""
        return self.calm[name].seconds * self._pace.get(name, 1.0)

    def was_late(self, name: str) -> None:
        """The step had ended before it was harmed: draw earlier moments from now on."""
        self._pace[name] = 0.7 * self._pace.get(name, 1.0)

    def restart(self) -> None:
        """Start the server again on the data of the one that was killed."""
        self.server = start_s3(self.home, port=int(self.server.settings.endpoint.rpartition(":")[2]))

    def store(self, prefix: str) -> Store:
        """A prefix of the bucket."""
        with environment(self.server.settings.env()):
            return Store(make_config(f"s3://{self.server.settings.bucket}/{prefix}").store)

    def command(self, prefix: str, step: Step, keys: Keys) -> list[str]:
        """What Airflow's task would run in its process."""
        url = f"--set=store.url=s3://{self.server.settings.bucket}/{prefix}"
        options = [f"--set={name}={json.dumps(value)}" for name, value in self.settings.items()]
        return [f"--config={SAMPLE}", url, *options, "step", step.name, *step.arguments(keys)]

    def start(self, prefix: str, step: Step, keys: Keys, *wrapper: str, **extra: str) -> Task:
        """A task in a session of its own: forked with its libraries loaded, or under a wrapper and from nothing."""
        command, environment = self.command(prefix, step, keys), {**self.environment, **extra}
        if wrapper or extra:
            return Wrapped([*wrapper, sys.executable, "-m", step.module, *command], environment)
        return Forked(step.module, command, environment)

    def run(self, prefix: str, step: Step, keys: Keys) -> str:
        """A task that must succeed; returns the last line it printed."""
        task = self.start(prefix, step, keys)
        said, complaints = task.end()
        if task.returncode:
            raise AssertionError(f"{step.name} ended with {task.returncode}:\n{complaints[-3000:]}")
        return said.strip().splitlines()[-1]

    def fill(self, objects: dict[str, bytes]) -> str:
        """A new prefix that holds them; returns its name."""
        prefix = uuid4().hex[:12]
        store = self.store(prefix)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda item: store.put(*item), objects.items()))
        return prefix

    def set_up(self, raw: Path) -> None:
        """Photos, a live car filter and a packaged classifier: what the calm run starts from."""
        photos = {f"raw/{path.relative_to(raw).as_posix()}": path.read_bytes() for path in sorted(raw.rglob("*.jpg"))}
        self.settings["classes.taxonomy"] = str(two_classes(self.home, sorted(path.name for path in raw.iterdir())))
        Forked("carpipe.cli", ["config"], self.environment).end()  # loads the libraries, so that no round pays for it
        self._prefix = self.fill(photos)
        store = self.store(self._prefix)
        self._keys = {"car_filter": live_car_filter(store), "tiny_model": model_in_waiting(store)}
        self._objects = photos | contents(store, but=photos)

    def rehearse(self, last: str) -> None:
        """Go on with the calm run until that step is done: what the bucket held before each step, and after."""
        store = self.store(self._prefix)
        for step in STEPS:
            if last in self.calm:
                return
            if step.name in self.calm:
                continue
            before, started = dict(self._keys), time.monotonic()
            self._keys[step.name] = self.run(self._prefix, step, before)
            self.calm[step.name] = Calm(step, self._objects, before, picture(store), time.monotonic() - started)
            self._objects = self._objects | contents(store, but=self._objects)
            if step.name == "inventory":
                state = json.loads(store.get(self._keys["inventory"]))
                self._keys["partition"] = state["partitions"][0]["manifest"]


def two_classes(home: Path, folders: list[str]) -> Path:
    """A taxonomy for a world of so few cars that a class of each model would have none on some side of the split."""
    models = sorted({folder.rpartition("_")[0] for folder in folders})
    classes = {"first": models[::2], "second": models[1::2]}
    path = home / "taxonomy.yaml"
    path.write_text(json.dumps({"version": 1, "unknown": "keep", "classes": classes}), encoding="utf-8")
    return path


def live_car_filter(store: Store) -> str:
    """Publish a car filter that costs nothing to train."""
    network = tiny.Tiny(seed=4, classes=("auto", "no_auto"))
    files = {**network.files(), "model.keras": b"only its digest is asked for"}
    work = Work("model", 1, "car_filter", {}, (), home="models/car-filter")
    done = manifest.commit(store, work, files, counts={}, extra={"classes": network.classes, "contract": 1})
    channel.promote(store, "car-filter", model=done.key, reason="test", run="test", at=AT)
    return done.key


def model_in_waiting(store: Store) -> str:
    """A packaged classifier that no channel names."""
    session = Session(make_config(store.url), store)
    return tiny.publish(session, tiny.Tiny().files(), contract=1).key


def contents(store: Store, *, but: dict[str, bytes]) -> dict[str, bytes]:
    """Every object that is no scratch and not known yet."""
    keys = [info.key for info in store.list_objects("") if not info.key.startswith("runs/") and info.key not in but]
    return {key: data for key, data in store.get_many(keys) if data is not None}


def picture(store: Store) -> dict[str, Any]:
    """What readers see of a bucket: manifests, inventories, channels, decisions, labels, but for times and seconds.

    Files are seen through the manifests that refer to them: a file that none refers to is garbage, not a result.
    """
    seen: dict[str, Any] = {}
    for key in sorted(info.key for info in store.list_objects("")):
        if key.startswith(("raw/", "runs/")) or not key.endswith(".json"):
            continue
        if key.startswith("channels/") and "/decisions/" in key:
            decision = plain(json.loads(store.get(key)))
            seen[f"decision {manifest.digest(decision)}"] = decision
        elif key.endswith("/manifest.json") or key.startswith(("channels/", "stages/inventory/log/")):
            seen[key] = plain(json.loads(store.get(key)))
        elif key.startswith("labels/"):
            seen[key] = hashlib.sha256(store.get(key)).hexdigest()
    return seen


def plain(body: dict[str, Any]) -> dict[str, Any]:
    """A manifest, release or decision without what depends on the clock."""
    kept = {name: value for name, value in body.items() if name not in VOLATILE_FIELDS}
    if "extra" in kept:
        kept["extra"] = {name: value for name, value in kept["extra"].items() if name not in VOLATILE_FIELDS}
        if "docs" in body["extra"]:
            kept["extra"]["docs"] = len(body["extra"]["docs"])
    if "files" in kept:
        names = kept["files"]
        kept["files"] = {name: None if is_volatile(name) else names[name]["sha256"] for name in sorted(names)
                         if not name.startswith("data_docs/")}  # fmt: skip
    return kept


def is_volatile(name: str) -> bool:
    """Whether a file tells the time."""
    return name in VOLATILE_FILES


def check_whole(store: Store) -> None:
    """Nothing is half visible: whatever a manifest or channel names is there, byte for byte."""
    for key in [info.key for info in store.list_objects("") if info.key.endswith("/manifest.json")]:
        done = manifest.read(store, key)
        for entry in done.files.values():
            manifest.verified(store, entry)
        for doc in done.extra.get("docs", {}).values():
            store.get(doc)
    for folder in store.list_folders("channels"):
        for release in channel.history(store, folder.rpartition("/")[2]):
            manifest.read(store, release.model)


@contextlib.contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Variables for the time of a block."""
    kept = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)
