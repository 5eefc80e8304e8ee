"""When a training starts warm, from what, and what the models before it have seen."""

import json
import re

import pandas as pd
import pytest

from carpipe import manifest
from carpipe.errors import InputError
from carpipe.evaluation.decision import Decision
from carpipe.manifest import Work
from carpipe.photos import from_parquet, to_parquet
from carpipe.steps import results
from carpipe.steps.models import train
from carpipe.steps.models.gate import _count_seen, _with_seen
from carpipe.steps.models.seen import SEEN, count_seen, seen_files, trained_on
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

    def decide(self, outcome, champion, number):
        entry = {
            "model": champion, "champion": champion, "run": f"r{number}", "at": f"2026-01-0{number}",
            "outcome": outcome, "reasons": ["it is so."], "checks": [], "numbers": {},
        }  # fmt: skip
        self.session.store.put(f"channels/classifier/decisions/2026-01-0{number}.json", json.dumps(entry).encode())


@pytest.fixture
def bucket(make_session):
    return Bucket(make_session(classifier__weights="none"))


def changed(bucket, **settings):
    return bucket.config.model_copy(update=settings)


def test_names_of_forgotten_listings_are_not_handed_on(bucket):
    gone = "0b9b1b0e-52f8-4e7c-9a80-0d3b2f9a4c11"
    name = f"raw/audi_a3_2001/x_{gone.upper()}_1.jpg"
    first = bucket.dataset("first", photos=[(name, "train", "v1"), ("raw/b.jpg", "train", "v2")])
    trained = bucket.train(first)
    live = bucket.package(trained, first)
    later = bucket.dataset("later", photos=[("raw/c.jpg", "train", "v3")])
    start = Start("a test.", live, trained, chain=1)
    assert set(seen_of(bucket, start, later)) == {name, "raw/b.jpg"}

    bucket.session.store.put(f"stages/inventory/forgotten/{gone}.json", b"{}")

    assert set(seen_of(bucket, start, later)) == {"raw/b.jpg"}


def seen_of(bucket, start, data):
    return from_parquet(seen_files(bucket.session, start, data)[SEEN])["key"]


def test_the_first_training_is_cold_and_the_next_ones_are_warm(bucket):
    first, trained, live = bucket.night(bucket.dataset("a"))
    second, _, _ = bucket.night(bucket.dataset("b"))
    third = bucket.start(bucket.dataset("c"))

    assert str(first) == "cold: nothing is live in channel classifier."
    assert (second.kind, second.live.key, second.trained.key) == ("warm", live.key, trained.key)
    assert (second.chain, third.chain) == (1, 2)
    assert second.parts == {name: [name] for name in CLASSES}


def test_a_night_with_nothing_new_is_that_of_before(bucket):
    data = bucket.dataset("a")
    bucket.night(data)
    bucket.night(other := bucket.dataset("b"))

    found = bucket.start(other)

    assert found.done
    assert found.trained.extra["dataset"] == other.key
    assert not bucket.start(other, config=changed(bucket, start="cold")).done, "the live one was warm"
    assert not bucket.start(data).done


def test_what_comes_next_is_foreseen(bucket):
    assert train.foresee_start(bucket.session).endswith("starts cold: there is no dataset yet.")
    data = bucket.dataset("a")
    assert "starts cold: nothing is live" in train.foresee_start(bucket.session)
    bucket.night(data)
    assert train.foresee_start(bucket.session).startswith("Without a new dataset the classifier is not trained")
    bucket.dataset("b", classes=[*CLASSES, "new"])
    assert "starts warm from models/classifier/" in train.foresee_start(bucket.session)


def test_a_cold_training_is_the_same_work_whatever_a_warm_one_would_be(bucket):
    data = bucket.dataset("a")
    works = {
        train.train_work(config, data, model="classifier", backbone="none", start=Start("")).key
        for config in (bucket.config, changed(bucket, start="cold", warm_epochs=9, cold_every=3))
    }

    assert len(works) == 1


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"start": "cold"}, "the setting `classifier.start` says so"),
        ({"image_size": 260}, r"other settings \(image_size\)"),
        ({"label_smoothing": 0.0, "seed": 5}, r"other settings \(label_smoothing, seed\)"),
        ({"backbone": "EfficientNetB2"}, "another backbone"),
        ({"alpha": 0.5}, "another backbone"),
        ({"cold_every": 1}, "1 trainings in a row were warm"),
    ],
)
def test_what_speaks_against_a_warm_start(bucket, settings, why):
    bucket.night(bucket.dataset("a"))
    bucket.night(bucket.dataset("b"))

    found = bucket.start(bucket.dataset("c"), config=changed(bucket, **settings))

    assert found.kind == "cold"
    assert re.search(why, found.why)


def test_other_weights_of_the_backbone_start_cold(bucket):
    bucket.night(bucket.dataset("a"))

    assert "another one's weights" in bucket.start(bucket.dataset("b"), backbone="imagenet").why


@pytest.mark.parametrize(("new", "kind"), [(2, "warm"), (3, "cold")])
def test_few_classes_may_change(bucket, new, kind):
    bucket.night(bucket.dataset("a"))
    classes = [*CLASSES, *(f"new_{number}" for number in range(new))]

    found = bucket.start(bucket.dataset("b", classes=classes))

    assert found.kind == kind
    assert kind == "warm" or "13% of the classes are new, merged or gone" in found.why


def test_a_merged_class_has_its_parts_and_a_renamed_one_is_no_change(bucket):
    before = "version: 1\ndescription: x\nunknown: keep\n"
    after = before + "classes:\n  make_x: [make_0, make_1]\n  make_y: [make_2]\n"
    bucket.night(bucket.dataset("a", taxonomy=before))
    merged = ["make_x", "make_y", *CLASSES[3:]]

    found = bucket.start(bucket.dataset("b", classes=merged, taxonomy=after))

    assert found.kind == "warm"
    assert found.parts["make_x"] == ["make_0", "make_1"]
    assert found.parts["make_y"] == ["make_2"]
    tight = changed(bucket, cold_changed=0.05)
    assert "5% of the classes" in bucket.start(bucket.dataset("b", classes=merged, taxonomy=after), config=tight).why


def test_three_refusals_in_a_row_start_cold(bucket):
    _, _, live = bucket.night(bucket.dataset("a"))
    data = bucket.dataset("b")
    bucket.decide("refuse", "", 1)
    for number, outcome in enumerate(("refuse", "nothing_to_do", "refuse"), 2):
        bucket.decide(outcome, live.key, number)
    assert bucket.start(data).kind == "warm"

    bucket.decide("refuse", live.key, 5)
    assert bucket.start(data).why == "the gate has refused 3 models in a row (`classifier.cold_refusals`)."

    bucket.decide("ask", live.key, 6)
    assert bucket.start(data).kind == "warm"


def test_warm_alone_takes_what_auto_would_not_and_says_what_cannot_be(bucket):
    data = bucket.dataset("b")
    warm = changed(bucket, start="warm", image_size=260, cold_every=1)
    assert bucket.start(data, config=warm).kind == "cold", "nothing is live"
    bucket.night(bucket.dataset("a"))

    assert bucket.start(data, config=warm).kind == "warm"
    with pytest.raises(InputError, match=r"No training can start warm: .*another backbone.*`auto` or `cold`"):
        bucket.start(data, config=changed(bucket, start="warm", backbone="VGG16"))


def test_a_model_whose_dataset_is_gone_is_not_started_from(bucket):
    data = bucket.dataset("a")
    bucket.night(data)
    bucket.session.store.delete([data.key])

    assert bucket.start(bucket.dataset("b")).kind == "cold"


def test_what_a_chain_has_seen_is_remembered_where_two_vehicles_turned_out_to_be_one(bucket):
    """The car of `b` was trained on, and is that of `c`, which is tested on: `b` leaves the dataset."""
    sides = {"a": "train", "b": "train", "c": "test", "d": "test"}
    photos = [(f"{name}.jpg", side, name) for name, side in sides.items()]
    merged = [photos[0], ("b.jpg", None, "c"), *photos[2:]]
    first, second = bucket.dataset("1", photos=photos), bucket.dataset("2", photos=merged)
    third = bucket.dataset("3", photos=[*merged, ("e.jpg", "train", "e")])

    _, one, _ = bucket.night(first)
    _, two, _ = bucket.night(second)
    start, three, _ = bucket.night(third)

    assert start.chain == 2
    assert set(trained_on(bucket.session, three)) == {"a.jpg", "b.jpg", "e.jpg"}
    assert count_seen(bucket.session, one, first) == {"photos": 0, "vehicles": 0}
    for trained, data in ((one, second), (two, second), (three, third)):
        assert count_seen(bucket.session, trained, data) == {"photos": 1, "vehicles": 1}
    cold = bucket.train(third)
    assert count_seen(bucket.session, cold, third) == {"photos": 0, "vehicles": 0}


def test_the_gate_counts_what_either_model_has_seen(bucket):
    first = bucket.dataset("1", photos=[("a.jpg", "train", "a"), ("b.jpg", "test", "b")])
    second = bucket.dataset("2", photos=[("a.jpg", None, "b"), ("b.jpg", "test", "b")])
    bucket.night(first)
    candidate = bucket.package(bucket.train(second), second)
    release = channel.read_channel(bucket.session.store, "classifier")

    seen = _count_seen(bucket.session, candidate, release)

    assert seen == {"candidate": {"photos": 0, "vehicles": 0}, "champion": {"photos": 1, "vehicles": 1}}
    bucket.session.store.delete([first.key])
    assert set(_count_seen(bucket.session, candidate, release)) == {"candidate"}


def test_the_gate_says_what_was_seen_and_decides_nothing_by_it():
    before = Decision("publish", ("it is better.",), {"photos": 9})
    seen = {"candidate": {"photos": 0, "vehicles": 0}, "champion": {"photos": 1200, "vehicles": 31}}

    said = _with_seen(before, seen)

    assert (said.outcome, said.reasons, said.numbers) == ("publish", before.reasons, {"photos": 9, "seen": seen})
    assert "by the live one 1,200 (of 31 vehicles)" in said.render()
    assert "the new model" not in said.render()
