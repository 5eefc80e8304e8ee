"""A bucket with two partitions and a dataset, made with a car filter by lot: where things get lost."""

import pytest

from carpipe.sample import DETECTOR, draw_world
from carpipe.steps.data.upload import upload
from carpipe.steps.session import open_session
from tests.chaos.bench import live_car_filter, two_classes
from tests.conftest import make_config
from tests.steps.upkeep.losing import night

SETTINGS = {
    "crop__weights": str(DETECTOR),
    "crop__image_size": 320,
    "filter__threshold": 0.3,
    "inventory__partition_photos": 40,
    "classes__min_photos": 1,
    "validation__split_tolerance": 1.0,
    "validation__class_tolerance": 1.0,
    "validation__funnel_tolerance": 1.0,
}


@pytest.fixture(scope="module")
def session(s3, tmp_path_factory):
    home = tmp_path_factory.mktemp("world")
    world = draw_world(home / "world", seed=5, listings=16)
    settings = {**SETTINGS, "classes__taxonomy": str(two_classes(home, [path.name for path in world.raw.iterdir()]))}
    session = open_session(make_config(f"s3://{s3.bucket}/{home.name}", **settings))
    upload(session, world.raw)
    live_car_filter(session.store)
    return session


@pytest.fixture(scope="module")
def first(session):
    """Its dataset."""
    return night(session)[0]
