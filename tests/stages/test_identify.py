"""Which photos show the same car: by listing, by equal files, never by banners."""

import pandas as pd

from carpipe.config import IdentifyConfig
from carpipe.stages.identify import identify


def table(*rows):
    photos = pd.DataFrame(rows, columns=["key", "listing_uuid", "sha256"]).astype("str")
    return photos.assign(dropped=None, dropped_by=None).astype({"dropped": "str", "dropped_by": "str"})


def run(*rows):
    photos = identify(table(*rows), config=IdentifyConfig())
    return photos.set_index("key")


def test_a_listing_is_a_vehicle():
    photos = run(("1", "a", "x"), ("2", "a", "y"), ("3", "b", "z"))

    assert photos["vehicle"].tolist() == ["a", "a", "b"]
    assert photos["dropped"].isna().all()


def test_equal_files_join_listings_through_others_and_one_copy_stays():
    photos = run(("1", "c", "x"), ("2", "b", "x"), ("3", "b", "y"), ("4", "a", "y"), ("5", "a", "z"))

    assert photos["vehicle"].tolist() == ["a"] * 5
    assert photos["dropped"].fillna("").tolist() == ["", "duplicate", "", "duplicate", ""]


def test_a_banner_goes_and_joins_nothing():
    photos = run(*((f"{n}", f"listing{n}", "banner") for n in range(3)), ("a", "listing0", "x"), ("b", "listing1", "y"))

    assert photos["dropped"].fillna("").tolist() == ["banner"] * 3 + ["", ""]
    assert photos.loc["a", "vehicle"] != photos.loc["b", "vehicle"]


def test_of_two_versions_of_a_photo_the_later_counts():
    photos = identify(table(("1", "a", "old"), ("2", "a", "y"), ("1", "a", "new")), config=IdentifyConfig())

    assert photos["dropped"].fillna("").tolist() == ["superseded", "", ""]
