"""What tells the year of a car from its features, and how far off that is."""

import numpy as np
import pandas as pd
import pytest

from carpipe.evaluation import years as module
from carpipe.evaluation.year_figures import describe, judge_years
from carpipe.evaluation.years import Head, car_weights, fit_years, from_npz, span_of

CLASSES, SIZE = 6, 12
FIRST = 1995 + 3 * np.arange(CLASSES)


def draw(seed, *, cars=40, noise=0.4, tells=True, wrong=0.0):
    """Cars of classes that were built for 12 years each; one direction of their features says how new they are."""
    rng = np.random.default_rng(seed)
    number = np.repeat(np.arange(CLASSES), cars)
    year = FIRST[number] + rng.integers(0, 12, len(number))
    centres = np.random.default_rng(0).normal(0, 2, (CLASSES, SIZE))
    direction = np.random.default_rng(1).normal(0, 1, SIZE)
    newer = (year - FIRST[number] - 5.5) * (0.2 if tells else 0)
    photos = rng.integers(1, 4, len(number))
    own = np.arange(len(number)).repeat(photos)
    shown = centres[number] + newer[:, None] * direction + rng.normal(0, noise, (len(number), SIZE))
    answer = np.where(rng.random(len(own)) < wrong, (number[own] + 1) % CLASSES, number[own])
    table = pd.DataFrame({"vehicle": [f"{seed}-{one}" for one in own], "class_name": [f"c{one}" for one in number[own]],
                          "answer": [f"c{one}" for one in answer], "year": year[own].astype(float)})  # fmt: skip
    table["listing_uuid"] = table["vehicle"]
    return (shown[own] + rng.normal(0, noise / 2, (len(own), SIZE))).astype(np.float16), table


def built(table):
    cars = table.drop_duplicates("vehicle").sort_values("year")
    return {name: years.to_numpy("int64") for name, years in cars.groupby("class_name")["year"]}


def fit(drawn, share=0.8):
    features, table = drawn
    return fit_years(features, table, built=built(table), share=share)


def judge(fitted, drawn, medians=None):
    features, table = drawn
    medians = medians or {name: float(np.median(years)) for name, years in built(table).items()}
    listings = table[["listing_uuid", "answer"]]
    return judge_years(fitted.rule, fitted.head.newer(features), table, medians=medians, listings=listings)


def test_years_that_features_tell_are_found_and_held_by_the_interval():
    fitted = fit(draw(1))

    found = judge(fitted, draw(2, cars=100))

    assert found["error"] < 0.5 * found["median_error"]
    assert 0 < found["less_low"] < found["less"] < found["less_high"]
    assert found["held"] == pytest.approx(0.8, abs=0.07)
    assert found["low"] < found["held"] < found["high"]
    assert found["listings_held"] >= found["held"] - 0.02
    assert found["years"] < found["all_years"] - 4
    assert (found["photos"], found["one_year"]) == (len(draw(2, cars=100)[1]), 0)
    assert "true year of 80 % of the cars, and holds" in describe(found, share=0.8)


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_the_share_is_what_was_wanted_also_where_answers_are_wrong(share):
    found = judge(fit(draw(3, wrong=0.1, cars=60), share), draw(4, wrong=0.1, cars=100))

    assert found["low"] - 0.03 < share < found["high"] + 0.03


def test_a_car_counts_once_however_many_photos_it_has():
    features, table = draw(5, cars=12)
    many = np.arange(len(table)).repeat(np.where(table["vehicle"] == table["vehicle"][0], 50, 1))
    twice = np.tile(np.arange(len(table)), 2)

    plain, doubled = fit((features, table)), fit((features[twice], table.iloc[twice].reset_index(drop=True)))
    weights = car_weights(table.iloc[many]["vehicle"])

    np.testing.assert_allclose(doubled.head.weights, plain.head.weights, atol=1e-3)
    assert weights.sum() == pytest.approx(table["vehicle"].nunique())


def test_features_that_say_nothing_are_not_listened_to():
    fitted = fit(draw(6, tells=False, noise=1.0))

    found = judge(fitted, draw(7, tells=False, noise=1.0, cars=100))

    assert fitted.strength >= 30
    assert abs(found["less"]) < 0.3
    assert found["held"] == pytest.approx(0.8, abs=0.1)  # years are whole, and their shares are steps


def test_it_is_least_squares_with_penalised_classes(monkeypatch):
    """Against the same problem written out as one matrix."""
    features, table = draw(8, cars=9)
    monkeypatch.setattr(module, "STRENGTHS", (1.0,))
    fitted = fit((features, table))
    own = table["class_name"].str[1:].astype(int).to_numpy()
    weights = car_weights(table["vehicle"])
    seen = features.astype(float) - fitted.head.middle
    mean = np.average(table["year"], weights=weights)
    classes = np.eye(CLASSES)[own]
    both = np.hstack([seen, classes])
    products = (both * weights[:, None]).T @ both
    inner = seen - classes @ ((classes * weights[:, None]).T @ seen / (weights @ classes + 1)[:, None])
    penalty = np.trace((seen * weights[:, None]).T @ inner) / SIZE
    products += np.diag([penalty] * SIZE + [1.0] * CLASSES)
    expected = np.linalg.solve(products, (both * weights[:, None]).T @ (table["year"] - mean))

    np.testing.assert_allclose(fitted.head.weights, expected[:SIZE], atol=1e-3)
    offsets = [fitted.rule.classes[f"c{number}"].offset - mean for number in range(CLASSES)]
    np.testing.assert_allclose(offsets, expected[SIZE:], atol=1e-3)


def test_a_class_of_one_year_is_told_and_counted_apart():
    features, table = draw(9)
    table.loc[table["class_name"] == "c0", "year"] = 2000.0
    fitted = fit((features, table))

    found = judge(fitted, (features, table))

    assert fitted.rule.interval("c0", 9.0) == (2000, 2000)
    assert found["one_year"] == 40
    assert judge(fitted, (features[:5], table[:5])) == {"photos": 5, "vehicles": found_cars(table[:5]), "one_year":
                                                         found_cars(table[:5])}  # fmt: skip


def found_cars(table):
    return table["vehicle"].nunique()


def test_answers_that_cannot_be_of_that_year_are_not_promised():
    features, table = draw(10)
    table["answer"] = np.where(table["class_name"] == "c0", "c5", "c0")

    assert fit((features, table)) is None


def test_the_years_of_a_class_reach_a_little_farther_where_few_cars_are_at_hand():
    assert span_of(np.array([2000, 2004, 2012])) == (1996, 2016)
    assert span_of(np.sort(np.tile(np.arange(2000, 2013), 30))) == (2000, 2012)
    assert span_of(np.array([2007])) == (2007, 2007)


def test_a_file_has_the_same_head():
    head = Head(np.arange(3, dtype=np.float32), np.ones(3, np.float32))
    again = from_npz(head.to_npz())

    np.testing.assert_array_equal(again.newer(np.eye(3)), head.newer(np.eye(3)))
    assert head.newer(np.zeros((0, 3))).shape == (0,)
