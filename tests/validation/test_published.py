"""The published tables have real defects, counted here with pandas alone: the suites must find those, and no others."""

from pathlib import Path

import pandas as pd
import pytest

from carpipe.photos import PUBLISHED_COLUMNS, SPLITS
from carpipe.validation.engine import Engine
from carpipe.validation.joins import join_tables
from carpipe.validation.suites import build_suites
from carpipe.validation.validate import Limits, validate_tables

pytestmark = [pytest.mark.slow]

Tables = dict[str, pd.DataFrame]
LIMITS = Limits()


@pytest.fixture(scope="module")
def published(data: Path) -> Tables:
    """The tables as published; a model is a class, and a listing number of a model a vehicle."""
    tables = {}
    for split in SPLITS:
        table = pd.read_csv(data / "tables" / f"table_for_{split}.csv", usecols=list(PUBLISHED_COLUMNS))
        vehicle = table["car_model"] + "/" + table["single_car_index"].astype("str")
        tables[split] = table.assign(class_name=table["car_model"], vehicle=vehicle, split=split)
    return tables


@pytest.fixture(scope="module")
def listings(published: Tables) -> pd.DataFrame:
    return pd.concat(published.values(), ignore_index=True)


def with_photos(tables: Tables) -> Tables:
    """The tables, and a photo for each that they count."""
    rows = pd.concat(tables.values(), ignore_index=True)
    photos = rows.loc[rows.index.repeat(rows["nof_photos"]), ["car_model", "class_name", "vehicle", "split"]]
    photos = photos.rename(columns={"car_model": "model"}).reset_index(drop=True)
    key = photos.index.astype("str") + ".jpg"
    photos = photos.assign(
        key=key, sha256=key, listing_uuid=photos["vehicle"], etag="etag", p_car=0.9, box_score=0.9, width=2, height=2
    )
    photos = photos.assign(box=[(0, 0, 1, 1)] * len(photos), dropped=None, dropped_by=None)
    return {**tables, "audit": photos, "photos": photos}


def far_shares(listings: pd.DataFrame, name: str) -> int:
    """How many shares of photos of `name` are further from 70 / 15 / 15 than 5 points and than whole vehicles force."""
    far = 0
    for _, group in listings.groupby(name):
        total, largest = group["nof_photos"].sum(), group.groupby("vehicle")["nof_photos"].sum().max()
        for split, quota in (("train", 0.70), ("val", 0.15), ("test", 0.15)):
            off = group.loc[group["split"] == split, "nof_photos"].sum() / total - quota
            far += off > max(0.05, largest / total) or -off > max(0.05, 2 * largest / total)
    return far


def test_the_published_tables_break_what_they_are_known_to_break(
    published: Tables, listings: pd.DataFrame, tmp_path: Path
) -> None:
    small = listings["directory_size"] <= 150
    assert (small.sum(), listings.loc[small, "car_model"].nunique()) == (584, 27)
    by_split = listings[small]["split"].value_counts()
    photos = listings.pivot_table(index="car_model", columns="split", values="nof_photos", aggfunc="sum", fill_value=0)
    assert photos.index[(photos == 0).any(axis=1)].tolist() == ["jaguar_xk8", "mini_cooper-paceman"]

    tables = with_photos(published)
    verdict = validate_tables(tables, classes=sorted(photos.index), limits=LIMITS, folder=tmp_path)
    failed = [check for table in verdict.report["tables"].values() for check in table["checks"] if not check["success"]]
    assert [(check["table"], check["rule"], check["broken_by"], check["examined"]) for check in failed] == [
        ("train", "directory_size is 150 or more", by_split["train"], 76162),
        ("val", "directory_size is 150 or more", by_split["val"], 16719),
        ("test", "directory_size is 150 or more", by_split["test"], 16391),
        ("photos", "each model has 150 photos or more, before cap and split", 27, 790),
        ("classes", "each class has photos in train, val and test", 2, 790),
        (
            "classes",
            "the photos of each class are split about 70 % / 15 % / 15 %",
            far_shares(listings, "car_model"),
            790 * 3,
        ),
    ]
    assert failed[4]["examples"] == ["'jaguar_xk8: no test'", "'mini_cooper-paceman: no val'"]


def test_the_shares_of_the_512_published_classes_are_far_off(
    published: Tables, listings: pd.DataFrame, data: Path, tmp_path: Path
) -> None:
    names = pd.read_csv(data / "tables" / "classes_763_to_512.csv").set_index("car_model")["class_name"].dropna()
    listings = listings.assign(class_name=listings["car_model"].map(names)).dropna(subset=["class_name"])
    photos = listings.pivot_table(index="class_name", columns="split", values="nof_photos", aggfunc="sum", fill_value=0)
    shares = photos["val"] / photos.sum(axis=1)
    assert (len(shares), f"{shares.min():.1%}", f"{shares.max():.1%}") == (512, "3.8%", "32.3%")

    tables = {split: listings[listings["split"] == split] for split in SPLITS}
    joined = join_tables(with_photos(tables), sorted(photos.index), LIMITS)
    rules = build_suites(joined, sorted(photos.index), LIMITS)["classes"]
    failed = [check for check in Engine(tmp_path).run("classes", joined["classes"], rules) if not check.success]
    assert [(check.broken_by, check.examined) for check in failed] == [(far_shares(listings, "class_name"), 512 * 3)]
    assert "the photos of each class are split about" in failed[0].rule
    worst = shares.sub(0.15).abs().idxmax()
    assert any(
        f"{worst}: {100 * shares[worst]:.1f} % in val instead of 15 %" in example for example in failed[0].examples
    )
