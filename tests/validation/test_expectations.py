import numpy as np
import pandas as pd
import pytest

from carpipe.config import SplitConfig
from carpipe.photos import SPLITS
from carpipe.stages.split import assign
from carpipe.validation import expectations as ours

SHARES = [0.70, 0.15, 0.15]


def draw(seed: int, *, classes: int = 10, vehicles: int = 22, largest: int = 8) -> pd.DataFrame:
    """Vehicles of 1 to `largest` photos, by default as many as in the sample world."""
    random = np.random.default_rng(seed)
    names = [f"class-{number}" for number in range(classes)]
    table = pd.DataFrame({"class_name": np.repeat(names, vehicles)})
    return table.assign(photos=random.integers(1, largest + 1, len(table)), split=None)


def count(vehicles: pd.DataFrame) -> pd.DataFrame:
    """Photos of each class per split, and of its largest vehicle."""
    table = vehicles.pivot_table(index="class_name", columns="split", values="photos", aggfunc="sum", fill_value=0)
    return table.assign(largest_vehicle=vehicles.groupby("class_name")["photos"].max()).reset_index()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("vehicles", [3, 4, 7, 22, 150])
def test_whatever_the_split_stage_makes_is_near_the_quota(seed: int, vehicles: int) -> None:
    table = draw(seed, vehicles=vehicles)
    night = table.groupby("class_name").cumcount() * 3 // vehicles
    for number in range(3):
        seen = table[night <= number]
        table.loc[seen.index, "split"] = assign(seen, config=SplitConfig())
    # With these tolerances nothing but the size of the vehicles is left.
    assert ours.ExpectClassSharesNearQuota(shares=SHARES, tolerance=0.0).find(count(table)) == ([], 30)
    assert ours.ExpectSplitSharesNearQuota(shares=SHARES, tolerance=0.0).find(count(table)) == ([], 3)


def test_a_split_by_thirds_is_far_from_the_quota_even_in_a_small_world() -> None:
    table = count(draw(1).assign(split=np.resize(SPLITS, 220)))
    assert len(ours.ExpectSplitSharesNearQuota(shares=SHARES, tolerance=0.02).find(table)[0]) == 3
    broken, looked_at = ours.ExpectClassSharesNearQuota(shares=SHARES, tolerance=0.05).find(table)
    assert looked_at == 30
    assert len({sentence.split(":")[0] for sentence in broken}) == 10


def test_shares_may_be_off_by_the_tolerance_and_no_more() -> None:
    table = pd.DataFrame({"class_name": ["a", "b"], "train": [660, 630], "val": [190, 215], "test": [150, 155]})
    table["largest_vehicle"] = 1
    broken, _ = ours.ExpectClassSharesNearQuota(shares=SHARES, tolerance=0.05).find(table)
    assert broken == ["b: 63.0 % in train instead of 70 %", "b: 21.5 % in val instead of 15 %"]


@pytest.mark.parametrize(
    ("box", "good"),
    [
        ((0, 0, 320, 240), True),
        ((0.0, 0.0, 0.1, 0.1), True),
        ((-0.1, 0, 320, 240), False),
        ((0, -0.1, 320, 240), False),
        ((0, 0, 320.1, 240), False),
        ((0, 0, 320, 240.1), False),
        ((10, 0, 10, 240), False),
        ((0, 240, 320, 0), False),
        ((0, 0, 320), False),
        ((0, 0, 320, float("nan")), False),
        ((), False),
    ],
)
def test_a_box_is_inside_its_frame(box: tuple[float, ...], good: bool) -> None:
    table = pd.DataFrame({"key": ["one", "two"], "box": [(1, 1, 2, 2), box], "width": 320, "height": 240})
    broken, looked_at = ours.ExpectBoxesInsideFrames().find(table)
    assert (len(broken), looked_at) == (0 if good else 1, 2)
    assert all(sentence.startswith("two: box") for sentence in broken)


def test_photos_without_a_box_are_not_looked_at() -> None:
    table = pd.DataFrame({"key": ["one"], "box": [None], "width": 320, "height": 240})
    assert ours.ExpectBoxesInsideFrames().find(table) == ([], 0)


def test_the_smallest_model_is_counted_before_the_cap_and_the_split() -> None:
    table = pd.DataFrame(
        [("kept", "train", None, None)] * 2
        + [("kept", None, "over_cap", "classes"), ("kept", None, "other_class", "split")]
        + [("kept", None, "not_a_car", "filter")] * 9
        + [("rare", None, "too_few_photos", "classes")],
        columns=["model", "split", "dropped", "dropped_by"],
    )
    assert ours.ExpectEnoughPhotosPerModel(min_photos=4).find(table) == ([], 1)
    assert ours.ExpectEnoughPhotosPerModel(min_photos=5).find(table) == (["kept: 4"], 1)


def test_a_stage_that_is_new_or_got_no_photos_is_not_compared() -> None:
    table = pd.DataFrame(
        {"stage": ["clean", "filter", "new"], "share": [0.9, np.nan, 0.1], "previous_share": [0.9, 0.5, np.nan]}
    )
    assert ours.ExpectFunnelNearPrevious(tolerance=0.1).find(table) == ([], 3)
