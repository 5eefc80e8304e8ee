import numpy as np
import pytest

from carpipe.errors import InputError
from carpipe.evaluation.predictions import Predictions
from tests.evaluation.make import make


def test_answers_and_truth_are_numbers_in_the_order_of_the_classes():
    predictions = make(["b", "a", "c"], [[0.1, 0.7, 0.2], [0.2, 0.3, 0.5], [0.1, 0.2, 0.7]], ["a", "b", "c"])

    assert predictions.truth.tolist() == [1, 0, 2]
    assert predictions.answer.tolist() == [1, 2, 2]
    table = predictions.table()
    assert table["answer"].tolist() == ["b", "c", "c"]
    assert table["correct"].tolist() == [True, False, True]
    assert table["score"].tolist() == pytest.approx([0.7, 0.5, 0.7])


@pytest.mark.parametrize(
    ("truth", "p", "classes", "message"),
    [
        ([], np.zeros((0, 2)), "ab", "no photos"),
        (["a"], [[0.5, 0.5], [0.5, 0.5]], "ab", r"\(2, 2\), expected .* \(1, 2\)"),
        (["a"], [[1.0]], "ab", r"\(1, 1\), expected .* \(1, 2\)"),
        (["c"], [[0.5, 0.5]], "ab", "does not know 1 classes of the photos, such as c"),
        (["a"], [[0.5, float("nan")]], "ab", "not numbers"),
    ],
)
def test_what_cannot_be_judged_is_refused(truth, p, classes, message):
    with pytest.raises(InputError, match=message):
        make(truth, p, classes)


def test_a_missing_column_is_named():
    good = make(["a"], [[1.0, 0.0]], "ab")

    with pytest.raises(InputError, match=r"lacks \['vehicle'\]"):
        Predictions(good.photos.drop(columns="vehicle"), good.p, good.classes)
