"""Drop reasons as people read them."""

import pytest

from carpipe.reasons import REASONS, in_words


@pytest.mark.parametrize(
    ("code", "words"),
    [("not_a_car", "not a car"), ("bomb", "too costly to decode"), ("of_a_later_version", "of a later version")],
)
def test_a_reason_is_words(code, words):
    assert in_words(code) == words


def test_no_two_reasons_read_alike():
    assert len({in_words(code) for code in REASONS}) == len(REASONS)
