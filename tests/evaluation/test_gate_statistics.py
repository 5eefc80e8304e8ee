import time

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, bootstrap, permutation_test

from carpipe.config import GateConfig
from carpipe.evaluation.gate_statistics import (
    Vehicles,
    bootstrap_interval,
    choose_provable,
    count_vehicles,
    judge_classes,
    sign_flip_p,
)

RULES = GateConfig()


def pairs(*classes: tuple[str, int, int, int]) -> pd.DataFrame:
    """A row per photo: of each class vehicles of 2 photos that got better, worse, and that both models answer rightly.

    A vehicle that changed changes in one photo; the other is right in both.
    """
    rows = [
        (name, f"{name}-{kind}-{number}", *answers)
        for name, *numbers in classes
        for kind, count in zip(("better", "worse", "same"), numbers, strict=True)
        for number in range(count)
        for answers in [{"better": (True, False), "worse": (False, True), "same": (True, True)}[kind], (True, True)]
    ]
    return pd.DataFrame(rows, columns=["class_name", "vehicle", "candidate", "champion"])


def test_vehicles_are_counted_by_hand():
    table = pd.DataFrame({"vehicle": list("aabab"), "candidate": [1, 1, 0, 0, 1], "champion": [0, 1, 1, 0, 1]}).astype(
        {"candidate": bool, "champion": bool}
    )

    vehicles = count_vehicles(table)

    assert (vehicles.gain.tolist(), vehicles.photos.tolist()) == ([1, -1], [3, 2])


def test_the_bootstrap_is_scipys():
    rng = np.random.default_rng(1)
    photos = rng.integers(1, 9, 400)
    gain = np.clip(rng.integers(-3, 4, 400), -photos, photos)
    theirs = bootstrap(
        (gain, photos),
        lambda drawn, of, axis: drawn.sum(axis=axis) / of.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=4000,
        confidence_level=0.98,
        method="percentile",
        rng=rng,
    ).confidence_interval

    low, high = bootstrap_interval(Vehicles(gain, photos), confidence=0.99, resamples=4000, seed=20)

    width = theirs.high - theirs.low
    assert low == pytest.approx(theirs.low, abs=0.06 * width)
    assert high == pytest.approx(theirs.high, abs=0.06 * width)


def test_the_sign_flip_test_is_scipys():
    gain = np.array([3, 1, -1, 2, 0, 1, 1, -2, 4, 1])
    theirs = permutation_test(
        (gain,), np.sum, permutation_type="samples", alternative="greater", n_resamples=np.inf
    ).pvalue

    assert sign_flip_p(gain) == pytest.approx(theirs, rel=1e-12)
    assert sign_flip_p(np.zeros(5, np.int64)) == 1.0
    # Of single photos it is the sign test.
    single = np.repeat([1, -1, 0], [9, 2, 30])
    assert sign_flip_p(single) == pytest.approx(binomtest(9, 11, alternative="greater").pvalue, rel=1e-12)


def test_five_better_and_none_worse_happens_to_equal_models():
    gain = np.repeat([1, 0], [5, 995])
    low, _ = bootstrap_interval(Vehicles(gain, np.ones(1000, int)), confidence=0.99, resamples=4000, seed=0)

    assert low > 0
    assert sign_flip_p(gain) == pytest.approx(1 / 32)


def test_the_full_size_takes_a_second_not_ten():
    rng = np.random.default_rng(0)
    photos = rng.integers(1, 9, 20_000)
    gain = rng.binomial(photos, 0.04) - rng.binomial(photos, 0.03)
    started = time.perf_counter()

    bootstrap_interval(Vehicles(gain, photos), confidence=0.99, resamples=4000, seed=0)
    sign_flip_p(gain)

    assert time.perf_counter() - started < 5


def test_recalls_and_vehicles_are_counted_by_hand():
    table = judge_classes(pairs(("audi_a4", 1, 9, 10), ("kia_rio", 2, 1, 4)), rules=RULES)

    audi, kia = table.to_dict("records")
    assert (audi["photos"], audi["vehicles"], audi["better"], audi["worse"]) == (40, 20, 1, 9)
    assert (audi["champion"], audi["candidate"], audi["fall"]) == pytest.approx((39 / 40, 31 / 40, 8 / 40))
    assert audi["p"] == pytest.approx(binomtest(9, 10, alternative="greater").pvalue)
    assert kia["p"] == pytest.approx(binomtest(1, 3, alternative="greater").pvalue)
    assert (audi["ruined"], kia["ruined"]) == (True, False)


def test_a_fall_within_the_margin_ruins_nothing_however_certain():
    # 30 of 400 vehicles worse, none better: 30 of 800 photos.
    [row] = judge_classes(pairs(("audi_a4", 0, 30, 370)), rules=RULES).to_dict("records")

    assert row["p"] < 1e-8
    assert not row["ruined"]
    assert judge_classes(pairs(("audi_a4", 0, 30, 370)), rules=GateConfig(class_margin=0.03))["ruined"].all()


def test_among_many_classes_more_is_asked_of_one():
    # 0.8 % of coins that are tossed seven times fall tails each time.
    one = ("audi_a4", 0, 7, 30)
    others = [(f"kia_{number:03}", 3, 3, 10) for number in range(99)]
    loud = [(f"seat_{number:03}", 10, 10, 10) for number in range(99)]

    assert judge_classes(pairs(one), rules=RULES)["ruined"].tolist() == [True]
    # 6 changed vehicles could never prove anything among 100 classes, so those do not count; 20 could.
    assert judge_classes(pairs(one, *others[:5]), rules=RULES)["ruined"].sum() == 1
    assert judge_classes(pairs(one, *loud), rules=RULES)["ruined"].sum() == 0


def test_a_collapse_needs_no_correction():
    # A class of 8 vehicles with one photo right of two: recall falls by half.
    loud = [(f"seat_{number:03}", 10, 10, 10) for number in range(99)]

    table = judge_classes(pairs(("audi_a4", 0, 8, 0), *loud), rules=RULES)

    assert table.loc[table["ruined"], "class_name"].tolist() == ["audi_a4"]
    mild = GateConfig(class_collapse=0.6)
    assert not judge_classes(pairs(("audi_a4", 0, 8, 0), *loud), rules=mild)["ruined"].any()


def test_small_classes_are_judged_together():
    small = [(f"seat_{number:03}", 0, 2, 3) for number in range(10)]

    table = judge_classes(pairs(("audi_a4", 2, 2, 20), *small), rules=RULES)

    assert table["alone"].tolist() == [True] + [False] * 11
    pool = table.iloc[-1]
    assert pool["class_name"] is None
    assert (pool["vehicles"], pool["photos"], pool["worse"], pool["ruined"]) == (50, 100, 20, True)
    assert table["ruined"].sum() == 1


def test_a_vehicle_with_photos_of_two_classes_counts_in_both():
    table = pd.DataFrame(
        {
            "vehicle": ["v"] * 3,
            "class_name": ["auto", "auto", "no_auto"],
            "candidate": True,
            "champion": [False, True, True],
        }
    )

    classes = judge_classes(table, rules=GateConfig(min_class_vehicles=1))

    assert classes["vehicles"].tolist() == [1, 1]
    assert classes["better"].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("changed", "provable"),
    [
        # One test at 0.05 needs 5 vehicles (1/32), two need 6 (1/64 <= 0.025), three 6 as well (1/64 <= 0.0167).
        ([5], [True]),
        ([4], [False]),
        ([5, 5], [False, False]),
        ([5, 1], [True, False]),
        ([6, 6, 6], [True, True, True]),
        ([6, 6, 6, 6], [False] * 4),
        ([9, 5, 5, 1], [True, False, False, False]),
        ([], []),
    ],
)
def test_tests_that_cannot_prove_anything_are_left_out(changed, provable):
    assert choose_provable(np.array(changed, int), alpha=0.05).tolist() == provable
