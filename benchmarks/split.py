"""The split, against the published one and scikit-learn's: how even, and how fast.

    python benchmarks/split.py <tables> [--out <json>]

`<tables>` holds the published CSVs: `df_for_traintestsplit.csv` (a row per listing), `classes_763_to_512.csv` and
`table_for_{train,val,test}.csv`. All three splits keep a listing whole; the published one was made per model, and
is judged per model, where it looks best.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from kept import keep  # the module beside this one
from sklearn.model_selection import StratifiedGroupKFold

from carpipe.config import SplitConfig
from carpipe.photos import SPLITS
from carpipe.stages.split import assign

QUOTAS = pd.Series({"train": 0.70, "val": 0.15, "test": 0.15})
FOLDS = 20  # of 5 % each: 14 for train, 3 for val, 3 for test


class Figures(NamedTuple):
    """Of a split: seconds, how far shares are off overall, how they spread over classes, classes that miss a side."""

    seconds: float
    off: float
    spread: list[float]
    empty: int


def main(options: argparse.Namespace) -> None:
    """Print one line per split."""
    folder = options.tables
    listings = read_listings(folder)
    print(
        f"{len(listings):,} listings, {listings['photos'].sum():,} photos, {listings['class_name'].nunique()} classes"
    )
    print(f"{'split':<24} {'seconds':>8} {'off overall':>12} {'std per class, points':>28} {'empty':>6}")
    ours = show("carpipe", listings, run_carpipe)
    theirs = read_published(folder)
    published = show("published, per model", theirs, lambda table: table["split"])
    sklearn = show("StratifiedGroupKFold", listings, run_sklearn)
    even = np.mean(sklearn.spread) / np.mean(ours.spread)
    print(f"carpipe is {sklearn.seconds / ours.seconds:.1f} times as fast, and {even:.1f} times as even, as sklearn")
    if options.out:
        found = {"carpipe": ours, "published, per model": published, "scikit-learn's StratifiedGroupKFold": sklearn}
        spread = (f"{name}: deviation over classes, points" for name in SPLITS)
        columns = ("split", "seconds", "off 70/15/15, points", *spread, "classes without a side")
        rows = [
            [name, round(one.seconds, 2), round(one.off, 3), *(round(part, 2) for part in one.spread), one.empty]
            for name, one in found.items()
        ]
        keep(options.out, title=f"Splitting {len(listings):,} listings", columns=columns, rows=rows)


def read_listings(folder: Path) -> pd.DataFrame:
    """The listings that the published filters leave: models of more than 150 photos, classes that are not erased."""
    table = pd.read_csv(folder / "df_for_traintestsplit.csv")
    classes = pd.read_csv(folder / "classes_763_to_512.csv").set_index("car_model")["class_name"]
    table = table[table.groupby("car_model")["nof_photos"].transform("sum") > 150]
    table = table.assign(class_name=table["car_model"].map(classes), photos=table["nof_photos"])
    table.index = table["car_model"] + "/" + table["single_car_index"].astype(str)
    return table.dropna(subset=["class_name"])


def read_published(folder: Path) -> pd.DataFrame:
    """The listings as the published project split them; a model stands for a class."""
    parts = [pd.read_csv(folder / f"table_for_{name}.csv").assign(split=name) for name in SPLITS]
    table = pd.concat(parts, ignore_index=True)
    return table.assign(class_name=table["car_model"], photos=table["nof_photos"])


def run_carpipe(listings: pd.DataFrame) -> "pd.Series[str]":
    """As the pipeline does it."""
    return assign(listings[["class_name", "photos"]].assign(split=None), config=SplitConfig())


def run_sklearn(listings: pd.DataFrame) -> "pd.Series[str]":
    """As a user would: a row per photo, the class as label, the listing as group."""
    rows = np.repeat(np.arange(len(listings)), listings["photos"])
    labels = pd.factorize(listings["class_name"])[0][rows]
    folds = np.empty(len(listings), int)
    splitter = StratifiedGroupKFold(n_splits=FOLDS, shuffle=True, random_state=0)
    for fold, (_, held_out) in enumerate(splitter.split(np.zeros(len(rows)), labels, rows)):
        folds[rows[held_out]] = fold
    sides = np.array(["train"] * 14 + ["val"] * 3 + ["test"] * 3)
    return pd.Series(sides[folds], index=listings.index)


def show(name: str, listings: pd.DataFrame, make: Callable[[pd.DataFrame], "pd.Series[str]"]) -> Figures:
    """Print how good a split is."""
    started = time.perf_counter()
    sides = make(listings)
    seconds = time.perf_counter() - started
    photos = listings["photos"]
    overall = photos.groupby(sides).sum() / photos.sum()
    table = photos.groupby([listings["class_name"], sides]).sum().unstack(fill_value=0)
    shares = 100 * table.div(table.sum(axis=1), axis=0)
    spread = [float(shares[split].std()) for split in SPLITS]
    off, empty = 100 * float((overall - QUOTAS).abs().max()), int((table == 0).any(axis=1).sum())
    told = ", ".join(f"{split} {part:.2f}" for split, part in zip(SPLITS, spread, strict=True))
    print(f"{name:<24} {seconds:>8.2f} {off:>12.3f} {told:>28} {empty:>6}")
    return Figures(seconds, off, spread, empty)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path)
    parser.add_argument("--out", type=Path)
    main(parser.parse_args())
