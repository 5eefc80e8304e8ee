"""Figures as pages say them, by hand."""

import pytest

from carpipe.steps.views import figures
from carpipe.steps.views.figures import Change, change_of, figure_of, number_of, say


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("test_accuracy", 0.8333, "83.3 %"),
        ("test_accuracy", 1.0, "100.0 %"),
        ("test_ece", 0.0004, "< 0.1 %"),
        ("test_nll", 0.41239, "0.412"),
        ("test_photos", 1234.0, "1,234"),
        ("test_accuracy", None, "–"),
        ("test_accuracy", "much", "much"),
        ("test_accuracy", float("nan"), "nan"),
        ("test_new_vehicles", 7.0, "7"),
        ("something_new", 0.5, "0.500"),
        ("something_new", True, "yes"),
    ],
)
def test_a_figure_reads_as_what_it_is(key, value, said):
    assert say(figure_of(key), value) == said


@pytest.mark.parametrize(
    ("key", "now", "before", "change"),
    [
        ("test_accuracy", 0.85, 0.838, Change("+1.2 points", 1, "better")),
        ("test_accuracy", 0.8, 0.9, Change("−10.0 points", -1, "worse")),
        ("test_accuracy", 0.8001, 0.8, Change("+0.01 points", 1, "better")),
        ("test_ece", 0.02, 0.03, Change("−1.0 points", -1, "better")),
        ("test_nll", 0.5, 0.4, Change("+0.100", 1, "worse")),
        ("test_photos", 1200.0, 1000.0, Change("+200", 1, "")),
        ("test_accuracy", 0.8, 0.8, Change("as before", 0, "")),
        ("test_accuracy", 0.8, None, Change()),
        ("test_accuracy", "much", 0.8, Change()),
    ],
)
def test_more_is_better_or_worse_by_what_the_figure_means(key, now, before, change):
    assert change_of(figure_of(key), now, before) == change


def test_every_figure_of_a_model_is_explained():
    assert [key for key, figure in figures.FIGURES.items() if not figure.means.endswith(".")] == []


def test_a_word_of_a_decision_means_something_else_in_a_row_of_a_class():
    assert number_of("better").name == "proven better"
    assert say(number_of("better", of_class=True), 3) == "3"
    assert say(number_of("fall", of_class=True), 0.5) == "+50.0 points"
