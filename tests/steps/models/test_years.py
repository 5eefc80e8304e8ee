"""The year of a car as a label that costs nothing: which photos count, and what is said where it cannot be told."""

import json

import numpy as np
import pandas as pd
import pytest

from carpipe import manifest
from carpipe.evaluation.predictions import Predictions
from carpipe.evaluation.years import from_npz
from carpipe.manifest import Manifest, Work
from carpipe.photos import to_parquet
from carpipe.steps import results
from carpipe.steps.models.evaluate import evaluate_work
from carpipe.steps.models.start import Start
from carpipe.steps.models.train import train_work
from carpipe.steps.models.years import HEAD, find_years

CLASSES = ("golf", "polo")
SIZE = 8


def cars(split, count, seed, *, one_year=()):
    """Rows of photos, two a car, and features that tell their year."""
    rng = np.random.default_rng(seed)
    rows, features = [], []
    for number in range(count):
        name = CLASSES[number % 2]
        year = 2005 if name in one_year else 2000 + 5 * (number % 2) + int(rng.integers(0, 10))
        shown = rng.normal(0, 0.1, SIZE) + year / 10
        for photo in range(2):
            key = f"{split}{number}-{photo}"
            rows.append({"key": key, "vehicle": f"{split}{number}", "listing_uuid": f"{split}{number}",
                         "model": name, "class_name": name, "year": year, "split": split, "dropped": None})  # fmt: skip
            features.append(shown)
    return pd.DataFrame(rows), np.array(features, np.float16)


def commit(session, *tables):
    photos = pd.concat(tables, ignore_index=True).astype({"year": "Int16", "dropped": "str"})
    work = Work("dataset", 1, "all", {}, (), home="datasets")
    return manifest.commit(session.store, work, {results.PHOTOS: to_parquet(photos)}, counts={}, extra={})


def answers(table):
    p = np.eye(2, dtype=np.float32)[table["class_name"].map(CLASSES.index)]
    return Predictions(table.drop(columns=["year", "split", "dropped"]), p, CLASSES)


def find(session, val, test, *more, features=True):
    data = commit(session, val[0], test[0], *more)
    both = [(answers(table), seen if features else None) for table, seen in (val, test)]
    return find_years(session, data, share=0.8, val=both[0], test=both[1])


def test_years_are_told_from_the_features_of_validation_photos(session):
    train = cars("train", 50, 1)[0]

    found = find(session, cars("val", 80, 2), cars("test", 60, 3), train)

    body = json.loads(found.files["years.json"])
    figures = body["figures"]
    assert {*found.files} == {"years.json", HEAD}
    assert {*body["classes"]} == {*CLASSES}
    assert body["classes"]["golf"].keys() == {"offset", "within", "first", "last"}
    assert (body["classes"]["golf"]["first"], body["classes"]["golf"]["last"]) == (2000, 2009)
    assert (figures["photos"], figures["vehicles"], figures["one_year"]) == (120, 60, 0)
    assert figures["error"] < figures["median_error"] / 2
    assert body["said"] == found.facts["said"]
    features = cars("test", 4, 5)[1]
    newer = from_npz(found.files[HEAD]).newer(features)
    assert (found.outputs([], {"features": features})["year"] == newer).all()


def test_a_car_in_folders_of_two_years_does_not_count(session):
    val, test = cars("val", 80, 2), cars("test", 60, 3)
    test[0].loc[0, "year"] = 1990

    found = find(session, val, test)

    assert found.facts["figures"]["vehicles"] == 59


@pytest.mark.parametrize(
    ("val", "features", "said"),
    [
        (cars("val", 18, 2), True, "20 validation cars of classes with several years are wanted, got 18"),
        (cars("val", 60, 2, one_year=("golf",)), False, "the network ends in no layer"),
        (cars("val", 60, 2, one_year=CLASSES), True, "are wanted, got 0"),
    ],
)
def test_where_they_cannot_be_told_a_sentence_says_why(session, caplog, val, features, said):
    found = find(session, val, cars("test", 10, 3), features=features)

    assert found.files == {}
    assert found.outputs([], {}) == {}
    assert found.facts["said"].startswith("The model tells no years: ")
    assert said in found.facts["said"]
    assert found.facts["said"] in caplog.text


def test_a_class_without_a_validation_car_has_no_year(session):
    val, test = cars("val", 80, 2), cars("test", 60, 3)
    golfs = val[0]["class_name"].eq("golf").to_numpy()

    found = find(session, (val[0][golfs].reset_index(drop=True), val[1][golfs]), test)

    assert {*json.loads(found.files["years.json"])["classes"]} == {"golf"}
    assert found.facts["figures"]["vehicles"] == 30


def test_the_setting_decides_an_evaluation_and_no_training(make_session):
    facts = {"version": 1, "config": {}, "weights": {}, "inputs": ["i"], "settings": "", "files": {}, "counts": {}}
    data = Manifest("d", stage="dataset", partition="all", extra={"packed": []}, **facts)
    trained = {
        name: Manifest("t", stage="train", partition=name, extra={}, **facts) for name in ("classifier", "car_filter")
    }
    plain, told = make_session(), make_session(classifier__year_share=0.8)

    def training(session):
        config = session.config.classifier
        return train_work(config, data, model="classifier", backbone="b", start=Start(why="")).fingerprint

    assert training(told) == training(plain)
    assert evaluate_work(told, trained["classifier"], data).config["year_share"] == 0.8
    assert "year_share" not in evaluate_work(plain, trained["classifier"], data).config
    assert evaluate_work(told, trained["car_filter"], data) == evaluate_work(plain, trained["car_filter"], data)
