"""A car filter in 8-bit numbers is made once, from photos of the bucket, and refused where it decides otherwise."""

import numpy as np
import pytest

from carpipe import manifest
from carpipe.errors import InputError
from carpipe.sample import draw_world
from carpipe.stages import quantize as stage
from carpipe.stages.quantize import Judged, check_filter
from carpipe.steps import results
from carpipe.steps.data.clean import clean
from carpipe.steps.data.filter import filter_cars
from carpipe.steps.data.filter_network import find_car_filter
from carpipe.steps.data.inventory import inventory
from carpipe.steps.data.plan import plan
from carpipe.steps.data.upload import upload
from carpipe.steps.session import open_session
from carpipe.weights.channel import read_known
from tests.chaos.bench import live_car_filter
from tests.conftest import make_config

pytestmark = pytest.mark.slow
SETTINGS = {"crop__weights": "sample:detector.pt", "filter__threshold": 0.5}


@pytest.fixture(scope="module", autouse=True)
def few():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "CALIBRATED", 24)
        patch.setattr(stage, "MIN_CHECKED_BY_FILTER", 50)
        patch.setattr(stage, "MIN_ALIKE", 0.75)
        yield


@pytest.fixture(scope="module")
def address(s3, tmp_path_factory):
    url = f"s3://{s3.bucket}/int8-filter"
    session = open_session(make_config(url, **SETTINGS))
    upload(session, draw_world(tmp_path_factory.mktemp("world"), seed=5, listings=24).raw)
    live_car_filter(session.store)
    return url


def open_bucket(address, **settings):
    return open_session(make_config(address, **{**SETTINGS, **settings}))


def filtered(session):
    planned = plan(session, inventory(session).key)
    [part] = planned.partitions
    cleaned = clean(session, part["manifest"], inventory=planned.inventory)
    return planned, filter_cars(session, cleaned.key, weights=planned.car_filter)


def scores(session, done):
    return results.read_photos(session.store, done).set_index("key")["p_car"].dropna()


def test_it_is_made_once_and_decides_the_same(address):
    plain, eight = open_bucket(address), open_bucket(address, filter__runtime="int8")
    _, before = filtered(plain)
    _, after = filtered(eight)

    [made] = manifest.commits(plain.store, "quantize", "car_filter")
    assert made.key in after.inputs  # so `gc` keeps it
    assert after.weights["car_filter"] == made.files["model.bin"]["sha256"] != before.weights["car_filter"]
    old, new = scores(plain, before), scores(eight, after)
    assert list(old.index) == list(new.index)
    assert not np.array_equal(old, new), "it is another network, and a coarse one: this has been drawn by lot"
    assert np.mean((old >= 0.5) == (new >= 0.5)) > 0.75

    planned, again = filtered(eight)
    assert again.key == after.key
    assert [row.reused_partitions for row in planned.forecast if row.stage == "filter"] == [1]
    assert filtered(plain)[1].key == before.key, "and who goes back finds what was there"


def test_it_is_asked_for_its_verdict_at_each_threshold(address, monkeypatch):
    session = open_bucket(address, filter__runtime="int8", filter__threshold=0.4)
    filtered(session)
    assert len(list(manifest.commits(session.store, "quantize", "car_filter"))) == 1, "no threshold makes another"

    monkeypatch.setattr(stage, "MIN_ALIKE", 1.01)
    with pytest.raises(
        InputError, match=r"the car filter decides the same on [0-9]+ of [0-9]+ photos .*, expected 101%"
    ):
        filtered(session)


def test_too_few_photos_make_none(address):
    session = open_bucket(address, filter__runtime="int8")
    model = read_known(session.store, plan(session, inventory(session).key).car_filter).manifest
    other = open_bucket(f"{address}-empty", filter__runtime="int8")
    with pytest.raises(InputError, match=r"^2 photos of this partition are there to make .*, expected 74 at least"):
        find_car_filter(other, model, thumbnails=lambda: {"a/1.jpg": b"", "a/2.jpg": b""})


def test_views_must_be_told_alike_too():
    same = Judged((0.9, 0.8), ("front", "front"))
    check_filter([same] * 100, threshold=0.7)
    with pytest.raises(InputError, match=r"tells the same view on 70 of 100 photos \(70\.0%\), expected 75%"):
        check_filter([same] * 70 + [Judged((0.9, 0.8), ("front", "back"))] * 30, threshold=0.7)
    with pytest.raises(InputError, match="decides the same on 70 of 100"):
        check_filter([same] * 70 + [Judged((0.71, 0.69), (None, None))] * 30, threshold=0.7)
