"""Intervals of years: whole ones, within the years that a class has."""

import pytest

from carpipe.years import ClassYears, YearRule

GOLF = ClassYears(offset=2010.0, within=2.4, first=2004, last=2016)


@pytest.mark.parametrize(
    ("newer", "years"),
    [
        (0.0, (2008, 2012)),
        (0.5, (2009, 2012)),
        (-5.0, (2004, 2007)),
        (5.0, (2013, 2016)),
        (-40.0, (2004, 2004)),
        (40.0, (2016, 2016)),
    ],
)
def test_it_has_the_whole_years_near_the_guess_that_the_class_has(newer, years):
    assert GOLF.interval(newer) == years


def test_there_always_is_a_year():
    exact = ClassYears(offset=2010.0, within=0.0, first=2004, last=2016)
    single = ClassYears(offset=2010.0, within=9.0, first=2012, last=2012)

    assert exact.interval(0.4) == (2010, 2010)
    assert single.interval(-3.0) == single.interval(0.0) == (2012, 2012)


def test_a_class_without_years_says_none():
    rule = YearRule({"vw_golf": GOLF})

    assert rule.interval("vw_golf", 0.0) == (2008, 2012)
    assert rule.interval("vw_polo", 0.0) is None
