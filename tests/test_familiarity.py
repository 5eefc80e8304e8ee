"""One number says whether a model knows what a photo shows, the same for one photo and for many of one car."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from scipy.stats import zscore

from carpipe.familiarity import Rule, stand_out
from carpipe.probabilities import calibrate

LOGITS = np.random.default_rng(4).normal(0, 3, (50, 30))


def test_it_is_by_how_much_the_best_logit_stands_out_whatever_the_temperature():
    p = softmax(LOGITS, axis=1).astype(np.float32)

    np.testing.assert_allclose(stand_out(p), zscore(LOGITS, axis=1).max(axis=1), rtol=1e-4)
    np.testing.assert_allclose(stand_out(calibrate(p, 1.7)), stand_out(p), rtol=1e-4)


def test_of_few_classes_it_is_the_odds_of_the_best():
    p = np.array([[0.8, 0.1, 0.1], [0.5, 0.5, 0.0], [1.0, 0.0, 0.0]], np.float32)

    assert stand_out(p)[:2] == pytest.approx(np.log([4, 1]), abs=1e-5)
    assert np.isfinite(stand_out(p)).all()
    assert stand_out(p)[2] > 50


def test_no_odd_answer_is_an_error():
    one, flat, sure = np.ones((1, 1), np.float32), np.full((1, 12), 1 / 12, np.float32), np.eye(12, dtype=np.float32)

    assert stand_out(one).tolist() == stand_out(flat).tolist() == [0]
    assert np.isfinite(stand_out(sure)).all()


def test_familiarity_adds_up_what_the_rule_says():
    p = softmax(LOGITS, axis=1).astype(np.float32)
    likeness = np.linspace(-1, 1, 50, dtype=np.float32)
    rule = Rule(stand_out=0.5, likeness=2.0, offset=-3.0, threshold=-2.0, alike=0.5)

    expected = 0.5 * zscore(log_softmax(LOGITS, axis=1), axis=1).max(axis=1) + 2 * likeness - 3
    np.testing.assert_allclose(rule.familiarity(p, likeness), expected, atol=1e-4)
    assert rule.is_known(-2.0)
    assert not rule.is_known(-2.001)


@pytest.mark.parametrize(("alike", "photos"), [(0.0, 4), (0.3, 6), (1.0, 9)])
def test_the_mean_of_several_photos_refuses_about_as_many_known_cars(alike, photos):
    rng = np.random.default_rng(8)
    car, photo = rng.normal(0, np.sqrt(alike), (40_000, 1)), rng.normal(0, np.sqrt(1 - alike), (40_000, photos))
    rule = Rule(1.0, 1.0, 0.0, threshold=-2.054, alike=alike)

    means = (car + photo).mean(axis=1)

    assert (means < rule.threshold_of(photos)).mean() == pytest.approx(0.02, abs=0.004)
    assert rule.threshold_of(1) == -2.054
