"""What work costs, in hours and in money."""

import pytest

from carpipe.config import CostConfig
from carpipe.manifest import Manifest
from carpipe.steps.data.cost import Cost, cost_since, describe_cost, describe_money, night_cost
from carpipe.steps.data.plan import Forecast, _priced
from carpipe.steps.data.plan_text import render_plan

PRICES = CostConfig(cpu_hour=0.4, gpu_hour=2.0, request=0.0001, currency="EUR")


def test_without_prices_there_is_no_money():
    assert Cost(3, 2, 1000).money(CostConfig()) is None
    assert describe_cost(Cost(3, 2, 1000), CostConfig()) == "5.0 hours of workers"


def test_hours_and_requests_have_their_prices():
    assert Cost(3, 2, 1000).money(PRICES) == pytest.approx(3 * 0.4 + 2 * 2.0 + 0.1)
    assert Cost(gpu_hours=2).money(CostConfig(cpu_hour=0.4)) == pytest.approx(0.8)
    assert describe_cost(Cost(cpu_hours=0.25), PRICES) == "15.0 minutes of workers, 0.10 EUR"


@pytest.mark.parametrize(
    ("amount", "said"), [(0.0, "0.00 EUR"), (0.001, "less than 0.01 EUR"), (1234.5, "1,234.50 EUR")]
)
def test_money_is_said_with_its_currency(amount, said):
    assert describe_money(amount, PRICES) == said


def test_a_plan_has_costs_where_there_are_prices():
    rows = [Forecast("clean", 1, 1000, minutes=30, measured=True), Forecast("filter", 1, 1000, minutes=60)]
    free = render_plan([_priced(row, CostConfig()) for row in rows], CostConfig())
    assert "cost" not in free
    priced = render_plan([_priced(row, PRICES) for row in rows], PRICES)
    assert priced.splitlines()[0].endswith("cost")
    assert priced.splitlines()[1].endswith(" 0.30")
    assert priced.splitlines()[3] == "All of it costs 0.70 EUR."


def done(seconds, committed=None, **extra):
    """What a step has committed."""
    extra |= {"committed": committed} if committed else {}
    return Manifest("k", "identify", 1, "all", {}, {}, [], "", {}, {"in": 1}, seconds=seconds, extra=extra)


def test_a_night_has_cost_what_was_committed_since_the_dataset_before():
    works = [done(3600), done(1800, "2026-01-01T00:00:00+00:00"), done(900, "2026-01-03T00:00:00+00:00")]
    assert cost_since(works, None).cpu_hours == 1.75
    assert cost_since(works, done(0, "2026-01-02T00:00:00+00:00")).cpu_hours == 0.25


def test_a_validation_of_an_earlier_version_does_not_say_what_a_night_has_cost():
    assert night_cost(done(0)) is None
    assert night_cost(done(0, night={"cpu_hours": 0.5, "gpu_hours": 0.0, "requests": 7})) == Cost(0.5, 0.0, 7)
    assert night_cost(done(0, night={"of": "a later version"})) is None
