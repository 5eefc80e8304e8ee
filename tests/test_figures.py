"""One vocabulary for the figures of models, and no more digits than anybody looks at."""

import math

import pytest

from carpipe.evaluation.metrics import figures
from carpipe.figures import FIGURES, figure, label, meaning
from tests.evaluation.make import draw


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.9382716049, "0.938"),
        (1.0, "1.000"),
        (0.0, "0.000"),
        (0.0004, "< 0.001"),
        (3.086e-05, "< 0.001"),
        (0.0005, "0.001"),
        (-0.25, "-0.250"),
        (2.646, "2.646"),
        (31, "31"),
        (1, "1"),
        (89293.0, "89,293"),
        (math.nan, "nan"),
        ("many", "many"),
        (True, "True"),
        (None, "None"),
    ],
)
def test_no_more_digits_than_anybody_looks_at(value, shown):
    assert figure(value) == shown


def test_every_figure_that_is_computed_has_a_name_and_a_sentence_of_its_own():
    computed = figures(draw(6, 60), 1.0)

    assert {*computed} <= {*FIGURES}
    assert len({one.label for one in FIGURES.values()}) == len(FIGURES)
    assert all(one.meaning for one in FIGURES.values())


def test_a_figure_of_a_later_version_is_shown_as_words():
    assert (label("test_odd_thing"), meaning("test_odd_thing")) == ("odd thing", "")
