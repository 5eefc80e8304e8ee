import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from carpipe.evaluation import tables
from carpipe.evaluation.predictions import Predictions
from tests.evaluation.make import make

# Four audi_a4 (one taken for audi_a6, one for bmw_x5), two audi_a6 (right), two bmw_x5 (one taken for audi_a4).
CLASSES = ("audi_a4", "audi_a6", "bmw_x5", "kia_rio")
TRUTH = ["audi_a4"] * 4 + ["audi_a6"] * 2 + ["bmw_x5"] * 2
ANSWERS = [0, 0, 1, 2, 1, 1, 2, 0]


@pytest.fixture
def test() -> Predictions:
    listings = ["l1", "l1", "l1", "l2", "l3", "l3", "l4", "l5"]
    return make(TRUTH, np.eye(4)[ANSWERS] * 0.6 + 0.1, CLASSES, listing_uuid=listings, vehicle=listings)


def test_the_report_has_the_published_rows_and_columns(data: Path) -> None:
    published = pd.read_csv(data / "tables" / "Report_test_final_top5.csv", index_col=0)
    names = tuple(published.index[:-3])
    # As many photos of each class as published, and as many of them right: the recall must come out the same. The
    # wrong ones go to the next class.
    truth, answer = [], []
    for number, (_, row) in enumerate(published.iloc[:-3].iterrows()):
        photos, right = round(row["support"]), round(row["recall"] * row["support"])
        truth += [names[number]] * photos
        answer += [number] * right + [(number + 1) % len(names)] * (photos - right)
    p = np.zeros((len(truth), len(names)), np.float32)
    p[np.arange(len(truth)), answer] = 1

    report = pd.read_csv(io.StringIO(tables.report_csv(make(truth, p, names))), index_col=0)

    assert report.index.tolist() == published.index.tolist()
    assert report.columns.tolist() == published.columns.tolist()
    np.testing.assert_allclose(report["recall"], published["recall"], rtol=1e-12)
    np.testing.assert_allclose(report["support"], published["support"], rtol=1e-12)
    assert report.loc["accuracy"].nunique() == published.loc["accuracy"].nunique() == 1


def test_a_class_may_be_called_as_a_row_of_the_report():
    odd = make(["accuracy", "macro avg"], [[0.9, 0.1], [0.8, 0.2]], ["accuracy", "macro avg"])

    report = pd.read_csv(io.StringIO(tables.report_csv(odd)), index_col=0)

    assert report.index.tolist() == ["accuracy", "macro avg", "accuracy", "macro avg", "weighted avg"]
    assert tables.by_class(odd, training={})["recall"].tolist() == [1.0, 0.0]


def test_classes_are_counted_by_hand(test: Predictions) -> None:
    table = tables.by_class(test, training={"audi_a4": 120, "kia_rio": 9})

    assert table["class_name"].tolist() == list(CLASSES)
    assert table["photos"].tolist() == [4, 2, 2, 0]
    assert table["vehicles"].tolist() == [2, 1, 2, 0]
    assert table["training"].tolist() == [120, 0, 0, 9]
    assert table["recall"].tolist() == [0.5, 1.0, 0.5, 0.0]
    assert table["precision"].tolist() == pytest.approx([2 / 3, 2 / 3, 0.5, 0.0])
    assert table["taken_for"].tolist() == ["audi_a6", "", "audi_a4", ""]
    # F1: 0.571, 0.8, 0.5; a class without test photos is not bad, but unknown.
    assert tables.worst_classes(table, count=2)["class_name"].tolist() == ["bmw_x5", "audi_a4"]


def test_confused_pairs_are_counted_by_hand(test: Predictions) -> None:
    assert tables.confused_pairs(test).to_numpy().tolist() == [
        ["audi_a4", "audi_a6", 1, 0.25],
        ["audi_a4", "bmw_x5", 1, 0.25],
        ["bmw_x5", "audi_a4", 1, 0.5],
    ]


def test_no_mistakes_are_no_pairs():
    assert tables.confused_pairs(make(["a"], [[0.9, 0.1]], "ab")).empty


def test_makes_are_the_names_up_to_the_first_underscore(test: Predictions) -> None:
    makes = tables.by_make(test).set_index("make")

    assert makes.index.tolist() == ["audi", "bmw"]  # most photos first
    assert makes["photos"].tolist() == [6, 2]
    assert makes["classes"].tolist() == [2, 1]
    assert makes["accuracy"].tolist() == pytest.approx([4 / 6, 0.5])
    assert makes["make_accuracy"].tolist() == pytest.approx([5 / 6, 0.5])
    assert tables.make_of(pd.Series(["mercedes-benz_v_250", "odd"])).tolist() == ["mercedes-benz", "odd"]


def test_listings_are_put_into_buckets_by_their_photos(test: Predictions) -> None:
    table = tables.by_listing(test)

    # l1 has 3 photos of which 2 are right; l3 has 2; l2, l4 and l5 one each, of which only l4 is right.
    assert table["photos"].tolist() == ["1", "2", "3–4"]
    assert table["listings"].tolist() == [3, 1, 1]
    assert table["accuracy"].tolist() == pytest.approx([1 / 3, 1.0, 1.0])
    assert table["photo_accuracy"].tolist() == pytest.approx([1 / 3, 1.0, 2 / 3])


def test_training_photos_are_put_into_buckets(test: Predictions) -> None:
    training = {"audi_a4": 50, "audi_a6": 99, "bmw_x5": 5000, "kia_rio": 1}

    table = tables.by_training_photos(tables.by_class(test, training=training))

    assert table["training"].tolist() == ["50–99", "1500+"]
    assert table["classes"].tolist() == [2, 1]
    assert table["photos"].tolist() == [6, 2]
    assert table["accuracy"].tolist() == pytest.approx([4 / 6, 0.5])


def test_the_published_macro_average_comes_out_of_its_own_rows(data: Path) -> None:
    published = pd.read_csv(data / "tables" / "Report_test_final_top5.csv")
    rows = published.iloc[:-3].rename(columns={"Unnamed: 0": "class_name", "support": "photos", "f1-score": "f1"})

    buckets = tables.by_training_photos(rows.assign(training=0))

    # One bucket holds all: its accuracy is the published one, its mean F1 the published macro average.
    assert buckets["accuracy"].tolist() == pytest.approx([0.9373187147928729], abs=1e-12)
    assert buckets["f1"].tolist() == pytest.approx([0.938907658679938], abs=1e-12)
    assert buckets["photos"].tolist() == [89293]
