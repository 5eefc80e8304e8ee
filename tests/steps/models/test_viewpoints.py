"""Views, from labels to the photo table: told on cars that nothing was trained on, and the filter stays what it was."""

import json
from dataclasses import replace

import numpy as np
import pytest

from carpipe import manifest
from carpipe.steps import results
from carpipe.steps.data.clean import clean
from carpipe.steps.data.filter import filter_cars
from carpipe.steps.data.inventory import inventory
from carpipe.steps.data.plan import plan
from carpipe.steps.labels.label_set import label_set
from carpipe.steps.models.evaluate import evaluate
from carpipe.steps.models.gate import _views_alone, find_nothing_new, gate
from carpipe.steps.models.package import package
from carpipe.steps.models.publish import publish
from carpipe.steps.models.train import train
from carpipe.steps.upkeep.forget import forget
from carpipe.steps.upkeep.garbage import find_garbage
from carpipe.steps.viewpoints.photo_set import find_wanted, view_set
from carpipe.weights.client import load
from tests.conftest import make_config
from tests.steps.models import viewpoint_world as world

pytestmark = [pytest.mark.slow]

AT = "2026-01-01T00:00:00Z"


def judged_and_packaged(session, trained, labelled):
    judged = evaluate(session, trained.key, labelled.key, at=AT)
    return judged, package(session, judged.key, model="car_filter")


def go_live(session, packaged, *, run):
    verdict = gate(session, packaged.key, model="car_filter", run=run, at=AT)
    if verdict.outcome == "publish":
        publish(session, packaged.key, model="car_filter", reason="test", run=run, at=AT, expected=None)
    return verdict


def filtered(session):
    planned = plan(session, inventory(session).key)
    [part] = planned.partitions
    done = clean(session, part["manifest"], inventory=planned.inventory)
    return filter_cars(session, done.key, weights=planned.car_filter)


@pytest.fixture(scope="module")
def told(s3, tmp_path_factory):
    """The chain before and after people have labelled views, in one bucket."""
    import uuid

    from carpipe.steps.session import open_session

    session = open_session(make_config(f"s3://{s3.bucket}/{uuid.uuid4().hex[:12]}", car_filter__head_epochs=2))
    views = world.fill(session)
    labelled = label_set(session)
    trained = train(session, labelled.key, model="car_filter")
    before = judged_and_packaged(session, trained, labelled)
    go_live(session, before[1], run="first")
    plain = filtered(session)
    first_night = find_nothing_new(session, labelled.key, model="car_filter", run="second", at=AT)
    world.label_views(session, views)
    new = find_nothing_new(session, labelled.key, model="car_filter", run="third", at=AT)
    assert (label_set(session).key, train(session, labelled.key, model="car_filter").key) == (labelled.key, trained.key)
    after = judged_and_packaged(session, trained, labelled)
    verdict = go_live(session, after[1], run="third")
    return {
        "session": session, "views": views, "before": before, "after": after, "verdict": verdict, "plain": plain,
        "first_night": first_night, "new": new, "labelled": labelled,
    }  # fmt: skip


def test_without_view_labels_nothing_is_told(told):
    judged, packaged = told["before"]
    assert "views" not in judged.extra
    assert "views" not in judged.config
    assert "views.json" not in packaged.files
    assert not {"view", "view_p"} & {*results.read_photos(told["session"].store, told["plain"])}
    assert told["first_night"].outcome == "nothing_to_do"


def test_new_view_labels_are_something_to_do_and_go_live_without_a_training(told):
    assert told["new"] is None
    assert told["verdict"].outcome == "publish"
    assert told["verdict"].reason == "It tells views, the live model does not."


def test_views_are_judged_on_cars_that_were_not_trained_on(told):
    judged, _ = told["after"]
    session, facts = told["session"], judged.extra["views"]
    photos = results.read_photos(session.store, manifest.read(session.store, facts["set"]))
    sides = results.read_photos(session.store, told["labelled"]).set_index("key")["split"]
    assert (photos.set_index("key")["split"] == sides.reindex(photos["key"])).all()
    assert facts["figures"]["photos"] == (photos["split"] == "test").sum()
    assert facts["figures"]["accuracy"] > 0.9
    assert facts["figures"]["sides"] > 0.9
    assert "Too few photos are labelled as angle-front-on-left (0)" in facts["why"]
    assert judged.extra["metrics"]["views_accuracy"] == facts["figures"]["accuracy"]


def test_an_app_gets_the_views_and_the_very_probabilities_of_before(told, tmp_path):
    session = told["session"]
    old, new = (load(session.store, done[1].key, cache=tmp_path) for done in (told["before"], told["after"]))
    assert old.views is None
    assert new.views.names == ("profile-on-left", "profile-on-right", "in")
    pictures = np.random.default_rng(0).integers(0, 256, (5, new.side, new.side, 3), dtype=np.uint8)
    p, views = new.look_round(pictures)
    np.testing.assert_allclose(p, old.predict(pictures), atol=1e-6)
    np.testing.assert_allclose(views.sum(axis=1), 1, atol=1e-5)
    assert old.look_round(pictures)[1] is None


def test_the_card_says_how_well_views_are_told(told):
    session, (_, packaged) = told["session"], told["after"]
    card = manifest.read_file(session.store, packaged, "README.md").decode()
    assert "## Views, on" in card
    assert "| profile-on-left |" in card
    assert "viewpoints.npz" not in packaged.files
    described = json.loads(manifest.read_file(session.store, packaged, "views.json"))
    assert described["recommended"] == ["profile-on-left", "profile-on-right", "in"]


def test_the_filter_tells_the_view_of_each_photo_and_an_earlier_table_stays(told):
    session = told["session"]
    done = filtered(session)
    photos = results.read_photos(session.store, done)
    assert (photos["view"] == photos["key"].map(told["views"])).mean() > 0.9
    assert photos["view_p"].between(0, 1).all()
    assert done.key != told["plain"].key
    plain = results.read_photos(session.store, told["plain"])
    np.testing.assert_allclose(photos["p_car"], plain["p_car"], atol=1e-6)
    again = filtered(session)
    assert (again.key, again.fresh) == (done.key, False)


def test_a_view_set_is_no_garbage_while_an_evaluation_names_it(told):
    from datetime import UTC, datetime, timedelta

    found = find_garbage(told["session"], older_than=timedelta(0), now=datetime.now(UTC) + timedelta(days=1))
    assert not [info.key for info in found.objects if "view_set" in info.key]


def test_a_filter_that_tells_views_worse_than_the_live_one_is_a_question(told):
    _, live = told["after"]
    metrics = live.extra["metrics"]
    worse = replace(live, extra={**live.extra, "metrics": {**metrics, "views_accuracy": 0.5}})
    assert _views_alone(worse, live).outcome == "ask"
    assert _views_alone(live, worse).outcome == "publish"
    assert _views_alone(told["before"][1], live) is None


def test_a_listing_that_is_forgotten_takes_the_view_set_along(told):
    session = told["session"]
    source = told["after"][0].extra["views"]["set"]
    listing = results.read_photos(session.store, manifest.read(session.store, source))["listing_uuid"].iloc[0]
    forget(session, listing, at=AT)
    assert session.store.head(source) is None
    wanted = find_wanted(session, label_set(session))
    photos = results.read_photos(session.store, view_set(session, wanted))
    assert len(photos) == world.LISTINGS * len(world.VIEWS) - len(world.VIEWS)
    assert listing not in set(photos["listing_uuid"])
