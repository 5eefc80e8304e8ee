"""Going forward and back, and whether a model can be served."""

import resource
import subprocess
import sys

import pytest

from carpipe import children
from carpipe.errors import InputError, UnavailableError
from carpipe.steps.models.gate import check_servable
from carpipe.steps.models.publish import promote, publish, rollback
from carpipe.steps.session import Session
from carpipe.weights.servable import REFUSED
from tests import tiny
from tests.conftest import make_config
from tests.plugins import bucket


@pytest.fixture(scope="module")
def networks():
    return [tiny.Tiny(seed=number) for number in range(3)]


def test_going_back_twice_goes_back_two_models(session, networks):
    models = [tiny.publish(session, network.files(), tag=str(number)) for number, network in enumerate(networks)]
    for model in models:
        tiny.go_live(session, model)

    back = [rollback(session, "classifier", run="r", at="t", reason="worse") for _ in range(2)]

    assert [release.model for release in back] == [models[1].key, models[0].key]
    with pytest.raises(InputError, match="no earlier model to go back to"):
        rollback(session, "classifier", run="r", at="t", reason="worse")


def test_a_model_that_answers_as_published_can_be_served(session, networks):
    model = tiny.publish(session, networks[0].files())

    assert "loads without TensorFlow, 7 classes" in check_servable(session, model.key)


def test_a_model_with_other_weights_than_its_golden_pictures_cannot(session, networks):
    files = {**networks[0].files(), "model.bin": networks[1].files()["model.bin"]}

    with pytest.raises(InputError, match="off by"):
        check_servable(session, tiny.publish(session, files).key)


def test_a_bucket_that_is_away_says_nothing_of_the_model(session, networks):
    model = tiny.publish(session, networks[0].files())
    away = make_config(
        session.store.url, store__endpoint="http://127.0.0.1:9", store__max_retries=0, store__timeout_s=2
    )

    with pytest.raises(UnavailableError, match="was not found out"):
        check_servable(Session(away, session.store), model.key)


def test_a_machine_without_memory_or_handles_says_nothing_of_the_model(session, networks):
    """At some of these limits it starts, and fails where it reads the network or answers the golden pictures."""
    model = tiny.publish(session, networks[0].files())
    told = children.tell(session.config, session.store.access)
    limits = [(resource.RLIMIT_DATA, size << 20) for size in (125, 150, 175)]
    limits += [(resource.RLIMIT_AS, 450 << 20), (resource.RLIMIT_NOFILE, 9), (resource.RLIMIT_NOFILE, 12)]

    def check(limit):
        kind, most = limit
        return subprocess.run(
            [sys.executable, "-m", "carpipe.weights.servable", model.key], input=told, capture_output=True, text=True,
            check=False, preexec_fn=lambda: resource.setrlimit(kind, (most, most)), timeout=300,
        )  # fmt: skip

    found = {limit: check(limit) for limit in limits}
    assert {done.returncode for done in found.values()} - {0}
    assert [done.stderr for done in found.values() if done.returncode == REFUSED] == []


def test_a_model_of_another_channel_is_not_published(session):
    with pytest.raises(InputError, match="is no model of channel classifier"):
        publish(
            session, "models/car-filter/abc/manifest.json", model="classifier", reason="", run="", at="", expected=None
        )


@pytest.fixture
def models(session):
    """Two models of the classifier, the second live."""
    return bucket.fill(session)[1]


def go_live(session, model, channel="classifier"):
    return promote(session, channel, model, reason="by hand", run="r", at="2026-01-05T00:00:00Z")


def test_a_model_is_promoted_by_its_id_too(session, networks):
    model = tiny.publish(session, networks[0].files())
    assert go_live(session, model.key.split("/")[2], model.key.split("/")[1]).model == model.key


def test_a_mistyped_id_is_told_the_one_that_is_like_it(session, models):
    there = models[0].key.split("/")[2]
    with pytest.raises(InputError, match=f"There is no model .* shows those there are. Did you mean {there}"):
        go_live(session, there[1] + there[0] + there[2:])
    with pytest.raises(InputError, match=r"shows those there are\.$"):
        go_live(session, "f" * 20)


def test_a_model_of_another_channel_is_told_which_one(session, models):
    with pytest.raises(InputError, match=r"is no model of channel car-filter; .* It is one of channel classifier\.$"):
        go_live(session, models[0].key, "car-filter")
