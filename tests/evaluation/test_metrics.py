import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss, top_k_accuracy_score

from carpipe.evaluation.metrics import figures, judge_listings
from carpipe.probabilities import calibrate
from tests.evaluation.make import draw, make


def test_figures_are_scikit_learns():
    test = draw(8, 2000, sharpness=2.0)

    found = figures(test, 2.0)

    p = calibrate(test.p, 2.0)
    assert found["test_accuracy"] == np.mean(test.p.argmax(axis=1) == test.truth)
    assert found["test_top5_accuracy"] == pytest.approx(top_k_accuracy_score(test.truth, p, k=5, labels=range(8)))
    assert found["test_macro_f1"] == pytest.approx(f1_score(test.truth, p.argmax(axis=1), average="macro"))
    assert found["test_nll"] == pytest.approx(log_loss(test.truth, p, labels=range(8)), rel=1e-4)
    assert found["test_ece"] < found["test_ece_before"]
    assert (found["test_photos"], found["test_vehicles"]) == (2000, test.photos["vehicle"].nunique())
    assert all(type(value) is float for value in found.values())


def test_five_classes_have_no_top_five():
    assert "test_top5_accuracy" not in figures(draw(5, 40), 1.0)
    assert "test_top5_accuracy" in figures(draw(6, 40), 1.0)


def test_a_class_without_test_photos_counts_zero_in_the_macro_f1():
    assert figures(make(["a", "b"], [[0.9, 0.1, 0], [0.1, 0.9, 0]], "abc"), 1.0)["test_macro_f1"] == pytest.approx(
        2 / 3
    )


def test_photos_of_a_listing_are_answered_together():
    # x: ln 0.4 + ln 0.9 > ln 0.6 + ln 0.1, so the sure photo outvotes the other; y: one photo, wrong.
    test = make(["a", "a", "b"], [[0.4, 0.6], [0.9, 0.1], [0.7, 0.3]], "ab", listing_uuid=["x", "x", "y"])

    listings = judge_listings(test)

    assert listings[["listing_uuid", "photos", "photos_correct", "answer", "correct"]].to_numpy().tolist() == [
        ["x", 2, 1, "a", True],
        ["y", 1, 0, "a", False],
    ]
    found = figures(test, 1.0)
    assert (found["test_listings"], found["test_listing_accuracy"]) == (2, 0.5)


def test_listings_of_both_classes_as_car_filters_have_get_no_listing_accuracy():
    mixed = make(["a", "b"], [[0.9, 0.1], [0.1, 0.9]], "ab", listing_uuid=["x", "x"])

    assert "test_listing_accuracy" not in figures(mixed, 1.0)
