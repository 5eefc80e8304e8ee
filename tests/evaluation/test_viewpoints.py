"""The head for views: fitted on features, calibrated, judged by car; views with few labels are left out."""

import numpy as np
import pandas as pd
import pytest

from carpipe.evaluation.viewpoints import calibrated, fit_head, from_npz, interval, judge, too_few, views_to_tell

NAMES = ("profile-on-left", "profile-on-right", "in")


def drawn(count, seed, noise=1.0):
    """Features of photos in turn of each view: a direction for each, and noise."""
    rng = np.random.default_rng(seed)
    truth = np.array([NAMES[number % 3] for number in range(count)], dtype=object)
    middles = 3 * np.eye(3, 12)[[NAMES.index(view) for view in truth]]
    return (middles + rng.normal(0, noise, (count, 12))).astype(np.float32), truth


def test_a_head_tells_the_views_of_others_and_says_how_sure_it_is():
    head, temperature = calibrated(fit_head(*drawn(300, 1), NAMES), *drawn(90, 2))
    features, truth = drawn(600, 3)
    found = judge(head, features, truth, [str(number // 6) for number in range(600)])
    assert found["accuracy"] > 0.9
    assert found["low"] < found["accuracy"] < found["high"]
    assert (found["photos"], found["vehicles"]) == (600, 100)
    assert {*found["by_view"]} == {*NAMES}
    assert abs(head.of(features).max(axis=1).mean() - found["accuracy"]) < 0.05
    assert 0.2 <= temperature <= 10
    np.testing.assert_allclose(head.of(features).sum(axis=1), 1, atol=1e-5)


def test_a_head_is_the_same_out_of_its_file():
    head = fit_head(*drawn(90, 1), NAMES)
    kernel, bias = from_npz(head.to_npz())
    np.testing.assert_array_equal(kernel, head.kernel)
    np.testing.assert_array_equal(bias, head.bias)


def test_sides_are_judged_apart():
    class Always:
        names = NAMES

        def of(self, features):
            return np.tile([0.9, 0.1, 0], (len(features), 1))

    truth = np.array([*NAMES, NAMES[0]], dtype=object)
    found = judge(Always(), np.zeros((4, 2)), truth, ["a", "a", "b", "b"])
    assert (found["accuracy"], found["sides"]) == (0.5, 2 / 3)
    assert found["by_view"]["in"] == {"photos": 1, "recall": 0.0, "precision": None}


def test_photos_of_one_car_are_no_more_than_one_car():
    right = np.repeat([True, False, True, True], 25)
    low, high = interval(right, np.repeat(["a", "b", "c", "d"], 25))
    assert (low, high) == pytest.approx((0.25, 1.0), abs=0.01)


def labelled(counts):
    rows = [(view, split) for (view, split), count in counts.items() for _ in range(count)]
    return [pd.Series(column) for column in zip(*rows, strict=True)]


def test_a_view_needs_labels_in_each_part_and_its_other_side_helps():
    enough = {(view, split): 3 for view in NAMES for split in ("val", "test")}
    counts = {**enough, ("profile-on-left", "train"): 19, ("profile-on-right", "train"): 1, ("in", "train"): 20}
    assert views_to_tell(*labelled(counts)) == NAMES
    assert views_to_tell(*labelled({**counts, ("in", "test"): 2})) == NAMES[:2]
    assert views_to_tell(*labelled({**counts, ("profile-on-right", "val"): 0})) == NAMES[2:]
    assert too_few(*labelled({**counts, ("in", "test"): 2}))["in"] == 25
