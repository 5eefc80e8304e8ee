"""Classes of a night with folders that two people write differently."""

import pandas as pd
import pytest

from carpipe import manifest
from carpipe.manifest import Work
from carpipe.photos import kept, to_parquet
from carpipe.stages.inventory import list_photos
from carpipe.steps import results
from carpipe.steps.data.classes import classes, classes_work
from carpipe.steps.data.taxonomy import read_taxonomy
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
