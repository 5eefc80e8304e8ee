"""When a training starts warm, from what, and what the models before it have seen."""

import json
import re
from dataclasses import replace

import pytest

from carpipe import manifest
from carpipe.errors import InputError
from carpipe.evaluation.decision import Decision
from carpipe.photos import from_parquet
from carpipe.steps.models import train
from carpipe.steps.models.evaluate import evaluate_work
from carpipe.steps.models.foresee import foresee_start
from carpipe.steps.models.gate import _count_seen, _with_seen
from carpipe.steps.models.package import package_work
from carpipe.steps.models.seen import SEEN, count_seen, seen_files, trained_on
from carpipe.steps.models.start import Start
from carpipe.weights import channel
from tests.steps.models.nights import CLASSES, Bucket, changed


@pytest.fixture
def bucket(make_session):
    return Bucket(make_session(classifier__weights="none"))


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
    assert foresee_start(bucket.session, new_dataset=False).endswith("starts cold: there is no dataset yet.")
    data = bucket.dataset("a")
    assert "starts cold: nothing is live" in foresee_start(bucket.session, new_dataset=False)
    bucket.night(data)
    said = foresee_start(bucket.session, new_dataset=False)
    assert said.startswith("Without a new dataset the classifier is not trained")
    assert "starts warm from models/classifier/" in foresee_start(bucket.session, new_dataset=True)
    bucket.dataset("b", classes=[*CLASSES, "new"])
    assert "starts warm from models/classifier/" in foresee_start(bucket.session, new_dataset=False)


def test_what_was_refused_is_not_foreseen_as_a_training(bucket):
    live = bucket.night(bucket.dataset("a"))[2]
    data = bucket.dataset("b")
    trained = bucket.train(data, bucket.start(data))
    store = bucket.session.store
    judged = manifest.commit(store, evaluate_work(bucket.session, trained, data), {}, counts={})
    packaged = manifest.commit(store, package_work(bucket.config, judged.key, model="classifier"), {}, counts={})
    assert "starts warm from" in foresee_start(bucket.session, new_dataset=False)

    bucket.decide("refuse", live.key, 1, model=packaged.key, rules=bucket.session.config.gate.decisive())

    said = foresee_start(bucket.session, new_dataset=False)
    assert said.startswith("Without a new dataset the classifier is not trained")
    assert said.endswith("It was refused by run r1.")
    assert "starts warm from" in foresee_start(bucket.session, new_dataset=True)


def test_a_start_that_cannot_be_foreseen_is_a_sentence_and_no_plan_is_lost(bucket):
    bucket.night(bucket.dataset("a"))
    bucket.dataset("b")
    told = "How the next training of the classifier starts cannot be told from here: "

    other = replace(bucket.session, config=with_classifier(bucket, start="warm", backbone="VGG16"))
    assert foresee_start(other, new_dataset=False).startswith(
        f"{told}No training can start warm: the live model has another"
    )
    gone = replace(bucket.session, config=with_classifier(bucket, weights="s3:weights/none.h5"))
    assert foresee_start(gone, new_dataset=False).startswith(f"{told}There are no weights")
    bucket.session.store.put("channels/classifier/decisions/odd.json", b"[]")
    said = foresee_start(bucket.session, new_dataset=False)
    assert said.startswith(f"{told}channels/classifier/decisions/odd.json is not a decision of the gate")


def with_classifier(bucket, **settings):
    return bucket.session.config.model_copy(update={"classifier": changed(bucket, **settings)})


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
        ({"cold_every": 1}, r"the last training was warm \(`classifier.cold_every`\)"),
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
    assert kind == "warm" or "13.0 % of the classes are new, merged or gone" in found.why


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
    assert "5.3 % of the classes" in bucket.start(bucket.dataset("b", classes=merged, taxonomy=after), config=tight).why


def test_three_refusals_in_a_row_start_one_training_cold(bucket):
    _, _, live = bucket.night(bucket.dataset("a"))

    starts = [bucket.refused(number, champion=live.key)[0] for number in range(2, 10)]

    assert "".join(start.kind[0] for start in starts) == "wwwcwwwc"
    assert starts[3].why == "the gate has refused the last 3 warm models (`classifier.cold_refusals`)."


def test_what_ends_a_row_of_refusals(bucket):
    _, _, live = bucket.night(bucket.dataset("a"))
    data = bucket.dataset("b")
    bucket.decide("refuse", "", 1)
    _, model = bucket.refused(2, champion=live.key)
    bucket.decide("nothing_to_do", "", 3)
    bucket.refused(4, champion=live.key)
    bucket.decide("refuse", live.key, 5, model=model)
    assert bucket.start(data).kind == "warm", "one model that was judged twice is one"
    assert bucket.start(data, config=changed(bucket, cold_refusals=2)).kind == "cold"

    bucket.decide("ask", live.key, 6)
    assert bucket.start(data, config=changed(bucket, cold_refusals=1)).kind == "warm"
    bucket.decide("refuse", live.key, 7, model="models/classifier/gone/manifest.json")
    once = bucket.start(data, config=changed(bucket, cold_refusals=1))
    assert once.why == "the gate has refused the last warm model (`classifier.cold_refusals`)."


def test_warm_settings_that_changed_are_a_reason_to_train_a_warm_model_anew(bucket):
    data = bucket.dataset("b")
    longer = changed(bucket, warm_epochs=bucket.config.warm_epochs + 1)
    bucket.night(bucket.dataset("a"))
    assert bucket.start(bucket.dataset("a"), config=longer).done, "a cold training has none of them"

    bucket.night(data)

    assert bucket.start(data).done
    assert bucket.start(data, config=changed(bucket, cold_every=9)).done
    again = bucket.start(data, config=longer)
    assert (again.kind, again.chain, again.done) == ("warm", 2, False)
    assert bucket.start(data, config=changed(bucket, warm_noise=0.1)).kind == "warm"


@pytest.mark.parametrize("start", ["warm", [], {}, *({"chain": odd} for odd in ("x", None, [1], -5, True, 0.5))])
def test_a_live_model_with_an_odd_record_of_its_start_is_not_started_from(bucket, start):
    data = bucket.dataset("a")
    _, trained, _ = bucket.night(data)
    body = json.loads(bucket.session.store.get(trained.key))
    body["extra"]["start"] = start
    bucket.session.store.put(trained.key, json.dumps(body).encode())

    found = bucket.start(bucket.dataset("b"))

    assert (found.kind, found.done) == ("cold", False)
    assert "does not say how many trainings in a row were warm: expected a count, got" in found.why
    assert bucket.start(data).kind == "cold"
    with pytest.raises(InputError, match=r"No training can start warm: .* expected a count"):
        bucket.start(data, config=changed(bucket, start="warm"))


def test_another_version_of_the_training_is_named_as_such(bucket, monkeypatch):
    data = bucket.dataset("a")
    bucket.night(data)
    monkeypatch.setattr(train, "VERSION", train.VERSION + 1)

    assert bucket.start(data).why == (
        f"the live model was trained by another version of the stage `train`: {train.VERSION - 1}, now {train.VERSION}."
    )


@pytest.mark.parametrize(("new", "most", "share", "limit"), [(11, 0.1, "10.3", "10.0"), (1, 0.004, "1.0", "0.4")])
def test_shares_of_classes_are_told_apart(bucket, new, most, share, limit):
    names = [f"make_{number}" for number in range(96)]
    bucket.night(bucket.dataset("a", classes=names))
    more = [*names, *(f"new_{number}" for number in range(new))]

    why = bucket.start(bucket.dataset("b", classes=more), config=changed(bucket, cold_changed=most)).why

    most_of = f"more than `classifier.cold_changed` allows ({limit} %)"
    assert why == f"{share} % of the classes are new, merged or gone, {most_of}."


def test_a_forced_warm_start_says_what_spoke_against_it(bucket):
    bucket.night(bucket.dataset("a"))
    data = bucket.dataset("b")

    assert bucket.start(data, config=changed(bucket, start="warm")).why == "the setting `classifier.start` says so."
    forced = bucket.start(data, config=changed(bucket, start="warm", image_size=260))
    assert forced.why == (
        "the setting `classifier.start` says so, though the live model was trained with other settings (image_size)."
    )


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
    later(bucket, manifest.read(bucket.session.store, release.model).extra["trained"])
    assert set(_count_seen(bucket.session, candidate, release)) == {"candidate"}, "its training is of a later form"
    bucket.session.store.delete([first.key])
    assert set(_count_seen(bucket.session, candidate, release)) == {"candidate"}


def later(bucket, key):
    """Give an object a form that a later carpipe means something else by."""
    body = json.loads(bucket.session.store.get(key))
    bucket.session.store.put(key, json.dumps({**body, "form": 2}).encode())


def test_the_gate_says_what_was_seen_and_decides_nothing_by_it():
    before = Decision("publish", ("it is better.",), {"photos": 9})
    seen = {"candidate": {"photos": 0, "vehicles": 0}, "champion": {"photos": 1200, "vehicles": 31}}

    said = _with_seen(before, seen)

    assert (said.outcome, said.reasons, said.numbers) == ("publish", before.reasons, {"photos": 9, "seen": seen})
    assert (
        "Some test photos show cars that were trained on before two vehicles turned out to be one: "
        "by the live one 1,200 (of 31 vehicles)."
    ) in said.render()
    assert "the new model" not in said.render()
