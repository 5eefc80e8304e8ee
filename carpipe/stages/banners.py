"""Banners: pictures that a dealer puts into many listings, and that show no car of theirs."""

import pandas as pd

# Listings of one car that is offered again and again are of one model, and share most of their pictures, some of the
# car itself; those that share a banner share it alone, or with other banners. And such a car stays in its folder, while
# a banner goes with whatever the dealer sells. Its year may be mistaken once; in more years it must share all.
RELISTED_SHARE, RELISTED_PICTURES = 0.6, 2
RELISTED_TIMES, RELISTED_YEARS = 10, 2


def find_banners(seen: pd.DataFrame, picture: "pd.Series[int]", *, many: int) -> "pd.Series[bool]":
    """Photos of pictures found in `many` listings or more, unless these are one car offered again and again.

    Args:
        seen: numbers of each photo's `model`, `folder` and `listing`, and `car`: whether it shows one from outside.
        picture: which picture each is a copy of.
        many: listings.
    """
    table = seen[["model", "folder", "listing"]].assign(picture=picture)
    counts = table.groupby("picture")[["listing", "folder", "model"]].transform("nunique")
    common = counts["listing"] >= many
    if not common.any():
        return common
    car = common & seen["car"].groupby(picture).transform("max")
    shared = _shared(table[["listing", "picture"]].assign(common=common, car=car))
    mostly, all_of_it, with_car = (
        table["listing"].map(shared[name]).groupby(picture).transform("mean") > 0.5 for name in shared
    )
    again = mostly.where(counts["folder"] <= RELISTED_YEARS, all_of_it)
    again |= (counts["folder"] == 1) & (counts["listing"] < RELISTED_TIMES)
    return common & ~(again & with_car & (counts["model"] == 1))


def _shared(table: pd.DataFrame) -> pd.DataFrame:
    """By listing: whether most and all of its pictures are found in many listings, and whether one shows a car."""
    found = table.drop_duplicates(["listing", "picture"]).groupby("listing")
    common = found["common"].agg(["sum", "mean"])
    mostly = (common["sum"] >= RELISTED_PICTURES) & (common["mean"] >= RELISTED_SHARE)
    return pd.DataFrame({"mostly": mostly, "all_of_it": mostly & (common["mean"] == 1), "with_car": found["car"].max()})
