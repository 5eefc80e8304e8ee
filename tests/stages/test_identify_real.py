"""Which real photos show the same car, against hand-made truth.

Relisted copies join, edited ones too; banners, strangers and cars of another colour do not.
"""

import csv
import io
import uuid

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageEnhance, ImageOps

from carpipe.config import CleanConfig, IdentifyConfig
from carpipe.photos import add_results
from carpipe.stages.clean import clean
from carpipe.stages.identify import identify
from carpipe.stages.inventory import list_photos
from carpipe.storage import ObjectInfo

pytestmark = [pytest.mark.slow]


def identified(folder):
    """All photos of a folder, cleaned and identified; the key is the index."""
    return identify_all(cleaned_from(folder))


def cleaned_from(folder):
    keys = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return clean(((key, (folder / key).read_bytes()) for key in keys), config=CleanConfig())


def identify_all(*cleaned):
    results = pd.concat([part.results for part in cleaned], ignore_index=True)
    pixels = {key: signature for part in cleaned for key, signature in part.signatures.items()}
    photos = add_results(list_photos(ObjectInfo(key, "e", 1) for key in results["key"]), results, stage="clean")

    def signatures(rows):
        return np.stack([np.frombuffer(pixels[key], np.uint8) for key in rows["key"]])

    return identify(photos, config=IdentifyConfig(), signatures=signatures).photos.set_index("key")


@pytest.fixture(scope="module")
def cleaned(data):
    return cleaned_from(data / "raw")


@pytest.fixture(scope="module")
def photos(data, cleaned):
    with (data / "truth.csv").open(encoding="utf-8", newline="") as file:
        truth = {row["key"]: row for row in csv.DictReader(file)}
    photos = identify_all(cleaned)
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
    assert (cars > 1).mean() <= 0.001


def test_banners_leave_and_join_nothing(photos):
    assert (photos["kind"] == "banner").sum() == 42
    assert (photos["kind"] == "banner").equals(photos["dropped"] == "banner")
    assert photos.loc[photos["kind"] == "banner", "vehicle"].isna().all()


def test_of_copies_one_stays(photos):
    alive = photos[photos["dropped"].isna()]

    assert alive["sha256"].is_unique
    assert (photos["dropped"] == "duplicate").sum() >= photos["kind"].isin(["relist_exact", "relist_near"]).sum()


def cut(*sides):
    def edit(photo):
        left, top, right, bottom = sides
        w, h = photo.size
        return photo.crop((round(left * w), round(top * h), round((1 - right) * w), round((1 - bottom) * h)))

    return edit


def framed(colour):
    return lambda photo: ImageOps.expand(photo, round(photo.width * 0.02), colour)


def painted(blue, red):
    """The middle in one colour, as bright as it was."""

    def edit(photo):
        grey = photo.convert("L")
        colours = (Image.new("L", photo.size, 128 + part) for part in (blue, red))
        box = (photo.width // 4, photo.height // 4, photo.width * 3 // 4, photo.height * 3 // 4)
        photo.paste(Image.merge("YCbCr", (grey, *colours)).convert("RGB").crop(box), box)
        return photo

    return edit


EDITS = {
    "coarser": lambda photo: photo.resize((photo.width // 2, photo.height // 2)),
    "brighter": lambda photo: ImageEnhance.Brightness(photo).enhance(1.15),
    "darker": lambda photo: ImageEnhance.Brightness(photo).enhance(0.85),
    "levels": lambda photo: ImageOps.autocontrast(photo, cutoff=2),
    "cut all around": cut(0.04, 0.04, 0.04, 0.04),
    "cut evenly by 4 % in all": cut(0.02, 0.02, 0.02, 0.02),
    "cut at the left": cut(0.04, 0, 0, 0),
    "cut on two sides": cut(0, 0, 0.04, 0.04),
    "white frame": framed("white"),
    "black frame": framed("black"),
    "mirrored": ImageOps.mirror,
    "mirrored and cut": lambda photo: ImageOps.mirror(cut(0.04, 0.04, 0.04, 0.04)(photo)),
}
REPAINTS = {"red": painted(-20, 40), "blue": painted(40, -15), "green": painted(-15, -35)}


def offered_again(data, photos, edit):
    """100 photos of cars, edited, in listings of their own: how many join their car."""
    cars = photos[(photos["kind"] == "original") & photos["dropped"].isna()]
    chosen = cars.groupby("truth").head(1).sample(100, random_state=3).index
    copies = {}
    for number, key in enumerate(chosen):
        sink = io.BytesIO()
        edit(Image.open(data / "raw" / key).convert("RGB")).save(sink, "JPEG", quality=85)
        name = f"{uuid.UUID(int=number)}_{uuid.UUID(int=number)}"
        copies[key] = (f"{key.split('/')[0]}/{number}_1_{name}.jpg", sink.getvalue())
    return copies


def share_joined(cleaned, copies):
    after = identify_all(cleaned, clean(copies.values(), config=CleanConfig()))
    return np.mean([after["vehicle"][key] == after["vehicle"][copy] for key, (copy, _) in copies.items()])


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_edited_copies_join_their_car(data, cleaned, photos, edit):
    assert share_joined(cleaned, offered_again(data, photos, edit)) >= 0.95


@pytest.mark.parametrize("paint", REPAINTS.values(), ids=REPAINTS)
def test_a_repainted_car_is_another(data, cleaned, photos, paint):
    assert share_joined(cleaned, offered_again(data, photos, paint)) <= 0.02


def test_three_colours_in_one_booth_are_three_cars(data):
    photos = identified(data / "cases" / "one_booth" / "raw")

    assert photos["vehicle"].nunique() == 3
    assert photos["dropped"].isna().all()


def test_six_short_listings_with_two_pictures_of_their_dealer_are_six_cars(data):
    photos = identified(data / "cases" / "short_listings" / "raw")

    assert photos["vehicle"].nunique() == 6
    assert (photos["dropped"] == "banner").tolist() == [False, True, True] * 6


def test_a_brighter_copy_in_a_later_listing(data):
    assert identified(data / "cases" / "brightened" / "raw")["vehicle"].nunique() == 1


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
