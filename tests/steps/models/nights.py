"""Nights of the classifier made by hand: nothing is trained, but all that says how a training starts is there."""

import json

import pandas as pd

from carpipe import manifest
from carpipe.manifest import Work
from carpipe.photos import to_parquet
from carpipe.steps import results
from carpipe.steps.models import train
from carpipe.steps.models.seen import seen_files
from carpipe.steps.models.start import Start, record_of
from carpipe.weights import channel

CLASSES = [f"make_{number}" for number in range(20)]


class Bucket:
    """Nights made by hand: datasets, trainings of them, and models that go live."""

    def __init__(self, session):
        self.session = session
        self.config = session.config.classifier

    def dataset(self, tag, *, classes=(), photos=(), taxonomy=""):
        """`photos`: (key, side, vehicle); without a side it is dropped."""
        table = pd.DataFrame(photos, columns=["key", "split", "vehicle"])
        table["dropped"] = table["split"].map(lambda side: None if side else "other_side")
        files = {results.PHOTOS: to_parquet(table)}
        if taxonomy:
            files[results.TAXONOMY] = taxonomy.encode()
        work = Work("dataset", 1, "all", {"tag": tag}, (f"stages/split/all/{tag}/manifest.json",), home="datasets")
        extra = {"classes": list(classes or CLASSES), "splits": {"train": 1, "val": 1, "test": 1}, "packed": []}
        return manifest.commit(self.session.store, work, files, counts={}, extra=extra)

    def start(self, data, *, config=None, backbone="none"):
        return train.start_of(self.session, config or self.config, data, backbone=backbone)

    def train(self, data, start=None, *, config=None):
        """A training of a dataset, committed as `train` does."""
        config, start = config or self.config, start or Start("a test.")
        work = train.train_work(config, data, model="classifier", backbone="none", start=start)
        files = {results.MODEL: work.fingerprint.encode(), **seen_files(self.session, start, data)}
        extra = {"classes": data.extra["classes"], "dataset": data.key, "start": record_of(start)}
        return manifest.commit(self.session.store, work, files, counts={}, extra=extra)

    def package(self, trained, data):
        work = Work("model", 1, "classifier", {}, (trained.key,), home="models/classifier")
        files = {results.MODEL: manifest.read_file(self.session.store, trained, results.MODEL)}
        if results.TAXONOMY in data.files:
            files[results.TAXONOMY] = manifest.read_file(self.session.store, data, results.TAXONOMY)
        extra = {"classes": data.extra["classes"], "trained": trained.key, "dataset": data.key}
        return manifest.commit(self.session.store, work, files, counts={}, extra=extra)

    def night(self, data, *, config=None):
        """Train as a night would, and let the model go live."""
        start = self.start(data, config=config)
        trained = self.train(data, start, config=config)
        packaged = self.package(trained, data)
        channel.promote(
            self.session.store, "classifier", model=packaged.key, reason="test", run=packaged.key, at="2026-01-01"
        )
        return start, trained, packaged

    def decide(self, outcome, champion, number, *, model="", **facts):
        entry = {
            "model": model or champion, "champion": champion, "run": f"r{number}", "at": f"2026-01-{number:02}",
            "outcome": outcome, "reasons": ["it is so."], "checks": [], "numbers": {}, **facts,
        }  # fmt: skip
        self.session.store.put(f"channels/classifier/decisions/2026-01-{number:02}.json", json.dumps(entry).encode())

    def refused(self, number, *, champion):
        """A night whose model the gate refuses: its start, and the model."""
        data = self.dataset(f"night {number}")
        packaged = self.package(self.train(data, start := self.start(data)), data)
        self.decide("refuse", champion, number, model=packaged.key)
        return start, packaged.key


def changed(bucket, **settings):
    return bucket.config.model_copy(update=settings)
