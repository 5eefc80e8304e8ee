"""A share of the training vehicles: whole ones, of every class, nested, whatever the order."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from carpipe.errors import InputError
from carpipe.stages.learning_curve import check_shares, choose_all, choose_photos

SIZES = {"audi_a3": 40, "kia_rio": 10, "rare_one": 2}


@pytest.fixture(scope="module")
def photos():
    rng = np.random.default_rng(1)
    rows = [
        (f"{name}/{vehicle}-{number}.jpg", f"{name}-{vehicle}", name)
        for name, size in SIZES.items()
        for vehicle in range(size)
        for number in range(rng.integers(1, 6))
    ]
    return pd.DataFrame(rows, columns=["key", "vehicle", "class_name"])


def vehicles_of(photos):
    return photos.groupby("class_name")["vehicle"].nunique().to_dict()


def test_a_share_has_whole_vehicles_of_every_class(photos):
    found = choose_photos(photos, 0.25, seed=3)

    assert vehicles_of(found) == {"audi_a3": 10, "kia_rio": 3, "rare_one": 1}
    sizes = photos.groupby("vehicle").size()
    assert found.groupby("vehicle").size().equals(sizes[sorted(set(found["vehicle"]))])


def test_a_larger_share_has_all_vehicles_of_a_smaller_one(photos):
    found = choose_all(photos, [1, 0.1, 0.5, 0.25], seed=3)

    assert list(found) == [0.1, 0.25, 0.5, 1]
    cars = [set(rows["vehicle"]) for rows in found.values()]
    assert all(one < other for one, other in pairwise(cars))
    assert len(found[1.0]) == len(photos)


def test_the_choice_depends_on_names_and_the_seed_alone(photos):
    found = set(choose_photos(photos, 0.5, seed=3)["key"])

    assert set(choose_photos(photos.sample(frac=1, random_state=9), 0.5, seed=3)["key"]) == found
    assert set(choose_photos(photos[::-1].reset_index(drop=True), 0.5, seed=3)["key"]) == found
    assert set(choose_photos(photos, 0.5, seed=4)["key"]) != found


def test_more_photos_of_a_vehicle_change_no_choice(photos):
    more = pd.concat([photos, photos.assign(key=photos["key"] + "-2")])

    found = choose_photos(more, 0.5, seed=3)

    assert set(found["vehicle"]) == set(choose_photos(photos, 0.5, seed=3)["vehicle"])


@pytest.mark.parametrize(
    ("shares", "says"),
    [
        ([], r"needs a list of shares, such as 0\.25, 0\.5 and 1; got \[\]"),
        ("0.5", "needs a list of shares"),
        (0.5, "needs a list of shares"),
        (None, "needs a list of shares"),
        ([0.5, 0], "above 0 and up to 1, such as 0.25; got 0"),
        ([0.5, -0.1], "got -0.1"),
        ([25, 50, 100], "got 25"),
        ([1.0000001], "got 1.0000001"),
        (["0.5"], "got '0.5'"),
        ([True], "got True"),
        ([float("nan")], "got nan"),
        ([0.5, 1, 0.5], "The share 0.5 is there twice"),
    ],
)
def test_what_is_no_share_is_refused(shares, says):
    with pytest.raises(InputError, match=says):
        check_shares(shares)


def test_a_share_that_is_less_than_a_vehicle_a_class_is_refused(photos):
    with pytest.raises(
        InputError, match=r"1e-09 is 5\.2e-08 of 52 training vehicles, .* the 3 classes.*Give 0\.058 or"
    ):
        choose_photos(photos, 1e-9, seed=3)
    assert vehicles_of(choose_photos(photos, 0.058, seed=3)) == {"audi_a3": 2, "kia_rio": 1, "rare_one": 1}


def test_shares_that_come_to_the_same_vehicles_are_refused(photos):
    with pytest.raises(InputError, match=r"0\.5 and 0\.5001 come to the same 26 vehicles"):
        choose_all(photos, [0.5, 0.5001], seed=3)
