import numpy as np
import pytest
from sklearn.metrics import log_loss

from carpipe.errors import InputError
from carpipe.evaluation.calibration import (
    TEMPERATURES,
    choose_threshold,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    reliability,
)
from carpipe.probabilities import calibrate
from tests.evaluation.make import draw, make

# Answers with the scores 0.9, 0.9, 0.8, 0.6; the third is wrong.
FOUR = make(["a", "b", "b", "a"], [[0.9, 0.1], [0.1, 0.9], [0.8, 0.2], [0.6, 0.4]], "ab")


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.0])
def test_the_temperature_undoes_what_made_the_model_too_sure(sharpness):
    predictions = draw(8, 20_000, sharpness=sharpness)

    temperature = fit_temperature(predictions)

    assert temperature == pytest.approx(sharpness, rel=0.04)
    assert expected_calibration_error(predictions, temperature) < 0.01
    if sharpness != 1:
        assert expected_calibration_error(predictions, 1.0) > 0.02


def test_the_likelihood_is_scikit_learns_also_over_several_chunks():
    predictions = draw(8, 10_000, sharpness=2.0)

    ours = negative_log_likelihood(predictions, 1.5)

    theirs = log_loss(predictions.truth, calibrate(predictions.p, 1.5), labels=range(8))
    assert ours == pytest.approx(theirs, rel=1e-4)
    assert ours > negative_log_likelihood(predictions, fit_temperature(predictions))


def test_calibrating_by_two_takes_the_square_root():
    # 0.64 : 0.36 becomes 0.8 : 0.6, which is 4/7 : 3/7.
    np.testing.assert_allclose(calibrate(np.array([[0.64, 0.36]], np.float32), 2.0), [[4 / 7, 3 / 7]], rtol=1e-6)
    np.testing.assert_allclose(calibrate(np.array([[0.64, 0.36]], np.float32), 1.0), [[0.64, 0.36]], rtol=1e-6)


def test_certainty_that_is_wrong_stays_finite():
    wrong = make(["a", "a", "b"], [[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]], "ab")

    assert np.isfinite(negative_log_likelihood(wrong, 1.0))
    assert np.isfinite(calibrate(wrong.p, 0.2)).all()
    assert fit_temperature(wrong) > 1


def test_a_model_that_is_always_right_gets_the_lowest_temperature():
    right = make(["a", "b"], [[0.6, 0.4], [0.45, 0.55]], "ab")

    assert fit_temperature(right) == pytest.approx(TEMPERATURES[0], rel=0.01)


def test_reliability_bins_are_those_counted_by_hand():
    bins = reliability(FOUR, 1.0)

    assert len(bins) == 15
    # 0.6 is the upper end of bin 9 (0.533 to 0.6], 0.8 of bin 12, 0.9 lies in bin 14 (0.867 to 0.933]; float32 puts
    # 0.6 and 0.8 a hair above their ends.
    filled = bins[bins["photos"] > 0]
    assert filled["photos"].tolist() == [1, 1, 2]
    assert filled["score"].tolist() == pytest.approx([0.6, 0.8, 0.9])
    assert filled["accuracy"].tolist() == [1.0, 0.0, 1.0]
    assert (bins["high"] - bins["low"]).tolist() == pytest.approx([1 / 15] * 15)


def test_the_calibration_error_is_the_mean_gap():
    # (|1 - 0.6| + |0 - 0.8| + 2 * |1 - 0.9|) / 4
    assert expected_calibration_error(FOUR, 1.0) == pytest.approx((0.4 + 0.8 + 0.2) / 4, abs=1e-6)


@pytest.mark.parametrize(
    ("precision", "score", "right", "answered"),
    [(1.0, 0.9, 1.0, 0.5), (0.75, 0.6, 0.75, 1.0), (0.7, 0.6, 0.75, 1.0), (0.76, 0.9, 1.0, 0.5)],
)
def test_the_threshold_is_the_lowest_that_keeps_the_promise(precision, score, right, answered):
    threshold = choose_threshold(FOUR, 1.0, precision=precision)

    assert threshold.score == pytest.approx(score)
    assert (threshold.precision, threshold.answered) == (right, answered)


def test_equally_sure_answers_are_in_or_out_together():
    tied = make(["a", "b"], [[0.9, 0.1], [0.9, 0.1]], "ab")

    assert choose_threshold(tied, 1.0, precision=1.0).score is None
    assert choose_threshold(tied, 1.0, precision=0.5).answered == 1.0


def test_a_promise_that_cannot_be_kept_gives_no_threshold():
    hopeless = make(["b", "b"], [[0.9, 0.1], [0.8, 0.2]], "ab")

    threshold = choose_threshold(hopeless, 1.0, precision=0.9)

    assert (threshold.score, threshold.precision, threshold.answered) == (None, 0.0, 0.0)


def test_impossible_settings_are_named():
    with pytest.raises(InputError, match="above 0, got 0"):
        calibrate(FOUR.p, 0.0)
    with pytest.raises(InputError, match=r"at most 1, got 1\.5"):
        choose_threshold(FOUR, 1.0, precision=1.5)
