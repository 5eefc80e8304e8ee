"""Which real photos show the same car, against hand-made truth: relisted copies join, banners and strangers do not."""

import csv

import numpy as np
import pytest

from carpipe.config import CleanConfig, IdentifyConfig
from carpipe.photos import add_results
from carpipe.stages.clean import clean
from carpipe.stages.identify import identify
from carpipe.stages.inventory import list_photos
from carpipe.storage import ObjectInfo

pytestmark = [pytest.mark.slow]


def identified(folder):
    """All photos of a folder, cleaned and identified; the key is the index."""
    keys = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    cleaned = clean(((key, (folder / key).read_bytes()) for key in keys), config=CleanConfig())
    photos = add_results(list_photos(ObjectInfo(key, "e", 1) for key in keys), cleaned.results, stage="clean")

    def signatures(rows):
        return np.stack([np.frombuffer(cleaned.signatures[key], np.uint8) for key in rows["key"]])

    return identify(photos, config=IdentifyConfig(), signatures=signatures).photos.set_index("key")


@pytest.fixture(scope="module")
def photos(data):
    with (data / "truth.csv").open(encoding="utf-8", newline="") as file:
        truth = {row["key"]: row for row in csv.DictReader(file)}
    photos = identified(data / "raw")
    return photos.assign(
        truth=[truth[key]["vehicle"] for key in photos.index], kind=[truth[key]["kind"] for key in photos.index]
    )


@pytest.mark.parametrize("kind", ["relist_exact", "relist_near"])
def test_relisted_cars_are_joined(photos, kind):
    cars = photos.loc[photos["kind"] == kind, "truth"].unique()
    known = photos[photos["truth"].isin(cars) & (photos["dropped_by"] != "clean") & (photos["kind"] != "banner")]
    joined = known.groupby("truth")["vehicle"].agg(lambda names: names.nunique() == 1 and names.notna().all())

    assert len(joined) == 20
    assert joined.mean() >= 0.98


def test_hardly_any_strangers_are_joined(photos):
    """Truth calls two photos of one silver Passat, in two of the collections it was made of, different cars."""
    known = photos[photos["vehicle"].notna()]
    cars = known.groupby("vehicle")["truth"].nunique()

    assert len(cars) > 1600
    assert (cars > 1).mean() <= 0.005


def test_banners_leave_and_join_nothing(photos):
    assert (photos["kind"] == "banner").sum() == 42
    assert (photos["kind"] == "banner").equals(photos["dropped"] == "banner")
    assert photos.loc[photos["kind"] == "banner", "vehicle"].isna().all()


def test_of_copies_one_stays(photos):
    alive = photos[photos["dropped"].isna()]

    assert alive["sha256"].is_unique
    assert (photos["dropped"] == "duplicate").sum() >= photos["kind"].isin(["relist_exact", "relist_near"]).sum()


def test_the_published_sample(data):
    photos = identified(data / "eu-car-dataset")
    banner = photos[photos["dropped"] == "banner"]
    two_years = photos.groupby("listing_uuid")[["year", "vehicle"]].nunique().query("year == 2")
    twice = photos["sha256"].value_counts()
    twice = photos[photos["sha256"].isin(twice.index[twice > 1]) & photos["vehicle"].notna()]

    assert banner.index.str.startswith("ford_ranger").all()
    assert len(banner) == 3
    assert two_years["vehicle"].tolist() == [1], "one listing lies in two year folders"
    shown = photos[photos["listing_uuid"].isin(banner["listing_uuid"])]
    assert shown.groupby("vehicle")["listing_uuid"].nunique().max() == 1
    assert twice["listing_uuid"].nunique() == 2, "a Passat's photo under two uuids"
    assert twice["vehicle"].nunique() == 1
    assert twice["dropped"].fillna("").tolist() == ["", "duplicate"]
