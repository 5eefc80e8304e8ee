"""What stages asked of photos is told by what their results carry, and why a photo is out with it."""

import pytest

from carpipe import manifest
from carpipe.manifest import Work
from carpipe.steps import results
from carpipe.steps.cache import ResultCache
from carpipe.steps.data.datasets import find_dataset
from carpipe.steps.views.asked import BEFORE, DECIDED_BY, asked_of, why_out
from tests.recorded import restored

ASKED = {
    "clean": {"min_side": 64, "max_pixels": 110_000_000, "max_damage": 0.05},
    "filter": {"threshold": 0.7},
    "crop": {"confidence": 0.25, "min_box_share": 0.04},
    "identify": {"banner_listings": 3},
    "classes": {"min_photos": 1500},
}
# What else a result may be made of.
OTHER = f"stages/quantize/all/{20 * '0'}/manifest.json"


def commit(session, stage, config, *inputs, partition="all"):
    return manifest.commit(session.store, Work(stage, 1, partition, config, inputs), {}, counts={}).key


@pytest.fixture
def dataset(session):
    crops = []
    for name, threshold in (("p00000-a", 0.7), ("p00001-b", 0.6)):
        cleaned = commit(session, "clean", {"min_side": 64}, partition=name)
        filtered = commit(session, "filter", {"threshold": threshold}, cleaned, partition=name)
        crops.append(commit(session, "crop", {"confidence": 0.25}, filtered, OTHER, partition=name))
    identified = commit(session, "identify", {"banner_listings": 3}, *crops)
    split = commit(session, "split", {}, commit(session, "classes", {"min_photos": 150}, identified))
    return manifest.read(session.store, commit(session, "dataset", {}, split, OTHER))


def test_each_partition_has_the_settings_that_it_was_made_with(session, dataset):
    first, second, none = (asked_of(ResultCache(session), dataset, name) for name in ("p00000-a", "p00001-b", ""))
    assert (first["filter"], second["filter"]) == ({"threshold": 0.7}, {"threshold": 0.6})
    assert (second["clean"], second["crop"]) == ({"min_side": 64}, {"confidence": 0.25})
    assert {*none} == {"split", "classes", "identify"}


def test_a_bucket_of_carpipe_0_1_says_what_was_asked_then(s3):
    session = restored(s3)
    cache, dataset = ResultCache(session), find_dataset(session, None)
    partitions = results.read_photos(session.store, dataset, columns=["partition"])["partition"].unique()

    for partition in partitions:
        asked = asked_of(cache, dataset, partition)
        assert {*asked} == {*BEFORE}
        assert why_out("not_a_car", asked) == "p(car) is below filter.threshold = 0.05"
    assert len(partitions)


def test_what_has_gone_says_nothing_and_what_is_there_does(session, dataset):
    gone = [info.key for info in session.store.list_objects("stages/filter")]
    session.store.delete(gone)
    assert {*asked_of(ResultCache(session), dataset, "p00000-a")} == {"split", "classes", "identify", "crop"}


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("not_a_car", "p(car) is below filter.threshold = 0.7"),
        ("too_small", "a side is shorter than clean.min_side = 64"),
        ("truncated", "the picture breaks off before its end (clean.max_damage = 0.05)"),
        ("no_vehicle", "the detector found no vehicle (crop.confidence = 0.25)"),
        ("too_few_photos", "its model has fewer photos than classes.min_photos = 1,500"),
        ("missing", "gone from raw/ since it was listed"),
        ("of a later version", ""),
    ],
)
def test_a_reason_says_which_value_decided(reason, said):
    assert why_out(reason, ASKED) == said


def test_without_settings_a_reason_is_what_it_was():
    assert why_out("not_a_car", {"filter": {"threshold": ["odd"]}}) == "p(car) is below filter.threshold"
    for reason in DECIDED_BY:
        assert "(" not in why_out(reason, {}).removesuffix("not their car")
