"""What came of a run, in a sentence."""

from carpipe.steps.views.live import show_live
from carpipe.steps.views.outcomes import dataset_made, decided


def test_a_run_has_made_a_dataset_or_one_that_is_gone(cache, made):
    said = dataset_made(cache, made[0].key)
    assert (said.startswith("The dataset of "), said.endswith(", 8 photos.")) == (True, True)
    assert dataset_made(cache, f"datasets/{'0' * 20}/manifest.json") == ""


def test_a_run_says_what_the_gate_said_in_it(cache, made):
    assert decided(cache, "classifier", "nightly").startswith("New weights went live: Proven better. Because ")
    assert decided(cache, "classifier", "another") == ""


def test_what_is_live_says_since_when_and_how_good_it_is(cache, made):
    classifier, car_filter = show_live(cache)
    assert (classifier.channel, classifier.generation, classifier.top1) == ("classifier", 2, 0.75)
    assert (classifier.since, classifier.reason) == ("2 Jan 2026 03:00", "reason 1")
    assert classifier.model.short == made[1][1].key.split("/")[2][:8]
    assert car_filter.model is None
