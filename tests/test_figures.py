"""Figures as people read them."""

import math

import pytest

from carpipe.figures import figure


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
