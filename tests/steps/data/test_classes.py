"""Classes of a night with folders that two people write differently."""

import pandas as pd
import pytest

from carpipe import manifest
from carpipe.manifest import Work
from carpipe.photos import kept, to_parquet
from carpipe.stages.inventory import list_photos
from carpipe.steps import results
from carpipe.steps.data.classes import classes, classes_work
from carpipe.steps.data.taxonomy import count_models, read_taxonomy
from carpipe.storage import ObjectInfo
from carpipe.taxonomy.read import load
from carpipe.taxonomy.slug import slugs_of


@pytest.fixture
def night(make_session):
    return make_session(classes__taxonomy="identity", classes__min_photos=1)


def identified(session, folders):
    names = (line.split("/")[1] for line in LINES)
    photos = list_photos(ObjectInfo(f"{folder}/{name}", "e", 1) for folder, name in zip(folders, names, strict=True))
    photos = photos.assign(vehicle=photos["listing_uuid"], partition="p00000-00000000")
    work = Work("identify", 2, "all", {"folders": folders}, ())
    counts = {"in": len(photos), "kept": len(photos)}
    return manifest.commit(session.store, work, {results.PHOTOS: to_parquet(photos)}, counts=counts).key


LINES = [f"x/{n}_1_00000000-0000-4000-8000-00000000000{n}_00000000-0000-4000-8000-00000000001{n}.jpg" for n in range(3)]


def test_twins_are_one_class_and_the_dataset_says_by_which_rule(night, caplog):
    key = identified(night, ["citroen_c3_2011", "citroën_c3_2012", "Citroe\u0308n_C3_2013"])

    done = classes(night, key)

    photos: pd.DataFrame = kept(results.read_photos(night.store, done))
    assert slugs_of(photos["class_name"]) == {"citroen_c3": "citroën_c3"}
    assert read_taxonomy(night, done).classes == {"citroën_c3": ("citroen_c3", "citroën_c3")}
    assert "model 'citroen_c3' is in class 'citroën_c3' as its twin is" in caplog.text
    assert done.key == classes_work(night, key, load("identity")).key, "the fingerprint is that of the settings"
    assert classes(night, key).key == done.key


def test_the_keys_of_two_uploaders_are_one_class(night, data):
    lines = (data / "cases" / "accent_twins.txt").read_text("utf-8").split()
    photos = list_photos(ObjectInfo(line, "e", 1) for line in lines)
    key = identified(night, [line.split("/")[0] for line in lines] + ["fiat_500_2012"])
    assert photos["dropped"].isna().all()
    found = kept(results.read_photos(night.store, classes(night, key)))
    assert len(slugs_of(found["class_name"])) == 2


def test_a_night_without_twins_has_the_taxonomy_as_it_is(night, caplog):
    done = classes(night, identified(night, ["fiat_500_2011", "citroën_c3_2012", "citroën_c3_2013"]))
    assert read_taxonomy(night, done).to_yaml() == load("identity").to_yaml()
    assert "twin" not in caplog.text


def say(session, listing, to, *, at="2026-01-01T00:00:00Z", by="ann"):
    name = f"labels/classes/{at.replace('-', '').replace(':', '')}-{listing[-1]}{to}.csv"
    session.store.put(name, f"listing,to,by,at\n{listing},{to},{by},{at}\n".encode())


LISTINGS = [line.split("_")[2] for line in LINES]


def test_a_correction_makes_other_work_and_one_that_changes_nothing_makes_none(night):
    key = identified(night, ["fiat_500_2011", "audi_a3_2012", "audi_a3_2013"])
    before = classes_work(night, key, load("identity"))
    assert set(before.config) == {"taxonomy", "min_photos", "max_photos"}, "fingerprints stay what they were"
    say(night, LISTINGS[0], "seller-is-right")
    assert classes_work(night, key, load("identity")) == before
    assert "corrected" not in results.read_photos(night.store, classes(night, key))

    say(night, LISTINGS[1], "fiat_500")
    changed = classes_work(night, key, load("identity"))
    say(night, LISTINGS[1], "fiat_500", at="2026-01-02T00:00:00Z", by="bob")
    assert classes_work(night, key, load("identity")) == changed, "who and when decide nothing"
    done = classes(night, key)

    assert (done.key, done.fresh) == (changed.key, True)
    photos = results.read_photos(night.store, done)
    assert photos["class_name"].tolist() == ["fiat_500", "fiat_500", "audi_a3"]
    assert photos["corrected"].fillna("-").tolist() == ["-", "fiat_500", "-"]
    assert photos["model"].tolist() == ["fiat_500", "audi_a3", "audi_a3"]
    assert count_models(night, done) == {"fiat_500": 2, "audi_a3": 1}

    say(night, LISTINGS[1], "seller-is-right", at="2026-01-03T00:00:00Z")
    assert classes_work(night, key, load("identity")) == before, "taken back"


def test_what_was_said_of_a_forgotten_listing_counts_no_more(night):
    key = identified(night, ["fiat_500_2011", "audi_a3_2012", "audi_a3_2013"])
    before = classes_work(night, key, load("identity"))
    say(night, LISTINGS[1], "fiat_500")
    assert classes_work(night, key, load("identity")) != before
    night.store.put(f"stages/inventory/forgotten/{LISTINGS[1]}.json", b"{}")
    assert classes_work(night, key, load("identity")) == before


def test_words_are_counted_with_no_model_and_a_name_that_is_gone_is_told(night, caplog):
    key = identified(night, ["fiat_500_2011", "audi_a3_2012", "audi_a3_2013"])
    say(night, LISTINGS[1], "not-a-car")
    say(night, LISTINGS[2], "gone_class")
    done = classes(night, key)
    assert done.counts["dropped"] == {"said_not_a_car": 1}
    assert count_models(night, done) == {"fiat_500": 1, "gone_class": 1}
    assert "1 listings were corrected to 'gone_class', which no other photo has and no rule" in caplog.text
