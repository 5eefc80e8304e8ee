"""Cars that the dataset has no class for: which are read, what the rule is fitted on, and what is said without them."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from carpipe.evaluation.likeness import from_npz
from carpipe.evaluation.predictions import Predictions
from carpipe.manifest import Manifest
from carpipe.steps.models import unknown as module
from carpipe.steps.models.evaluate import evaluate_work, watches
from carpipe.steps.models.unknown import MEANS, REASONS, Watch, choose_unknown, find_known
from carpipe.training.predict import load_predictor
from tests.steps.models.test_score import COLOURS, Bucket, network, photo  # noqa: F401  # a fixture

MIXED = {"yellow": (210, 200, 40), "grey": (120, 125, 122)}


def jpeg(colour, seed):
    shift = np.random.default_rng(seed).normal(0, 25, 3)
    pixels = np.clip(np.array({**COLOURS, **MIXED}[colour]) + shift, 0, 255).astype(np.uint8)
    sink = io.BytesIO()
    Image.new("RGB", (12, 9), tuple(map(int, pixels))).save(sink, "JPEG", quality=95)
    return sink.getvalue()


def unknown_row(number, *, reason=REASONS[0], by="classes", partition="p00000-a", vehicle=None, name="u"):
    car = vehicle or f"{name}{number // 2}"
    return photo(f"{name}{number}", f"listing-{car}", shows="red", vehicle=car, dropped=reason, by=by,
                 partition=partition)  # fmt: skip


@pytest.fixture
def bucket(session, network):  # noqa: F811
    return Bucket(session, network)


@pytest.fixture
def watch(network, tmp_path):  # noqa: F811
    (tmp_path / "model.keras").write_bytes(network)
    predict = load_predictor(tmp_path / "model.keras", energy=True, features=True)
    return Watch(predict, classes=len(COLOURS))


def answered(watch, split, count=60):
    """What the network sees in photos of known cars."""
    names = [[*COLOURS][number % 3] for number in range(count)]
    found = watch([jpeg(name, [split == "val", number]) for number, name in enumerate(names)])
    cars = [f"{split}{number // 3}" for number in range(count)]
    columns = {"key": range(count), "vehicle": cars, "listing_uuid": cars, "model": names, "class_name": names}
    return watch.photos_of(Predictions(pd.DataFrame(columns), found[:, :3], tuple(COLOURS)))


def of_no_class(bucket, cars, partitions=3):
    """A dataset with so many cars of no class, two photos each."""
    rows = [photo("a", "a", shows="red"), *(
        unknown_row(number, reason=REASONS[number // 2 % 2], partition=f"p0000{number % partitions}-a")
        for number in range(2 * cars)
    )]  # fmt: skip
    for number, (row, _) in enumerate(rows[1:]):
        bucket.crops.setdefault(row["key"], jpeg([*MIXED][number // 2 % 2], number))
    return bucket.dataset("d", rows)


def find(bucket, data, watch):
    return find_known(bucket.session, data, watch, val=answered(watch, "val"), test=answered(watch, "test"))


def test_cars_of_no_class_fit_the_rule_and_judge_it(bucket, watch):
    data = of_no_class(bucket, 60)

    known = find(bucket, data, watch)

    body = json.loads(known.files["known.json"])
    found = body["figures"]
    assert "The weights were fitted on" in body["why"]
    assert 20 <= found["unknown"]["vehicles"] <= 40
    assert {*found["unknown"]["reasons"]} == {*REASONS}
    assert found["unknown"]["auroc"] > 0.95
    assert (found["known"]["photos"], found["known"]["vehicles"]) == (60, 20)
    assert from_npz(known.files[MEANS]).directions.shape == (3, 3)
    assert known.facts["said"] in str(body)
    assert {*known.shown["histogram"]} == {"edges", "threshold", "known", "unknown"}


def test_a_crop_that_is_no_picture_costs_itself_alone(bucket, watch, caplog):
    bucket.crops["u3"] = b"oops"

    known = find(bucket, of_no_class(bucket, 60), watch)

    assert "The weights were fitted on" in known.facts["why"]
    assert "The crop of u3" in caplog.text


@pytest.mark.parametrize("cars", [0, 12])
def test_too_few_cars_are_said_and_the_weights_are_fixed(bucket, watch, cars):
    known = find(bucket, of_no_class(bucket, cars), watch)

    assert known.facts["why"].startswith("The weights are the fixed ones: to fit them, 20 cars of no class are wanted")
    assert "unknown" not in known.facts["figures"]


def test_crops_that_are_gone_are_said_and_the_weights_are_fixed(bucket, watch):
    data = of_no_class(bucket, 60)
    bucket.store.delete([key for key in bucket.keys("stages/crop") if key.endswith("manifest.json")])

    known = find(bucket, data, watch)

    assert "cannot be read" in known.facts["why"]
    assert "unknown" not in known.facts["figures"]
    assert known.files["known.json"]


def test_a_network_without_features_says_nothing(bucket, watch):
    plain = Watch(lambda jpegs: watch(jpegs), classes=3)

    assert find(bucket, of_no_class(bucket, 0), plain) is None
    assert {*plain.look([jpeg("red", 1)])} == {"probabilities"}


def table(*rows):
    return pd.DataFrame([row for row, _ in rows])


def test_only_cars_that_no_class_is_for_are_chosen():
    rows = [
        *(unknown_row(number, name="good") for number in range(8)),
        unknown_row(0, name="capped", reason="over_cap"),
        unknown_row(0, name="copy", reason="duplicate", by="identify"),
        unknown_row(0, name="mixed", vehicle="both"),
        photo("kept", "x", vehicle="both"),
    ]
    nameless = [{**rows[0][0], "key": "nameless", "vehicle": None}, {**rows[0][0], "key": "none", "listing_uuid": None}]

    chosen = choose_unknown(pd.concat([table(*rows), pd.DataFrame(nameless)], ignore_index=True))

    assert sorted(chosen["key"]) == sorted(f"good{number}" for number in range(8))
    assert chosen.groupby("vehicle")["fits"].nunique().max() == 1
    assert set(chosen["reason"]) == {"too_few_photos"}


def test_the_choice_is_capped_by_whole_cars_and_partitions_and_the_same_each_time(monkeypatch):
    rows = [unknown_row(number, partition=f"p{number // 40:05}-a") for number in range(4000)]
    monkeypatch.setattr(module, "MAX_PHOTOS", 101)
    photos = table(*rows)

    chosen = choose_unknown(photos)
    again = choose_unknown(photos.sample(frac=1, random_state=0))

    assert chosen.groupby("fits").size().tolist() == [100, 100]
    assert set(chosen.groupby("vehicle").size()) == {2}
    assert chosen["key"].tolist() == again["key"].tolist()
    assert chosen["partition"].nunique() < 10, "that is enough"
    monkeypatch.setattr(module, "MAX_PHOTOS", 10**6)
    assert choose_unknown(photos)["partition"].nunique() == module.MAX_PARTITIONS


def test_a_car_is_on_the_same_side_whatever_else_there_is():
    few, many = (choose_unknown(table(*(unknown_row(number) for number in range(count)))) for count in (40, 400))
    sides = many.set_index("key")["fits"]

    assert few.set_index("key")["fits"].equals(sides[few["key"]])
    assert 0.3 < sides.mean() < 0.7


def test_the_setting_decides_an_evaluation_only_where_it_was_changed(make_session):
    facts = {"version": 1, "config": {}, "weights": {}, "inputs": ["i"], "settings": "", "files": {}, "counts": {}}
    data = Manifest("d", stage="dataset", partition="all", extra={"packed": []}, **facts)

    def settings(model, **given):
        trained = Manifest("t", stage="train", partition=model, extra={}, **facts)
        return evaluate_work(make_session(**given), trained, data).config

    assert "known_refused" not in settings("classifier")
    assert settings("classifier", gate__known_refused=0.05)["known_refused"] == 0.05
    assert settings("classifier", gate__known_refused=0.0)["known_refused"] == 0
    assert settings("car_filter", gate__known_refused=0.05) == settings("car_filter")
    assert not watches(make_session(gate__known_refused=0.0), Manifest("t", stage="train", partition="classifier",
                                                                     extra={}, **facts))  # fmt: skip
