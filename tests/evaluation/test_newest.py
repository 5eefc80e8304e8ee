"""How a live model does on listings that came after it."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, binomtest

from carpipe.evaluation.newest import describe, interval, judge_newest


def rows(*groups):
    """(vehicle, photos, of them right) each; a listing per vehicle."""
    return pd.DataFrame(
        [
            {"listing_uuid": name, "vehicle": name, "correct": number < right, "apart": None}
            for name, photos, right in groups
            for number in range(photos)
        ]
    )


def bounds(table, confidence=0.975):
    return interval(table["vehicle"], table["correct"], confidence=confidence)


def test_of_many_independent_photos_it_is_nearly_wilsons_interval():
    table = rows(*((str(number), 1, int(number < 370)) for number in range(500)))

    low, high = bounds(table)

    theirs = binomtest(370, 500).proportion_ci(0.95, method="wilson")
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=1e-3)


def test_photos_of_one_car_that_go_together_count_once():
    alone = rows(*((str(number), 1, int(number < 37)) for number in range(50)))
    together = rows(*((str(number), 6, 6 * int(number < 37)) for number in range(50)))

    assert bounds(together) == pytest.approx(bounds(alone), abs=1e-9)


@pytest.mark.parametrize("cars", [3, 10, 40])
@pytest.mark.parametrize("right", [0, 4])
def test_all_right_or_all_wrong_proves_no_more_than_the_cars_do(right, cars):
    low, high = bounds(rows(*((str(number), 4, right) for number in range(cars))))

    exact = binomtest(cars * (right > 0), cars).proportion_ci(0.95, method="exact")
    assert low <= exact.low + 0.01
    assert high >= exact.high - 0.01
    if cars == 40:
        assert (low, high) == pytest.approx((exact.low, exact.high), abs=0.04), "nor much less"


def test_one_car_proves_next_to_nothing():
    low, high = bounds(rows(("a", 20, 15)), confidence=0.99)

    assert high - low > 0.6


@pytest.mark.parametrize("cars", [3, 5, 10, 30])
@pytest.mark.parametrize("share", [0.8, 0.95])
def test_each_bound_holds_nearly_as_often_as_it_says(cars, share):
    """Cars differ in how easy they are, by a beta distribution, and have 1 to 20 photos."""
    rng = np.random.default_rng(4)
    found = []
    for _ in range(500):
        sizes = rng.integers(1, 21, cars)
        right = rng.binomial(sizes, rng.beta(share, 1 - share, cars))
        number = np.repeat(np.arange(cars).astype(str), sizes)
        correct = np.concatenate([np.arange(size) < good for size, good in zip(sizes, right, strict=True)])
        found.append(interval(pd.Series(number), pd.Series(correct), confidence=0.99))
    low, high = np.transpose(found)

    # 1 % is what each says, nearly; and so often it is missed by chance in one of a hundred of such tests.
    most = binom.ppf(0.99, 500, 0.017) / 500
    assert (low > share).mean() <= most
    assert (high < share).mean() <= most


def test_photos_that_do_not_count_are_in_no_figure():
    table = pd.concat([rows(("a", 4, 3)), rows(("b", 2, 2)).assign(apart="unknown_class")], ignore_index=True)

    found = judge_newest(table, confidence=0.99)

    assert (found["photos"], found["listings"], found["correct"], found["accuracy"]) == (4, 1, 3, 0.75)
    assert found["apart"]["unknown_class"] == {"photos": 2, "listings": 1}
    assert found["apart"]["seen_vehicle"] == {"photos": 0, "listings": 0}
    said = describe(found)
    assert said.startswith("The live model answers 75.0 % of 4 photos of 1 listing rightly")
    assert said.endswith("Apart from these, 2 are of a class that the model does not know.")
    assert "each about 99 % sure" in said


def test_where_nothing_counts_there_is_no_share():
    found = judge_newest(rows(("a", 2, 2)).assign(apart="seen_vehicle"), confidence=0.99)

    assert (found["photos"], found["accuracy"], found["low"], found["high"]) == (0, None, None, None)
    assert describe(found).startswith("No photo of a new listing can be counted. Apart from these, 2 are of a car")


def test_a_reason_that_a_later_version_counts_is_passed_over():
    found = judge_newest(rows(("a", 2, 1)), confidence=0.99)
    found["apart"] = {"no_idea": {"photos": 3, "listings": 1}}

    assert "Apart" not in describe(found)
