"""Groups of listings that look alike: drawn directions of models, some of which nobody knows."""

import numpy as np
import pandas as pd
import pytest

from carpipe.evaluation.look_alikes import LESS, MIN_LISTINGS, directions_of, find_groups, limit_of, may_be_new

FEATURES = 64


def drawn(models, each, *, seed=0, noise=0.05):
    """Listings of models: directions around a centre each, and the model of each."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(models, FEATURES)) / np.sqrt(FEATURES)
    truth = np.repeat(np.arange(models), each)
    rows = centres[truth] + rng.normal(size=(len(truth), FEATURES)) * noise
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), truth


def groups_of(unknown, names, limit, *, familiarity=-1.0):
    return find_groups(unknown, names, np.full(len(unknown), familiarity), usual=0.0, limit=limit)


@pytest.fixture(scope="module")
def limit():
    known, classes = drawn(8, 6)
    return limit_of(known, [str(one) for one in classes])


def test_listings_of_one_model_under_several_names_are_found(limit):
    unknown, truth = drawn(3, 12, seed=1)
    lone, _ = drawn(40, 1, seed=2)
    names = [f"name {number % 4}" for number in range(len(unknown) + len(lone))]

    groups = groups_of(np.concatenate([unknown, lone]), names, limit)

    assert len(groups) == 3
    for group in groups:
        assert len({int(truth[one]) for one in group.members}) == 1, "of one model"
        assert len(group.members) >= 8
        assert group.alike > limit


def test_nothing_is_found_where_none_is_like_another(limit):
    lone, _ = drawn(200, 1, seed=3)

    assert groups_of(lone, [f"name {number % 9}" for number in range(200)], limit) == []


def test_one_name_alone_is_no_group_since_its_name_tells_it(limit):
    unknown, _ = drawn(1, 20, seed=4)

    assert groups_of(unknown, ["dacia_spring"] * 20, limit) == []
    assert len(groups_of(unknown, ["dacia_spring", "dacia_sandero"] * 10, limit)) == 1


def test_few_listings_are_no_group(limit):
    unknown, _ = drawn(1, MIN_LISTINGS - 1, seed=5)

    assert groups_of(unknown, [*"abcd"], limit) == []
    assert groups_of(unknown[:0], [], limit) == []


def test_too_few_known_listings_say_nothing():
    known, classes = drawn(8, 2)

    assert limit_of(known, [str(one) for one in classes]) is None
    assert limit_of(known, ["one"] * 16) is None, "of two classes there is no pair"


def test_a_group_that_is_as_familiar_as_known_cars_is_none(limit):
    unknown, _ = drawn(1, 20, seed=4)
    names = ["dacia_spring", "dacia_sandero"] * 10

    assert groups_of(unknown, names, limit, familiarity=0.01 - LESS) == []
    assert len(groups_of(unknown, names, limit, familiarity=-0.01 - LESS)) == 1


def test_compared_are_the_less_familiar_half_of_those_that_look_like_another_class():
    table = pd.DataFrame(
        [
            ("known", True, "a", "a", 1.0), ("known too", True, "a", "a", -1.0), ("wrong", True, "a", "b", -0.5),
            ("familiar", True, "a", "b", 2.0), ("no class", False, "b", "b", -0.6), ("not told", True, "a", "b", None),
        ],
        columns=["listing", "has_class", "class_name", "answer", "familiarity"],
    )  # fmt: skip

    mine, usual = may_be_new(table)

    assert mine["listing"].tolist() == ["no class", "wrong"]
    assert usual == pytest.approx((1 - 1 - 0.5 + 2) / 4)
    assert may_be_new(table.iloc[:0])[0].empty


def test_photos_of_a_listing_are_averaged_without_the_middle():
    features = np.array([[3.0, 1.0], [1.0, 3.0], [0.0, 1.0]])

    found = directions_of(features, np.array([1.0, 1.0]), np.array([0, 0, 1]))

    np.testing.assert_allclose(found, [[np.sqrt(0.5), np.sqrt(0.5)], [-1, 0]], atol=1e-6)
