"""Which photos show the same car: by listing, by equal files and near-duplicates, never by banners."""

import numpy as np
import pandas as pd
import pytest

from carpipe.config import IdentifyConfig
from carpipe.pictures import encode, hashes
from carpipe.pictures.hashes import SIGNATURE_BYTES
from carpipe.stages.identify import identify


def table(*rows, folders=None):
    """Photos by key, listing and picture; the same picture has the same sha256, and a hash of its own."""
    photos = pd.DataFrame(rows, columns=["key", "listing_uuid", "sha256"]).astype("str")
    folders = pd.Series(folders or ["f"] * len(rows), dtype="str")
    photos["key"] = folders + "/" + photos["key"]
    hashes = [np.random.default_rng(sum(map(ord, name))).bytes(8).hex() for name in photos["sha256"]]
    hashes = pd.Series(hashes, dtype="str")
    photos = photos.assign(
        etag="e", model=folders.str.replace(r"_\d{4}$", "", regex=True), dropped=None, dropped_by=None
    )
    photos = photos.assign(dhash=hashes, dhash_inner=hashes.str[::-1])
    return photos.astype({"dropped": "str", "dropped_by": "str"})


def strangers(rows):
    """Signatures of pictures that are nothing alike."""
    return np.random.default_rng(5).integers(0, 256, (len(rows), SIGNATURE_BYTES)).astype(np.uint8)


def run(photos, *, signatures=strangers, gone=None, ledger=None):
    done = identify(photos, config=IdentifyConfig(), signatures=signatures, gone=gone, ledger=ledger).photos
    return done.assign(key=done["key"].str.rpartition("/")[2]).set_index("key")


def test_a_listing_is_a_vehicle():
    photos = run(table(("1", "a", "x"), ("2", "a", "y"), ("3", "b", "z")))

    assert photos["vehicle"].tolist() == ["a", "a", "b"]
    assert photos["dropped"].isna().all()


def test_equal_files_join_listings_through_others_and_one_copy_stays():
    photos = run(table(("1", "c", "x"), ("2", "b", "x"), ("3", "b", "y"), ("4", "a", "y"), ("5", "a", "z")))

    assert photos["vehicle"].tolist() == ["c"] * 5, "named after the oldest listing"
    assert photos["dropped"].fillna("").tolist() == ["", "duplicate", "", "duplicate", ""]


def test_a_photo_that_was_dropped_still_says_whose_it_is():
    photos = table(("1", "a", "inside"), ("2", "a", "x"), ("3", "b", "inside"), ("4", "b", "y"))
    photos.loc[[0, 2], ["dropped", "dropped_by"]] = ["not_a_car", "filter"]

    after = run(photos)

    assert after.loc["4", "vehicle"] == after.loc["2", "vehicle"]
    assert after["dropped"].fillna("").tolist() == ["not_a_car", "", "not_a_car", ""]


def test_a_banner_goes_and_joins_nothing():
    rows = [(f"{n}", f"listing{n}", "banner") for n in range(3)]
    photos = run(
        table(*rows, ("a", "listing0", "x"), ("b", "listing1", "y"), folders=["golf", "polo", "golf", "golf", "polo"])
    )

    assert photos["dropped"].fillna("").tolist() == ["banner"] * 3 + ["", ""]
    assert photos.loc["a", "vehicle"] != photos.loc["b", "vehicle"]


def test_dealers_pictures_in_short_listings_are_no_car_that_is_offered_again():
    models = ["a4", "x5", "focus", "ceed", "astra", "fabia"]
    rows = [(f"{n}{picture}", f"listing{n}", picture) for n in range(6) for picture in (f"own{n}", "logo", "finance")]
    photos = run(table(*rows, folders=[f"{model}_2010" for model in models for _ in range(3)]))

    assert photos["dropped"].fillna("").tolist() == ["", "banner", "banner"] * 6
    assert photos["vehicle"].nunique() == 6


def test_dealers_pictures_that_show_no_car_are_none_that_is_offered_again_within_one_model_either():
    rows = [(f"{n}{picture}", f"listing{n}", picture) for n in range(6) for picture in (f"own{n}", "logo", "finance")]
    photos = table(*rows, folders=[f"golf_{2008 + n}" for n in range(6) for _ in range(3)])
    logos = photos["sha256"].isin(["logo", "finance"])
    photos.loc[logos, ["dropped", "dropped_by"]] = ["not_a_car", "filter"]

    assert run(photos)["vehicle"].dropna().nunique() == 6


def test_dealers_pictures_that_show_a_car_are_banners_where_cars_of_many_years_share_them():
    rows = [(f"{n}{picture}", f"listing{n}", picture) for n in range(6) for picture in (f"own{n}", "front", "yard")]
    photos = run(table(*rows, folders=[f"golf_{2008 + n}" for n in range(6) for _ in range(3)]))

    assert photos["dropped"].fillna("").tolist() == ["", "banner", "banner"] * 6


def test_a_banner_within_one_model_and_year_goes_when_it_is_in_very_many_listings():
    rows = [(f"{n}", f"listing{n}", "banner") for n in range(12)]

    assert set(run(table(*rows))["dropped"]) == {"banner"}


def test_a_car_that_is_offered_again_and_again_is_no_banner():
    again = [(f"{n}{picture}", f"listing{n}", picture) for n in range(4) for picture in ("x", "y", "z")]
    photos = run(table(*again, folders=[f"golf_{2000 + n}" for n in range(4) for _ in "xyz"]))

    assert photos["vehicle"].nunique() == 1
    assert photos["dropped"].isna().sum() == 3


def test_of_two_versions_of_a_photo_the_later_counts():
    photos = run(table(("1", "a", "old"), ("2", "a", "y"), ("1", "a", "new")))

    assert photos["dropped"].fillna("").tolist() == ["superseded", "", ""]


def test_a_deleted_photo_leaves_but_still_says_whose_it_is():
    photos = table(("1", "a", "x"), ("2", "b", "x"), ("3", "b", "y"))
    gone = photos.iloc[[0]][["key", "etag"]]

    after = run(photos, gone=gone)

    assert after["dropped"].fillna("").tolist() == ["deleted", "", ""]
    assert after["vehicle"].tolist() == ["a"] * 3


def test_an_overwritten_photo_that_was_put_back_counts_again():
    photos = table(("1", "a", "old"), ("1", "a", "new")).assign(etag=["old", "new"])

    after = run(photos, gone=photos.iloc[[1]][["key", "etag"]])

    assert after["dropped"].fillna("").tolist() == ["", "deleted"]


@pytest.fixture
def photo(world):
    from PIL import Image

    first = next(row for row in world.photos if row.label == "auto" and row.kind == "original")
    return Image.open(world.raw / first.key).convert("RGB")


def as_table(*pictures):
    photos = table(*((str(n), f"listing{n}", f"file{n}") for n in range(len(pictures))))
    looks = [hashes.look(np.asarray(picture)) for picture in pictures]
    return photos.assign(dhash=[look.dhash for look in looks], dhash_inner=[look.dhash_inner for look in looks])


def of(*pictures):
    """Signatures by row number."""
    return lambda rows: np.array([list(hashes.look(np.asarray(pictures[n])).signature) for n in rows.index], np.uint8)


def reencoded(photo):
    import io

    from PIL import Image

    half = photo.resize((photo.width // 2, photo.height // 2))
    return Image.open(io.BytesIO(encode.encode_jpeg(half, quality=40))).convert("RGB")


def test_a_smaller_and_coarser_copy_joins_and_leaves(photo):
    pictures = (photo, reencoded(photo))

    photos = run(as_table(*pictures), signatures=of(*pictures))

    assert photos["vehicle"].nunique() == 1
    assert photos["dropped"].fillna("").tolist() == ["", "duplicate"]


def test_pictures_that_only_share_a_hash_do_not_join(photo):
    pictures = (photo, reencoded(photo))

    photos = run(as_table(*pictures), signatures=strangers)

    assert photos["vehicle"].nunique() == 2


def test_flat_pictures_do_not_join(photo):
    from PIL import Image

    grey = (Image.new("RGB", (300, 200), (120, 120, 120)), Image.new("RGB", (300, 200), (125, 125, 125)))

    photos = run(as_table(*grey), signatures=of(*grey))

    assert photos["vehicle"].nunique() == 2


def brighter(photo):
    from PIL import ImageEnhance

    return reencoded(ImageEnhance.Brightness(photo).enhance(1.15))


def framed(photo):
    from PIL import ImageOps

    return reencoded(ImageOps.expand(photo, photo.width // 50, "white"))


def cut(photo):
    x, y = photo.width // 25, photo.height // 25
    return reencoded(photo.crop((x, y, photo.width - x, photo.height - y)))


def mirrored(photo):
    from PIL import ImageOps

    return brighter(ImageOps.mirror(photo))


@pytest.mark.parametrize("edit", [brighter, framed, cut, mirrored])
def test_an_edited_copy_in_another_listing_joins_and_leaves(photo, edit):
    pictures = (photo, edit(photo))

    photos = run(as_table(*pictures), signatures=of(*pictures))

    assert photos["vehicle"].nunique() == 1
    assert photos["dropped"].fillna("").tolist() == ["", "duplicate"]


def test_edited_copies_are_looked_for_within_a_model(photo):
    pictures = (photo, cut(photo))

    photos = run(as_table(*pictures).assign(model=["golf", "polo"]), signatures=of(*pictures))

    assert photos["vehicle"].nunique() == 2


def test_an_edited_copy_that_shows_no_car_from_outside_joins_nothing(photo):
    """Wheels and seats of one model look alike."""
    pictures = (photo, cut(photo))
    photos = as_table(*pictures)
    photos.loc[:, ["dropped", "dropped_by"]] = ["not_a_car", "filter"]

    assert (
        run(photos.astype({"dropped": "str", "dropped_by": "str"}), signatures=of(*pictures))["vehicle"].nunique() == 2
    )


def test_an_edited_copy_joins_a_car_whose_photos_have_been_deleted(photo):
    pictures = (photo, cut(photo))
    photos = as_table(*pictures)

    after = run(photos, signatures=of(*pictures), gone=photos.iloc[[0]][["key", "etag"]])

    assert after["dropped"].fillna("").tolist() == ["deleted", ""]
    assert after["vehicle"].nunique() == 1


def test_three_cars_of_one_model_place_and_angle_are_three_when_their_paint_differs():
    import random
    from dataclasses import replace

    from carpipe.sample.models import LOOKS
    from carpipe.sample.photo import choose_car, draw_photo

    car = choose_car(random.Random(1), LOOKS[0])
    paints = [(168, 22, 22), (31, 70, 160), (12, 84, 24)]  # of about one grey
    pictures = [draw_photo(random.Random(7), replace(car, paint=paint), "angle-front-left")[0] for paint in paints]

    photos = run(as_table(*pictures), signatures=of(*pictures))

    assert photos["vehicle"].nunique() == 3
    assert photos["dropped"].isna().all()


def test_a_banner_that_was_encoded_anew_each_time_is_found(photo):
    pictures = (photo, reencoded(photo), photo)
    photos = as_table(*pictures).assign(key=["golf/0", "polo/1", "up/2"], model=["golf", "polo", "up"])

    assert set(run(photos, signatures=of(*pictures))["dropped"]) == {"banner"}


def test_no_photo_at_all():
    photos = table(("1", "a", "x"))
    photos[["dropped", "dropped_by", "dhash", "dhash_inner"]] = ["empty", "clean", None, None]

    assert run(photos.astype({"dhash": "str", "dhash_inner": "str"}))["vehicle"].isna().all()


def test_of_copies_on_two_sides_of_the_split_the_one_on_the_winning_side_stays():
    photos = table(("1", "a", "x"), ("2", "b", "x"), ("3", "c", "x"))
    ledger = pd.Series({"a": "train", "b": "test"})

    after = run(photos, ledger=ledger)

    assert after["dropped"].fillna("").tolist() == ["duplicate", "", "duplicate"]
