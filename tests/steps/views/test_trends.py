"""Figures over nights, and which way is better."""

from dataclasses import replace

from carpipe.called import Called
from carpipe.config import CostConfig
from carpipe.steps.data.cost import Cost
from carpipe.steps.models.score_log import record_score
from carpipe.steps.views import trends
from carpipe.steps.views.trends import Night, Trend, cost_trend, dataset_trends, newest_listings, nights

SCORE = {
    "channel": "classifier", "model": "models/classifier/a/manifest.json", "dataset": "datasets/a/manifest.json",
    "generation": 1, "photos": 4, "listings": 2, "vehicles": 2, "correct": 3, "low": 0.1, "high": 0.9,
    "confidence": 0.8, "test_accuracy": 0.8, "apart": {},
}  # fmt: skip
NIGHT = Night(Called("a" * 20, "1 Jan 2026 01:00, 10 photos"), 10, 5, 3, 2, {"not_a_car": 4, "duplicate": 1})


def test_a_bucket_with_one_dataset_has_figures_and_no_change(cache, made):
    [night] = nights(cache)
    assert (night.photos, night.kept, night.vehicles, night.classes) == (12, 8, 8, 2)
    assert night.out == {"truncated": 1, "not_a_car": 3}
    found = {one.name: one for one in dataset_trends([night])}
    assert (found["photos"].said, found["kept"].said, found["kept"].change) == ("12", "66.7 %", "")
    assert found["not a car"].filters == "reason=not_a_car"


def test_changes_are_counted_in_photos_and_in_points():
    later = replace(NIGHT, photos=20, kept=8, out={"not_a_car": 12})
    found = {one.name: one for one in dataset_trends([NIGHT, later])}
    assert (found["photos"].change, found["photos"].direction) == ("+10", 1)
    assert (found["kept"].said, found["kept"].change, found["kept"].direction) == ("40.0 %", "-10.0 points", -1)
    assert (found["not a car"].said, found["not a car"].change) == ("60.0 %", "+20.0 points")
    assert found["vehicles"].change == ""
    assert dataset_trends([]) == []


def test_nights_cost_money_where_there_are_prices_and_minutes_else():
    past = [replace(NIGHT, cost=cost) for cost in (None, Cost(cpu_hours=0.5, requests=10), Cost(cpu_hours=0.25))]
    found = cost_trend(past, CostConfig())
    assert ([*found.values], found.said, found.direction) == ([None, 30.0, 15.0], "15.0 min", -1)
    found = cost_trend(past, CostConfig(cpu_hour=2.0, currency="EUR"))
    assert ([*found.values], found.said) == ([None, 1.0, 0.5], "0.50 EUR")
    assert cost_trend([NIGHT], CostConfig()) is None


def test_a_night_without_a_figure_leaves_a_gap():
    assert Trend("top-1", [0.5, None, 0.7], "70.0 %").direction == 1
    assert Trend("top-1", [None, None], "none").direction == 0


def test_answers_on_new_listings_are_better_when_more_are_right(cache, session):
    assert newest_listings(cache, "classifier") is None
    for at, accuracy in (("2026-01-01T03:00:00Z", 0.5), ("2026-01-02T03:00:00Z", 0.75)):
        record_score(session, SCORE | {"at": at, "accuracy": accuracy})
    found = newest_listings(cache, "classifier")
    assert ([*found.values], found.said, found.change, found.better) == ([0.5, 0.75], "75.0 %", "+25.0 points", 1)


def test_nights_up_to_a_dataset_end_with_it(cache, made):
    [night] = trends.nights_up_to(cache, made[0])
    assert night.dataset.id == made[0].key.split("/")[1]


def test_durations_are_said_in_the_unit_that_fits():
    assert [trends.lasted(minutes) for minutes in (0.3, 12.4, 192)] == ["18 s", "12 min", "3.2 h"]
    found = trends.duration("prepare_dataset", [2.0, 0.5])
    assert (found.name, found.said, found.change) == ("prepare_dataset took", "30 s", "−2 min")
