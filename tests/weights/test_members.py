"""What became of a model's classes in another one, told by the car models that they are made of."""

import json
import logging

import pytest

from carpipe.errors import InputError
from carpipe.serving.live import Follower
from carpipe.weights.client import load, pull
from carpipe.weights.members import ClassChanges, class_changes
from tests.tiny import Tiny, crop_files, go_live, publish

OLD = {
    "audi_a4": {"audi_a4": 90, "audi_a4_avant": 40},
    "audi_s4": {"audi_s4": 30},
    "bmw_5": {"bmw_520": 50, "bmw_525": 50},
    "skoda_fabia": {"skoda_fabia": 70},
    "vw_up": {"vw_up": 20},
}


def changes(**found):
    given = {"renamed": {}, "merged": {}, "split": {}, "gone": (), "added": (), **found}
    return ClassChanges(**given)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (OLD, changes()),
        ({**OLD, "vw_up": {"vw_up": 500}}, changes()),
        (
            {
                **{name: OLD[name] for name in ("bmw_5", "skoda_fabia", "vw_up")},
                "audi_a4": OLD["audi_a4"] | OLD["audi_s4"],
            },
            changes(merged={"audi_a4": ("audi_a4", "audi_s4")}),
        ),
        (
            {**OLD, "bmw_5": {"bmw_520": 1}, "bmw_525": {"bmw_525": 1}},
            changes(split={"bmw_5": ("bmw_5", "bmw_525")}),
        ),
        (
            {**{name: OLD[name] for name in OLD if name != "vw_up"}, "volkswagen_up!": {"vw_up": 3}},
            changes(renamed={"vw_up": "volkswagen_up!"}),
        ),
        ({name: OLD[name] for name in OLD if name != "vw_up"}, changes(gone=("vw_up",))),
        ({**OLD, "volvo_v40": {"volvo_v40": 9}}, changes(added=("volvo_v40",))),
        ({**OLD, "vw_up": {"vw_up_2020": 9}}, changes()),
        (
            {**OLD, "audi_a4": {"audi_a4": 9}, "bmw_5": {**OLD["bmw_5"], "audi_a4_avant": 9}},
            changes(merged={"bmw_5": ("audi_a4", "bmw_5")}, split={"audi_a4": ("audi_a4", "bmw_5")}),
        ),
    ],
    ids=["same", "more photos", "merged", "split", "renamed", "gone", "added", "other models of one name", "moved"],
)
def test_classes_are_told_by_their_models(now, expected):
    found = class_changes(OLD, now)
    assert found == expected
    assert bool(found) == (expected != changes())


def test_it_is_a_sentence_for_a_log():
    found = class_changes(OLD, {"audi": OLD["audi_a4"] | OLD["audi_s4"], "up": OLD["vw_up"], "volvo": {"volvo": 1},
                                "bmw_520": {"bmw_520": 1}, "bmw_525": {"bmw_525": 1}})  # fmt: skip
    assert str(found) == (
        "vw_up is up now; audi is made of audi_a4 and audi_s4; bmw_5 became bmw_520 and bmw_525; skoda_fabia has gone; "
        "volvo is new"
    )
    assert str(class_changes(OLD, OLD)) == "the classes are the same"


def test_an_app_asks_what_has_changed_since_the_model_that_it_runs(session, tmp_path):
    """Whatever came between: here a model that was never live."""
    two = {**OLD, "bmw_5": {"bmw_520": 1}, "bmw_525": {"bmw_525": 1}}
    three = {**two, "vw_up": {"vw_up": 1, "skoda_citigo": 4}}
    keys = [publish(session, Tiny(members=one).files(), tag=str(n)).key for n, one in enumerate((OLD, two, three))]
    models = [load(session.store, key, cache=tmp_path) for key in keys]

    assert models[2].changes_since(models[0]) == changes(split={"bmw_5": ("bmw_5", "bmw_525")})
    assert models[2].changes_since(models[1]) == changes()
    assert models[0].changes_since(models[1]) == changes(merged={"bmw_5": ("bmw_5", "bmw_525")})
    silent = load(session.store, publish(session, Tiny().files(), tag="silent").key, cache=tmp_path)
    assert silent.changes_since(models[0]) is models[0].changes_since(silent) is None


@pytest.mark.parametrize("said", [[], {"a": 1}, {"a": {"m": "x"}}, {"a": {"m": -1}}, {"a": {"m": 1.5}}])
def test_what_does_not_say_so_is_refused(session, tmp_path, said):
    files = {**Tiny().files(), "members.json": json.dumps(said).encode()}
    go_live(session, publish(session, files, tag="bad"))
    with pytest.raises(InputError, match=r"members\.json of .* is not what the contract says"):
        pull(session.store, cache=tmp_path)


def test_a_server_says_what_has_changed_when_it_swaps_models(session, tmp_path, caplog):
    settings = session.config.serving.model_copy(update={"cache": str(tmp_path)})
    follower = Follower(session.store, settings)
    for number, members in enumerate((OLD, {**OLD, "vw_up": OLD["vw_up"] | OLD["skoda_fabia"]})):
        files = Tiny(members=members).files() | crop_files(image_size=320)
        go_live(session, publish(session, files, tag=f"swap{number}"))
        with caplog.at_level(logging.WARNING):
            follower.refresh()
    assert "answers may mean something else than before: vw_up is made of skoda_fabia and vw_up" in caplog.text
