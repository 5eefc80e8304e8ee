"""The split: whole vehicles, every class on every side, shares as asked."""

import numpy as np
import pandas as pd
import pytest

from carpipe.config import SplitConfig
from carpipe.errors import InputError
from carpipe.photos import PUBLISHED_COLUMNS, kept
from carpipe.stages.split import split, tables


def table(classes=6, vehicles=50, seed=1):
    rng = np.random.default_rng(seed)
    rows = [
        (f"{c}/{v}/{p}", f"model{c}", f"class{c}", f"car-{c}-{v}", v)
        for c in range(classes)
        for v in range(vehicles)
        for p in range(rng.integers(1, 12))
    ]
    photos = pd.DataFrame(rows, columns=["key", "model", "class_name", "vehicle", "listing"])
    return photos.assign(dropped=None, dropped_by=None).astype({"dropped": "str", "dropped_by": "str"})


def test_no_vehicle_is_on_two_sides_and_shares_are_as_asked():
    photos = split(table(), config=SplitConfig())

    assert photos.groupby("vehicle")["split"].nunique().max() == 1
    shares = photos.groupby("class_name")["split"].value_counts(normalize=True).unstack()
    assert (shares - [0.15, 0.70, 0.15]).abs().max().max() < 0.05


def test_the_result_does_not_depend_on_the_order_of_rows():
    photos = table()
    shuffled = photos.sample(frac=1, random_state=1)

    one, other = (split(part, config=SplitConfig()).set_index("key")["split"] for part in (photos, shuffled))

    assert one.sort_index().equals(other.sort_index())


def test_three_vehicles_reach_every_side():
    assert set(split(table(1, 3), config=SplitConfig())["split"]) == {"train", "val", "test"}


def test_a_class_of_two_vehicles_is_dropped_and_said():
    photos = split(pd.concat([table(1, 20), table(2, 2).query("class_name == 'class1'")]), config=SplitConfig())

    assert set(photos.loc[photos["class_name"] == "class1", "dropped"]) == {"too_few_vehicles"}
    assert kept(photos)["class_name"].unique().tolist() == ["class0"]


def test_a_vehicle_in_two_classes_keeps_its_main_one():
    photos = table(2, 10)
    mixed = photos["vehicle"].isin(["car-0-0", "car-1-0"])
    photos.loc[mixed, "vehicle"] = "mixed"

    after = split(photos, config=SplitConfig())

    assert kept(after).groupby("vehicle")["class_name"].nunique().max() == 1
    assert "other_class" in set(after.loc[after["vehicle"] == "mixed", "dropped"].dropna())


def test_no_class_left_is_an_error_that_says_so():
    with pytest.raises(InputError, match="No class has 3 vehicles"):
        split(table(3, 2), config=SplitConfig())


def test_tables_carry_the_published_columns_and_add_up():
    photos = split(table(), config=SplitConfig())

    parts = tables(photos)

    rows = pd.concat(parts.values())
    assert tuple(rows.columns[:6]) == PUBLISHED_COLUMNS
    assert rows["nof_photos"].sum() == len(photos)
    assert (rows.groupby("car_model")["cumsum_by_model"].max() == photos["model"].value_counts().sort_index()).all()
    assert all(set(part["split"]) == {name} for name, part in parts.items())
