"""The live model answers what is new before it is trained on: what counts as new, as right, and what is kept."""

import io
import json
import re

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from carpipe import manifest
from carpipe.cli import main
from carpipe.errors import AccessError, UnavailableError
from carpipe.evaluation.decision import Decision
from carpipe.manifest import Work
from carpipe.photos import blobs_to_parquet, to_parquet
from carpipe.steps import results
from carpipe.steps.models import score as module
from carpipe.steps.models.decisions import parse_decision
from carpipe.steps.models.gate import _with_newest
from carpipe.steps.models.score import read_scores, score
from carpipe.steps.models.score_log import accuracy_of, find_score, scores
from carpipe.steps.models.seen import SEEN
from carpipe.steps.upkeep.copies import copy_without
from carpipe.steps.upkeep.forget import forget
from carpipe.weights import channel

AT = "2026-02-01T03:00:00Z"
COLOURS = {"red": (220, 30, 30), "green": (30, 220, 30), "blue": (30, 30, 220)}
PLAIN = "version: 1\nunknown: keep\n"


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """Sees which colour a picture is of."""
    inputs = keras.Input((8, 8, 3), dtype="uint8", name="picture")
    mean = keras.layers.GlobalAveragePooling2D()(keras.ops.cast(inputs, "float32"))
    outputs = keras.layers.Dense(3, activation="softmax", name="probabilities")(mean)
    model = keras.Model(inputs, outputs)
    model.get_layer("probabilities").set_weights([np.eye(3, dtype=np.float32) / 20, np.zeros(3, np.float32)])
    path = tmp_path_factory.mktemp("network") / "model.keras"
    model.save(path)
    return path.read_bytes()


def jpeg(colour):
    sink = io.BytesIO()
    Image.new("RGB", (12, 9), COLOURS[colour]).save(sink, "JPEG", quality=95)
    return sink.getvalue()


def photo(key, listing, *, shows="red", is_a="", vehicle="", model="", dropped=None, by=None, partition="p00000-a"):
    """A row of a photo table, and what its crop shows."""
    row = {
        "key": key, "listing_uuid": listing, "vehicle": vehicle or listing, "model": model or is_a or shows,
        "class_name": is_a or shows, "partition": partition, "split": None if dropped else "train",
        "dropped": dropped, "dropped_by": by,
    }  # fmt: skip
    return row, shows


class Bucket:
    """Nights by hand: partitions with crops, datasets made of them, and models that go live."""

    def __init__(self, session, network):
        self.session, self.store, self.network = session, session.store, network
        self.crops = {}  # of photos whose crop is not the one drawn

    def commit(self, stage, tag, files=None, inputs=(), *, partition="all", home="", extra=None):
        work = Work(stage, 1, partition, {"tag": tag}, tuple(inputs), home=home)
        return manifest.commit(self.store, work, files or {}, counts={}, extra=extra or {})

    def dataset(self, tag, photos, *, taxonomy=PLAIN, classes=tuple(COLOURS)):
        crops = {}
        for row, shows in photos:
            if row["dropped_by"] not in ("clean", "filter", "crop"):
                crops.setdefault(row["partition"], {})[row["key"]] = self.crops.get(row["key"], jpeg(shows))
        cropped = [
            self.commit("crop", "", {results.CROPS: blobs_to_parquet(blobs)}, partition=partition).key
            for partition, blobs in sorted(crops.items())
        ]
        chain = self.commit("identify", tag, inputs=cropped).key
        for stage in ("classes", "split"):
            chain = self.commit(stage, tag, inputs=[chain]).key
        table = pd.DataFrame([row for row, _ in photos])
        for name in ("dropped", "dropped_by", "split", "listing_uuid", "vehicle"):
            table[name] = table[name].astype("str")
        files = {results.PHOTOS: to_parquet(table), results.TAXONOMY: taxonomy.encode()}
        extra = {"classes": list(classes), "splits": {}, "packed": []}
        return self.commit("dataset", tag, files, [chain], home="datasets", extra=extra)

    def live(self, data, *, tag="", seen=(), classes=tuple(COLOURS), taxonomy=PLAIN, run="r", judged=None, **files):
        """A model that was trained on a dataset, made live; `judged`: its evaluation."""
        before = {SEEN: to_parquet(pd.DataFrame({"key": list(seen)}))} if seen else {}
        trained = self.commit("train", data.key + tag, before, extra={"dataset": data.key, "classes": list(classes)})
        packaged = {
            results.MODEL: self.network, "calibration.json": b'{"temperature": 1.0}',
            results.TAXONOMY: taxonomy.encode(), **files,
        }  # fmt: skip
        extra = {"classes": list(classes), "trained": trained.key, "dataset": data.key,
                 "metrics": {"test_accuracy": 0.75}}  # fmt: skip
        made_of = [(judged or trained).key]
        model = self.commit("model", tag, packaged, made_of, home="models/classifier", extra=extra)
        channel.promote(self.store, "classifier", model=model.key, reason="test", run=model.key + run, at=AT)
        return model

    def keys(self, prefix):
        return [info.key for info in self.store.list_objects(prefix)]

    def entry(self, model, data):
        return find_score(self.session, "classifier", model=model.key, dataset=data.key)


@pytest.fixture
def bucket(session, network):
    return Bucket(session, network)


OLD = [photo("a", "a", shows="red"), photo("b", "b", shows="green"), photo("c", "c", shows="blue")]
# Right, right, wrong.
NEW = [
    photo("d", "d", shows="red", partition="p00001-b"),
    photo("e", "e", shows="green", partition="p00001-b"),
    photo("f", "e", shows="blue", is_a="green", partition="p00001-b"),
]


def test_new_listings_are_answered_and_the_rest_is_not(bucket):
    live = bucket.live(bucket.dataset("old", OLD))
    data = bucket.dataset("new", [*OLD, *NEW])

    said = score(bucket.session, data.key, at=AT)

    entry = bucket.entry(live, data)
    assert (entry["photos"], entry["listings"], entry["vehicles"], entry["correct"]) == (3, 2, 2, 2)
    assert entry["accuracy"] == pytest.approx(2 / 3)
    assert 0 <= entry["low"] < 2 / 3 < entry["high"] <= 1
    assert (entry["generation"], entry["at"], entry["test_accuracy"]) == (1, AT, 0.75)
    assert "66.7 % of 3 photos of 2 listings rightly" in said
    assert "On its own test photos it was right on 75.0 %." in said
    [folder] = bucket.store.list_folders("stages/score")
    assert folder.endswith("/p00001-b"), "a partition without a new listing has no object"
    [key] = [key for key in bucket.keys("stages/score") if key.endswith("manifest.json")]
    top = read_scores(bucket.session, manifest.read(bucket.store, key))
    given = top.photos.set_index("key")["p_given"]
    assert [given[row["key"]] > 0.5 for row, _ in NEW] == [True, True, False], "by the class of the folder"
    answers = dict(zip(top.photos["key"], top.answer, strict=True))
    assert answers == {"d": "red", "e": "green", "f": "blue"}
    assert top.p.shape == (3, 3)
    assert np.isfinite(top.energy).all()


def test_which_photos_count_and_what_was_answered_is_kept(bucket):
    live = bucket.live(bucket.dataset("old", OLD))
    data = bucket.dataset("new", [*OLD, *NEW, photo("g", "g", shows="red", dropped="duplicate", by="identify")])
    score(bucket.session, data.key, at=AT)

    done = manifest.read(bucket.store, bucket.entry(live, data)["judged"])

    assert done.inputs == [data.key, live.key]
    assert manifest.read_json(bucket.store, done, results.NEWEST_PHOTOS) == {
        "photos": ["d", "e", "f"], "answers": ["red", "green", "blue"], "correct": [True, True, False]
    }  # fmt: skip


def test_what_is_asked_again_costs_no_forward_pass(bucket, monkeypatch):
    bucket.live(bucket.dataset("old", OLD))
    data = bucket.dataset("new", [*OLD, *NEW])
    first = score(bucket.session, data.key, at=AT)
    before = bucket.keys("")
    monkeypatch.setattr(module, "load_trained", None)

    assert score(bucket.session, data.key, at="2026-02-02T03:00:00Z") == f"Known already. {first}"
    # The same crops in another dataset, with a class by another name: the answers stay, their truth is another.
    later = bucket.dataset("later", [*OLD, *NEW[:2], photo("f", "e", shows="blue", partition="p00001-b")])
    assert "100.0 % of 3 photos" in score(bucket.session, later.key, at="2026-02-02T03:00:00Z")

    written = {key for key in bucket.keys("") if key not in before and not key.startswith(("datasets/", "stages/"))}
    assert len(written) == 1
    assert next(iter(written)).startswith("channels/classifier/scores/2026-02-02T030000Z-")
    assert [key for key in bucket.keys("stages/score") if key not in before] == []


@pytest.mark.parametrize("rows", [OLD, OLD[:2]])
def test_a_night_with_nothing_new_writes_nothing_and_asks_nobody(bucket, monkeypatch, rows):
    bucket.live(bucket.dataset("old", OLD))
    data = bucket.dataset("new", rows)
    before = bucket.keys("")
    monkeypatch.setattr(module, "load_trained", None)
    monkeypatch.setattr(module, "by_partition", None)

    said = score(bucket.session, data.key, at=AT)

    assert said == "No listing is newer than the dataset that the live model was trained on."
    assert bucket.keys("") == before


@pytest.mark.parametrize("by", ["clean", "filter", "crop"])
def test_a_new_listing_without_a_crop_is_nothing_to_answer(bucket, by):
    bucket.live(bucket.dataset("old", OLD))
    out = photo("d", "d", dropped="it", by=by, partition="p00001-b")

    said = score(bucket.session, bucket.dataset("new", [*OLD, out]).key, at=AT)

    assert "No listing is newer" in said
    assert bucket.keys("stages/score") == bucket.keys("channels/classifier/scores") == []


def test_the_dataset_that_it_was_trained_on_is_not_even_read(bucket, monkeypatch):
    data = bucket.dataset("old", OLD)
    bucket.live(data)
    monkeypatch.setattr(results, "read_photos", None)

    assert "No listing is newer" in score(bucket.session, data.key, at=AT)


def test_a_later_night_answers_the_new_partition_only(bucket):
    bucket.live(bucket.dataset("old", OLD))
    score(bucket.session, bucket.dataset("new", [*OLD, *NEW]).key, at=AT)
    before = bucket.keys("stages/score")
    more = [photo("g", "g", shows="blue", partition="p00002-c")]

    said = score(bucket.session, bucket.dataset("third", [*OLD, *NEW, *more]).key, at="2026-02-02T03:00:00Z")

    assert "75.0 % of 4 photos of 3 listings" in said
    fresh = {key.split("/")[2] for key in bucket.keys("stages/score") if key not in before}
    assert fresh == {"p00002-c"}
    assert [entry["photos"] for entry in scores(bucket.session, "classifier")] == [3, 4]


def test_another_live_model_is_asked_anew_and_knows_more(bucket):
    old, new = bucket.dataset("old", OLD), bucket.dataset("new", [*OLD, *NEW])
    bucket.live(old)
    score(bucket.session, new.key, at=AT)
    second = bucket.live(new, tag="second")
    third = bucket.dataset("third", [*OLD, *NEW, photo("g", "g", shows="blue", partition="p00002-c")])

    score(bucket.session, third.key, at=AT)

    assert (bucket.entry(second, third)["photos"], bucket.entry(second, third)["generation"]) == (1, 2)


RELISTED = {
    # By its name it is new, and `identify` found that it is a car of before.
    "relisted": (photo("d", "d", vehicle="a", partition="p00001-b"), "seen_vehicle"),
    "class it does not know": (photo("d", "d", is_a="yellow", partition="p00001-b"), "unknown_class"),
    "dropped since": (photo("d", "d", dropped="too_few_photos", by="classes", partition="p00001-b"), "not_in_dataset"),
}


@pytest.mark.parametrize(("one", "why"), RELISTED.values(), ids=RELISTED.keys())
def test_what_does_not_count_is_counted_apart(bucket, one, why):
    live = bucket.live(bucket.dataset("old", OLD))
    data = bucket.dataset("new", [*OLD, one], classes=(*COLOURS, "yellow"))

    said = score(bucket.session, data.key, at=AT)

    entry = bucket.entry(live, data)
    assert {name: count["photos"] for name, count in entry["apart"].items() if count["photos"]} == {why: 1}
    assert (entry["photos"], entry["accuracy"], entry["low"], entry["high"]) == (0, None, None, None)
    assert said.startswith("No photo of a new listing can be counted. Apart from these, 1 ")


def test_a_car_that_is_known_by_a_dropped_photo_alone_is_no_new_one(bucket):
    """Its dashboard links the listings; no photo of the old one was ever trained on."""
    old = [*OLD, photo("x", "x", dropped="not_a_car", by="filter")]
    live = bucket.live(bucket.dataset("old", old))
    now = [*OLD, photo("x", "x", dropped="not_a_car", by="filter", vehicle="x")]
    data = bucket.dataset("new", [*now, photo("d", "d", vehicle="x", partition="p00001-b")])

    score(bucket.session, data.key, at=AT)

    assert bucket.entry(live, data)["apart"]["seen_vehicle"] == {"photos": 1, "listings": 1}


@pytest.mark.parametrize("reason", [("not_a_car", "filter"), ("no_vehicle", "crop"), ("in_two_splits", "split")])
def test_a_listing_of_before_is_never_new_whatever_became_of_it(bucket, reason):
    dropped, by = reason
    bucket.live(bucket.dataset("old", [*OLD, photo("x", "x", dropped=dropped, by=by)]))
    # Another photo of it has come later.
    data = bucket.dataset("new", [*OLD, photo("x", "x"), photo("y", "x", partition="p00001-b")])

    assert "No listing is newer" in score(bucket.session, data.key, at=AT)


def test_what_a_model_before_it_was_trained_on_is_not_new(bucket):
    """A warm training on an older dataset: the listing is in none of its rows, and it has learnt from it."""
    live = bucket.live(bucket.dataset("old", OLD), seen=["d"])
    data = bucket.dataset("new", [*OLD, *NEW, photo("g", "g", vehicle="d", partition="p00001-b")])

    score(bucket.session, data.key, at=AT)

    entry = bucket.entry(live, data)
    assert (entry["photos"], entry["listings"]) == (2, 1), "e and f"
    assert entry["apart"]["seen_vehicle"]["photos"] == 1, "g shows the car of d"
    [key] = [key for key in bucket.keys("stages/score") if key.endswith("manifest.json")]
    assert "d" not in set(read_scores(bucket.session, manifest.read(bucket.store, key)).photos["key"])


def test_classes_that_were_merged_renamed_or_split_are_compared_as_such(bucket):
    before = PLAIN + "classes:\n  green: [green, lime]\n"
    after = PLAIN + "classes:\n  warm: [red, blue]\n  lime: [lime]\n"
    live = bucket.live(bucket.dataset("old", OLD), taxonomy=before)
    here = {"partition": "p00001-b"}
    new = [
        photo("d", "d", shows="red", model="blue", is_a="warm", **here),  # red and blue are one by now: right
        photo("e", "e", shows="green", model="lime", is_a="lime", **here),  # then it was a green one: right
        photo("f", "f", shows="green", model="green", is_a="green", **here),  # right
        photo("g", "g", shows="red", model="lime", is_a="lime", **here),  # wrong
        photo("h", "h", shows="green", model="black", is_a="black", **here),  # not known then nor now
    ]
    data = bucket.dataset("new", [*OLD, *new], taxonomy=after, classes=("warm", "green", "lime", "black"))

    score(bucket.session, data.key, at=AT)

    entry = bucket.entry(live, data)
    assert (entry["photos"], entry["correct"]) == (4, 3)
    assert entry["apart"]["unknown_class"] == {"photos": 1, "listings": 1}


def test_an_overwritten_photo_counts_in_its_new_version(bucket):
    live = bucket.live(bucket.dataset("old", OLD))
    rows = [
        photo("d", "d", shows="blue", is_a="red", dropped="superseded", by="identify", partition="p00001-b"),
        photo("d", "d", shows="red", partition="p00002-c"),
    ]
    data = bucket.dataset("new", [*OLD, *rows])

    score(bucket.session, data.key, at=AT)

    entry = bucket.entry(live, data)
    assert (entry["photos"], entry["correct"]) == (1, 1)
    assert entry["apart"]["not_in_dataset"]["photos"] == 1


def test_where_nobody_can_be_asked_it_is_a_sentence(bucket):
    old, data = bucket.dataset("old", OLD), bucket.dataset("new", [*OLD, *NEW])
    assert "Nothing is live in channel classifier" in score(bucket.session, data.key, at=AT)

    bucket.live(old)
    bucket.store.delete([old.key])
    said = score(bucket.session, data.key, at=AT)
    assert said.startswith("The newest listings were not answered.")
    assert old.key in said
    assert bucket.keys("stages/score") == bucket.keys("channels/classifier/scores") == []


def test_a_model_that_cannot_be_loaded_is_a_sentence(bucket, network):
    bucket.network = b"oops"
    bucket.live(bucket.dataset("old", OLD))

    said = score(bucket.session, bucket.dataset("new", [*OLD, *NEW]).key, at=AT)

    assert "model.keras is no Keras model" in said


ODD = {
    "no temperature": ({"calibration.json": b"{}"}, {}, "calibration.json of .* it has no 'temperature'"),
    "a text": ({"calibration.json": b'{"temperature": "x"}'}, {}, "temperature: expected a number, got 'x'"),
    "zero": ({"calibration.json": b'{"temperature": 0}'}, {}, "temperature: expected at least 0.001, got 0"),
    "a list": ({"calibration.json": b"[]"}, {}, "calibration.json of .* is not what the contract says"),
    "no JSON": ({"calibration.json": b"oops"}, {}, "calibration.json of "),
    "other classes": ({}, {"classes": ["red", "green"]}, "answers 3 classes, and has names for 2"),
    "no classes": ({}, {"classes": []}, "its class names or model.keras are missing"),
}


@pytest.mark.parametrize(("files", "more", "says"), ODD.values(), ids=ODD.keys())
def test_an_odd_live_model_is_a_sentence(bucket, files, more, says):
    """A night must not end here, whatever the model's small files hold."""
    bucket.live(bucket.dataset("old", OLD), **files, **more)

    said = score(bucket.session, bucket.dataset("new", [*OLD, *NEW]).key, at=AT)

    assert said.startswith("The newest listings were not answered.")
    assert re.search(says, said), said
    assert bucket.keys("stages/score") == bucket.keys("channels/classifier/scores") == []


def test_datasets_that_do_not_say_where_crops_are_are_a_sentence(bucket):
    bucket.live(bucket.dataset("old", OLD))
    new = bucket.dataset("new", [*OLD, *NEW])
    files = {name: manifest.read_file(bucket.store, new, name) for name in new.files}
    alone = bucket.commit("dataset", "alone", files, home="datasets", extra=new.extra)
    assert "does not say what it was made from" in score(bucket.session, alone.key, at=AT)

    chain = bucket.commit("identify", "odd", inputs=["stages/crop/p00000-a/x/manifest.json"]).key
    for stage in ("classes", "split"):
        chain = bucket.commit(stage, "odd", inputs=[chain]).key
    other = bucket.commit("dataset", "other", files, [chain], home="datasets", extra=new.extra)
    said = score(bucket.session, other.key, at=AT)
    assert "does not say where the crops of partition p00001-b are" in said


@pytest.mark.parametrize("odd", [b"", b"oops", jpeg("green")[:400]], ids=["empty", "no JPEG", "cut off"])
def test_a_crop_that_is_no_picture_is_named_and_the_rest_is_answered(bucket, caplog, odd):
    live = bucket.live(bucket.dataset("old", OLD))
    bucket.crops = {"e": odd}
    data = bucket.dataset("new", [*OLD, *NEW])

    said = score(bucket.session, data.key, at=AT)

    entry = bucket.entry(live, data)
    assert (entry["photos"], entry["correct"], entry["apart"]["no_crop"]["photos"]) == (2, 1, 1)
    assert said.endswith("Apart from these, 1 is without a crop that can be read.")
    assert "The crop of e in stages/crop/p00001-b/" in caplog.text


def test_a_partition_without_any_picture_is_not_asked_again(bucket):
    live = bucket.live(bucket.dataset("old", OLD))
    bucket.crops = dict.fromkeys("def", b"oops")
    data = bucket.dataset("new", [*OLD, *NEW])

    assert score(bucket.session, data.key, at=AT).startswith("No photo of a new listing can be counted.")

    assert bucket.entry(live, data)["apart"]["no_crop"]["photos"] == 3
    [key] = [key for key in bucket.keys("stages/score") if key.endswith("manifest.json")]
    assert len(read_scores(bucket.session, manifest.read(bucket.store, key)).photos) == 0


def test_a_bucket_that_refuses_is_a_sentence_and_one_that_is_away_is_tried_again(bucket, monkeypatch):
    bucket.live(bucket.dataset("old", OLD))
    data = bucket.dataset("new", [*OLD, *NEW])

    def fail(error):
        def put(*_):
            raise error

        monkeypatch.setattr(module, "record_score", put)

    fail(AccessError("Nobody may write there."))
    assert "were not answered. Nobody may write there." in score(bucket.session, data.key, at=AT)
    fail(UnavailableError("It is away."))
    with pytest.raises(UnavailableError):
        score(bucket.session, data.key, at=AT)


@pytest.mark.parametrize("metrics", [None, {}, {"test_accuracy": float("nan")}, {"test_accuracy": "good"}])
def test_a_model_that_does_not_say_how_good_it_is_has_an_entry_all_the_same(bucket, metrics):
    model = bucket.commit("model", "x", home="models/classifier", extra={"metrics": metrics})

    assert accuracy_of(model) is None


def test_an_odd_entry_is_passed_over(bucket, caplog):
    live = bucket.live(bucket.dataset("old", OLD))
    data = bucket.dataset("new", [*OLD, *NEW])
    score(bucket.session, data.key, at=AT)
    [key] = bucket.keys("channels/classifier/scores")
    body = json.loads(bucket.store.get(key))
    odd = {
        "a": b"oops",
        "b": json.dumps({**body, "accuracy": 7}).encode(),
        "c": json.dumps({**body, "low": None}).encode(),
        "d": json.dumps({**body, "apart": {"x": {}}}).encode(),
        "e": json.dumps({**body, "form": 2}).encode(),
        "f": json.dumps({**body, "photos": True}).encode(),
        "g": json.dumps({**body, "at": "yesterday"}).encode(),
    }
    for name, content in odd.items():
        bucket.store.put(f"channels/classifier/scores/{name}.json", content)
    bucket.store.put("channels/classifier/scores/z.json", json.dumps({**body, "reviewed": [1]}).encode())

    assert len(scores(bucket.session, "classifier")) == 2
    assert caplog.text.count("It is passed over.") == len(odd)
    assert bucket.entry(live, data)["photos"] == 3


def test_the_gate_tells_it_and_decides_as_without_it(bucket):
    live = bucket.live(bucket.dataset("old", OLD))
    data = bucket.dataset("new", [*OLD, *NEW])
    candidate = bucket.commit("model", "candidate", home="models/classifier", extra={"dataset": data.key})
    release = channel.read_channel(bucket.store, "classifier")
    plain = Decision("publish", ("Better.",), {"photos": 9})
    assert _with_newest(bucket.session, plain, candidate, release) == plain

    score(bucket.session, data.key, at=AT)
    told = _with_newest(bucket.session, plain, candidate, release)

    assert (told.outcome, told.reasons) == (plain.outcome, plain.reasons)
    assert told.numbers["photos"] == 9
    assert told.numbers["newest"]["accuracy"] == pytest.approx(2 / 3)
    [check] = told.checks
    assert (check.name, check.ok) == ("newest", True)
    assert "66.7 % of 3 photos" in check.message
    entry = {**told.to_json(), "model": candidate.key, "champion": live.key, "run": "r", "at": AT}
    assert parse_decision(json.dumps(entry).encode(), key="x")["numbers"]["newest"]["photos"] == 3


def test_people_can_ask_for_it(bucket, monkeypatch, capsys):
    bucket.live(bucket.dataset("old", OLD))
    data = bucket.dataset("new", [*OLD, *NEW])
    monkeypatch.setenv("CARPIPE_STORE", bucket.store.url)

    assert main(["step", "score", data.key]) == 0
    assert "66.7 % of 3 photos of 2 listings rightly" in capsys.readouterr().out
    assert main(["weights", "show", "classifier"]) == 0
    assert "66.7 % of 3 photos of 2 listings right (" in capsys.readouterr().out


def test_forgetting_a_listing_takes_its_answers_along(bucket):
    """They are made anew when somebody asks, without it."""
    bucket.live(bucket.dataset("old", OLD))
    score(bucket.session, bucket.dataset("new", [*OLD, *NEW]).key, at=AT)
    table = pd.DataFrame({"key": ["d", "e", "f"], "etag": "x", "dropped": None, "dropped_by": None})
    files = {results.PHOTOS: to_parquet(table)}
    own = bucket.commit("inventory", "", files, partition="p00001-b")
    [mine] = bucket.store.list_folders("stages/score/p00001-b")

    copy = copy_without(bucket.session, {"partition": "p00001-b", "manifest": own.key, "photos": 3}, {"d"}, listing="d")

    assert mine in copy.folders
    assert copy.entry["photos"] == 2
    assert bucket.store.list_folders("stages/score") == ["stages/score/p00001-b"]


def test_forgetting_a_listing_takes_along_what_names_its_photos(bucket):
    listing = "0b9b1b0e-52f8-4e7c-9a80-0d3b2f9a4c11"
    key = f"red_2025/1_1_{listing}_x.jpg"
    live = bucket.live(bucket.dataset("old", OLD))
    data = bucket.dataset("new", [*OLD, photo(key, listing, shows="red", partition="p00001-b")])
    score(bucket.session, data.key, at=AT)
    judged = bucket.entry(live, data)["judged"]
    assert judged in bucket.keys("stages/newest")
    bucket.store.put(f"raw/{key}", b"x")

    forget(bucket.session, listing, at=AT)

    assert bucket.keys("stages/newest") == []
