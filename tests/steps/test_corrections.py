"""A night after people have corrected listings, or moved a model: what is made anew, and what comes out of it.

Tests run in order, on one bucket.
"""

import uuid
from functools import partial

import pandas as pd
import pytest

from carpipe import manifest
from carpipe.config import load_config
from carpipe.manifest import Work
from carpipe.photos import kept, to_parquet
from carpipe.steps import chain, results
from carpipe.steps.cache import ResultCache
from carpipe.steps.data.inventory import inventory
from carpipe.steps.data.listings import known_listings
from carpipe.steps.data.plan import plan
from carpipe.steps.data.taxonomy import diff_taxonomy
from carpipe.steps.listings.store import correct_listing, current_corrections
from carpipe.steps.models.answers import PREDICTIONS
from carpipe.steps.models.comparison import answers_of
from carpipe.steps.models.gate import _compare
from carpipe.steps.moves.store import move_model
from carpipe.steps.session import open_session
from carpipe.steps.upkeep.forget import forget
from carpipe.steps.views.photo import describe_photos
from carpipe.taxonomy.read import load
from carpipe.weights.channel import read_channel
from tests.indexed import show_dataset
from tests.recorded import SETTINGS, restore

pytestmark = [pytest.mark.slow]

AT = "2026-02-01T01:00:00Z"


class Bucket:
    """A bucket with a car filter and a classifier that are live, and its nights."""

    def __init__(self, url):
        self.session = open_session(load_config(SETTINGS, {"store.url": url}))
        restore(self.session)

    def night(self):
        """The dataset, and what was made anew for it."""
        fresh = set()
        done = chain.prepare_dataset(
            self.session, now=lambda: AT, progress=lambda stage, made: fresh.add(stage) if made.fresh else None
        )
        return done, fresh

    def photos(self, done):
        return results.read_photos(self.session.store, done).set_index("key")

    def package(self, dataset, answers):
        """A model of a dataset that has given these answers on its test photos, put together by hand."""
        store = self.session.store
        table, rules = to_parquet(answers), manifest.read_file(store, dataset, results.TAXONOMY)
        trained = manifest.commit(store, Work("train", 1, "classifier", {}, ()), {}, counts={},
                                  extra={"dataset": dataset.key})  # fmt: skip
        judged = manifest.commit(store, Work("evaluate", 1, "classifier", {}, (trained.key,)), {PREDICTIONS: table},
                                 counts={})  # fmt: skip
        extra = {"classes": dataset.extra["classes"], "trained": trained.key, "dataset": dataset.key}
        work = Work("model", 1, "classifier", {}, (judged.key,), home="models/classifier")
        return manifest.commit(store, work, {results.TAXONOMY: rules}, counts={}, extra=extra)

    def say(self, listing, to, at=AT):
        known = known_listings(self.session)
        return correct_listing(self.session, listing, to, known=known, at=at, by="ann")


@pytest.fixture(scope="module")
def bucket(s3):
    return Bucket(f"s3://{s3.bucket}/{uuid.uuid4().hex[:12]}")


@pytest.fixture(scope="module")
def first(bucket):
    return bucket.night()[0]


@pytest.fixture(scope="module")
def said(bucket, first):
    """A listing of each side corrected to another class, one of the test that is no car, one whose seller is right."""
    photos = kept(bucket.photos(first))
    photos = photos[photos.groupby("vehicle")["listing_uuid"].transform("nunique") == 1]
    largest = photos["class_name"].value_counts().index[0]
    mine, others = photos[photos["class_name"] == largest], photos[photos["class_name"] != largest]
    moved = {rows["listing_uuid"].iloc[0]: others["model"].iloc[0] for _, rows in mine.groupby("split")}
    left = photos[~photos["listing_uuid"].isin(moved)].groupby("split")["listing_uuid"].first()
    return {**moved, left["test"]: "not-a-car", left["train"]: "seller-is-right"}


@pytest.fixture(scope="module")
def second(bucket, first, said):
    for listing, to in said.items():
        bucket.say(listing, to)
    return bucket.night()


def test_that_the_seller_is_right_makes_nothing_anew(bucket, first, said):
    [fine] = [listing for listing, to in said.items() if to == "seller-is-right"]
    bucket.say(fine, "seller-is-right", at="2026-01-01T00:00:00Z")
    done, fresh = bucket.night()
    assert (done.key, fresh) == (first.key, set())


def test_corrections_make_anew_what_comes_from_classes_on_and_nothing_before(bucket, first, second):
    done, fresh = second
    assert fresh == {"classes", "split", "validate", "pack", "dataset"}
    assert done.key != first.key
    stock = inventory(bucket.session)
    assert {row.stage: row.photos for row in plan(bucket.session, stock.key).forecast}["dataset"] == 0


def test_the_dataset_is_what_people_say(bucket, first, second, said):
    before, after = bucket.photos(first), bucket.photos(second[0])
    corrected = {listing: to for listing, to in said.items() if to != "seller-is-right"}
    mine = after["listing_uuid"].isin(corrected)
    assert after.loc[mine, "corrected"].tolist() == after.loc[mine, "listing_uuid"].map(corrected).tolist()
    assert after.loc[~mine, "corrected"].isna().all()
    assert after["model"].equals(before["model"])
    out = after["listing_uuid"].map(corrected) == "not-a-car"
    assert set(after.loc[out & before["dropped"].isna(), "dropped"]) == {"said_not_a_car"}
    moved = after[mine & ~out & after["dropped"].isna()]
    assert set(moved["split"]) == {"train", "val", "test"}, "each stays on its side"
    assert (moved["split"] == before.loc[moved.index, "split"]).all()
    assert (moved["class_name"] != before.loc[moved.index, "class_name"]).all()
    same = after[~mine & after["dropped"].isna() & before["dropped"].isna()]
    assert (same["class_name"] == before.loc[same.index, "class_name"]).all()


def test_tables_count_a_corrected_photo_with_its_model(bucket, second):
    photos = kept(bucket.photos(second[0]))
    parts = [
        bucket.session.store.get(second[0].files[f"table_for_{name}.csv"]["key"]) for name in ("train", "val", "test")
    ]
    rows = pd.concat(pd.read_csv(pd.io.common.BytesIO(data)) for data in parts)
    assert rows["nof_photos"].sum() == len(photos)
    counted = photos["corrected_model"].fillna(photos["model"]).value_counts()
    assert rows.groupby("car_model")["updated_directory_size"].max().to_dict() == counted.to_dict()


def test_shards_teach_what_people_say(bucket, second, said):
    from carpipe.training.data import iter_records

    photos = kept(bucket.photos(second[0]))
    with results.local_shards(bucket.session.store, second[0], "train", "val", "test") as shards:
        taught = {key: name for paths in shards.values() for key, name, _ in iter_records(paths)}
    assert taught == photos["class_name"].to_dict()


def test_people_are_told(bucket, second, said):
    [fine] = [listing for listing, to in said.items() if to == "seller-is-right"]
    [out] = [listing for listing, to in said.items() if to == "not-a-car"]
    text = describe_photos(bucket.session, out, second[0].key)
    assert "out: said_not_a_car, by stage classes" in text
    assert "said        not-a-car (was " in text
    assert "by ann, 2026-02-01T01:00:00Z)" in text
    assert "said        seller-is-right" in describe_photos(bucket.session, fine, second[0].key)
    photos = bucket.photos(second[0])
    shown = show_dataset(ResultCache(bucket.session), second[0].key.split("/")[1])
    corrected = kept(photos)["corrected"].notna().sum()
    left_out = {"said_not_a_car": (photos["dropped"] == "said_not_a_car").sum()}
    assert (shown.corrected, shown.corrected_out) == (corrected, left_out)
    page = manifest.read_file(bucket.session.store, second[0], results.REPORT).decode()
    assert "a person has said of its listing that it is not a car of any class" in page
    assert "a person says not-a-car" in page


def test_a_diff_counts_a_corrected_photo_with_its_model(bucket, second):
    photos = bucket.photos(second[0])
    came = photos["dropped"].isna() | photos["dropped_by"].isin(["classes", "split"])
    counted = came & (photos["dropped"] != "said_not_a_car")
    text = diff_taxonomy(bucket.session, "identity", second[0].key, every=False)
    assert f"of {counted.sum():,} photos" in text


def test_the_gate_judges_both_models_by_what_people_say_and_says_so(bucket, second):
    dataset, _ = second
    photos = bucket.photos(dataset)
    test = photos[photos["split"] == "test"].reset_index()
    answers = test[["key", "vehicle", "class_name"]].assign(answer=test["class_name"], correct=True)
    candidate = bucket.package(dataset, answers)
    release = read_channel(bucket.session.store, "classifier")

    decision = _compare(bucket.session, candidate, release)

    said = answers_of(bucket.session, candidate, manifest.read(bucket.session.store, release.model)).set_index("key")
    assert said["class_name"].to_dict() == test.set_index("key")["class_name"].to_dict(), "the live one, too"
    assert decision.numbers["champion"] == (said["today"] == said["class_name"]).mean()
    moved, out = test[test["corrected"].notna()], photos[photos["dropped"] == "said_not_a_car"]
    assert decision.numbers["corrected"] == {
        "photos": len(moved), "vehicles": moved["vehicle"].nunique(), "out": len(out)
    }  # fmt: skip
    assert len(moved) > 0
    assert len(out) > 0
    [check] = [one for one in decision.checks if one.name == "corrected"]
    assert check.message.startswith(f"People have corrected listings: {len(moved):,} test photos")


def test_a_correction_of_a_forgotten_listing_stays_and_counts_no_more(bucket, second, said):
    [out] = [listing for listing, to in said.items() if to == "not-a-car"]
    forget(bucket.session, out, at=AT)
    done, _ = bucket.night()
    assert out in current_corrections(bucket.session)
    assert out not in set(bucket.photos(done)["listing_uuid"])
    assert "said_not_a_car" not in set(bucket.photos(done)["dropped"])
    assert bucket.photos(done)["corrected"].notna().any()


def test_taken_back_the_dataset_is_as_it_was_but_for_what_was_forgotten(bucket, first, second, said):
    for listing, to in said.items():
        if to not in ("not-a-car", "seller-is-right"):
            bucket.say(listing, "seller-is-right", at="2026-02-02T00:00:00Z")
    done, _ = bucket.night()
    photos, before = bucket.photos(done), bucket.photos(first)
    assert "corrected" not in photos
    assert photos["class_name"].equals(before.loc[photos.index, "class_name"])


def test_a_moved_model_makes_anew_what_comes_from_classes_on_and_taken_back_all_is_there(bucket, second):
    before, _ = bucket.night()
    classes = kept(bucket.photos(before)).groupby("model")["class_name"].first()
    model, target = classes.index[0], next(name for name in classes if name != classes.iloc[0])
    rules = load(bucket.session.config.classes.taxonomy)
    move = partial(move_model, bucket.session, model, taxonomy=rules, models=[model], by="ann", why="")
    move(target, at=AT)
    done, fresh = bucket.night()
    assert fresh == {"classes", "split", "validate", "pack", "dataset"}
    photos = kept(bucket.photos(done))
    assert set(photos.loc[photos["model"] == model, "class_name"]) == {target}
    move("by-taxonomy", at="2026-02-03T00:00:00Z")
    again, fresh = bucket.night()
    assert (again.key, fresh) == (before.key, set())
