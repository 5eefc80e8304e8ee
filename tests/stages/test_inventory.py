"""Names, what is new, and how it is cut."""

import pandas as pd
import pytest

from carpipe.photos import kept
from carpipe.stages import inventory
from carpipe.storage import ObjectInfo

LISTING = "fb43df70-43f5-4f56-9c4e-5fd8fd0ec0b1"
PHOTO = "351f318c-1111-4222-8333-444455556666"


def key(folder="mercedes-benz_viano_2010", listing=1813, photo=15, uuid=LISTING):
    return f"{folder}/{listing}_{photo}_{uuid}_{PHOTO}.jpg"


def table(*keys, etag="e"):
    return inventory.list_photos(ObjectInfo(name, etag, 10) for name in keys)


@pytest.mark.parametrize(
    ("folder", "model", "year"),
    [
        ("mercedes-benz_viano_2010", "mercedes-benz_viano", 2010),
        ("citroe\u0308n_c-elyse\u0301e_2016", "citroën_c-elysée", 2016),  # decomposed, as file systems hand it out
        ("skoda_rapid%2fspaceback_2014", "skoda_rapid%2fspaceback", 2014),
        ("volkswagen_up!_2012", "volkswagen_up!", 2012),
        ("peugeot_2008_2015", "peugeot_2008", 2015),  # the model is a number like a year
        ("rover_mini_cooper_1999", "rover_mini_cooper", 1999),
    ],
)
def test_names_are_understood(folder, model, year):
    row = table(key(folder)).iloc[0]

    assert (row["model"], row["year"], row["listing"], row["photo"]) == (model, year, 1813, 15)
    assert (row["listing_uuid"], row["photo_uuid"]) == (LISTING, PHOTO)


@pytest.mark.parametrize(
    "name",
    [
        "README.txt",
        "audi_a3_2001/photo.jpg",
        "audi_2001/" + key()[25:],
        key("audi_a3"),
        "a/" + key(),
        key(listing=10**20),
    ],
)
def test_other_names_are_dropped_with_their_row(name):
    photos = table(name, key())

    assert photos["dropped"].tolist()[0] == "name_not_understood"
    assert kept(photos)["key"].tolist() == [key()]


def test_years_of_a_model_are_one_model():
    photos = table(key("mercedes-benz_v_2016"), key("mercedes-benz_v_2017"))

    assert photos["model"].unique().tolist() == ["mercedes-benz_v"]


def test_new_photos_and_gone_ones_are_told_by_key_and_version():
    before = table(key(photo=1), key(photo=2))
    changed = pd.concat([table(key(photo=1)), table(key(photo=2), etag="other"), table(key(photo=3))])

    new, gone = inventory.compare(changed, before)

    assert new["key"].tolist() == [key(photo=2), key(photo=3)]
    assert gone["key"].tolist() == [key(photo=2)]
    assert gone["etag"].tolist() == ["e"]


def test_nothing_is_new_or_gone_in_the_same_listing():
    new, gone = inventory.compare(table(key()), table(key()))

    assert len(new) == len(gone) == 0


def test_a_forgotten_listing_that_comes_back_is_dropped():
    photos = inventory.list_photos([ObjectInfo(key(), "e", 10)], forgotten=[LISTING])

    assert photos["dropped"].tolist() == ["forgotten"]


def test_partitions_hold_everything_once_and_listings_together():
    uuids = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(60)]
    photos = table(*(key(listing=n, photo=p, uuid=uuid) for n, uuid in enumerate(uuids) for p in range(5)))

    parts = dict(inventory.cut(photos, first=3, partition_photos=100))

    assert [len(part) for part in parts.values()] == [100, 100, 100]
    assert [name.split("-")[0] for name in parts] == ["p00003", "p00004", "p00005"]
    assert sorted(name for part in parts.values() for name in part["key"]) == sorted(photos["key"])
    assert all(part["listing_uuid"].nunique() == 20 for part in parts.values())


def test_partition_ids_say_what_they_hold():
    def names(*keys):
        return [name for name, _ in inventory.cut(table(*keys), first=0, partition_photos=10)]

    assert names(key(photo=1)) == names(key(photo=1))
    assert names(key(photo=1)) != names(key(photo=2))
