"""Thirty nights: listings come, are relisted, turn out to be known cars, and go; the split holds all the while."""

import numpy as np
import pandas as pd
import pytest

from carpipe.config import IdentifyConfig, SplitConfig
from carpipe.photos import SPLITS, kept
from carpipe.pictures.hashes import SIGNATURE_BYTES
from carpipe.stages.classes import assign_classes
from carpipe.stages.identify import identify
from carpipe.stages.split import split
from carpipe.taxonomy.read import load

NIGHTS = 30
SHARES = dict(zip(SPLITS, (0.70, 0.15, 0.15), strict=True))


class Market:
    """A marketplace: every night some cars are offered, some of them again, and some listings disappear."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.rows = []
        self.gone = set()
        self.cars = 0
        self.listings = 0

    def night(self, number):
        models = 4 + number // 5  # a new model every few nights
        for _ in range(self.rng.integers(20, 40)):
            self.offer(self.cars, int(self.rng.integers(models)), self.pictures(self.cars))
            self.cars += 1
        known = sorted({row["truth"] for row in self.rows})
        for car in self.rng.choice(known, 6, replace=False):
            self.relist(int(car))
        if number % 3 == 2:
            # Of one model, else the pictures of the smaller one leave for another reason.
            alike = sorted({row["truth"] for row in self.rows if row["key"].startswith("make_model1_")})
            for _ in range(3):
                self.join(*self.rng.choice(alike, 2, replace=False).tolist())
                alike = sorted({row["truth"] for row in self.rows if row["truth"] in alike})
        for listing in self.rng.integers(0, self.listings, 3):
            self.gone |= {row["key"] for row in self.rows if row["listing_uuid"] == f"listing{listing}"}

    def pictures(self, car):
        return [f"car{car}-{n}" for n in range(self.rng.integers(2, 9))]

    def offer(self, car, model, pictures):
        for picture in pictures:
            key = f"make_model{model}_2010/{len(self.rows)}"
            self.rows.append({"key": key, "listing_uuid": f"listing{self.listings}", "sha256": picture, "truth": car})
        self.listings += 1

    def relist(self, car):
        """Some of the old pictures and a new one, under a new uuid."""
        old = [row for row in self.rows if row["truth"] == car]
        some = [old[n]["sha256"] for n in self.rng.permutation(len(old))[: max(1, len(old) // 2)]]
        self.offer(car, int(old[0]["key"][10:].split("_")[0]), [*some, f"car{car}-new-{self.listings}"])

    def join(self, one, other):
        """A listing that shows pictures of two cars thought different: they were the same car all along."""
        first, second = ([row for row in self.rows if row["truth"] == car] for car in (one, other))
        for row in second:
            row["truth"] = one
        self.offer(one, int(first[0]["key"][10:].split("_")[0]), [first[0]["sha256"], second[0]["sha256"]])

    def photos(self):
        table = pd.DataFrame(self.rows)
        table["model"] = table["key"].str.extract(r"(.*)_2010/", expand=False)
        table["dhash"] = pd.factorize(table["sha256"])[0]
        # Far apart: near-duplicates have tests of their own.
        table["dhash"] = [np.random.default_rng(number).bytes(8).hex() for number in table["dhash"]]
        table = table.assign(dhash_inner=table["dhash"].str[::-1])
        table = table.assign(etag="e", listing=1, dropped=None, dropped_by=None)
        return table.astype({"dropped": "str", "dropped_by": "str"})


def make_dataset(market, ledger):
    photos = market.photos()
    gone = photos.loc[photos["key"].isin(market.gone), ["key", "etag"]]
    photos = identify(photos, config=IdentifyConfig(), signatures=unlike, gone=gone).photos
    photos = assign_classes(photos, load("identity"), min_photos=20, max_photos=1500)
    photos, entries = split(photos, config=SplitConfig(), ledger=ledger)
    return photos, pd.concat([ledger, entries])


def unlike(rows):
    return np.random.default_rng(0).integers(0, 256, (len(rows), SIGNATURE_BYTES)).astype(np.uint8)


@pytest.fixture(scope="module")
def nights():
    """Each night's kept photos, and the whole table of the last one."""
    market, ledger, datasets = Market(seed=7), pd.Series(dtype="str"), []
    for number in range(NIGHTS):
        market.night(number)
        photos, ledger = make_dataset(market, ledger)
        datasets.append(kept(photos))
    return datasets, photos


def test_the_market_did_what_it_should(nights):
    datasets, photos = nights

    assert datasets[-1]["model"].nunique() > datasets[0]["model"].nunique()
    assert {"deleted", "duplicate", "in_two_splits"} <= set(photos["dropped"].dropna())
    assert photos.groupby("vehicle")["listing_uuid"].nunique().max() > 3


def test_no_car_is_on_two_sides_on_any_night(nights):
    for alive in nights[0]:
        for column in ("truth", "vehicle", "sha256", "listing_uuid"):
            assert alive.groupby(column)["split"].nunique().max() == 1, column


def test_no_listing_ever_changes_sides(nights):
    every = pd.concat(alive[["listing_uuid", "split"]].drop_duplicates() for alive in nights[0])

    assert every.groupby("listing_uuid")["split"].nunique().max() == 1


def test_shares_stay_within_a_point(nights):
    for alive in nights[0][1:]:
        for side, share in SHARES.items():
            assert (alive["split"] == side).mean() == pytest.approx(share, abs=0.01)


def test_every_class_is_on_every_side_on_every_night(nights):
    for alive in nights[0]:
        assert (alive.groupby("class_name")["split"].nunique() == len(SPLITS)).all()
