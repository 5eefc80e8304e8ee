"""The channel's model is swapped while requests run; a model that is not what it should be never is."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from carpipe.config import SigningConfig, StoreConfig
from carpipe.serving import live as following
from carpipe.serving.live import Follower, NotReadyError
from carpipe.storage import Store
from carpipe.weights import channel, signing
from carpipe.weights.signing_keys import load_key
from tests.makers import Maker
from tests.serving.conftest import post, ready, serving, wait_for
from tests.tiny import Tiny, crop_files, go_live, publish


@pytest.fixture(scope="module")
def other():
    return Tiny(seed=9).files() | crop_files(image_size=320)


def live_id(client):
    return client.get("/healthz").json()["model"]["id"]


def test_no_request_fails_while_the_channel_goes_back_and_forth(session, tiny, other, cache, photos):
    models = [publish(session, tiny, tag="a"), publish(session, other, tag="b")]
    go_live(session, models[0])
    truth = {}
    with serving(session, cache, poll_s=0.05, queue=8) as client:
        ready(client)
        for model in models:  # what each says of the photo, alone
            go_live(session, model)
            name = model.key.split("/")[-2]
            wait_for(lambda name=name: live_id(client) == name)
            truth[name] = post(client, photos[0]).json()["prediction"], post(client, photos[0]).json()["score"]
        assert len(set(truth.values())) == 2
        done = threading.Event()

        def ask(_):
            answers = []
            with httpx.Client(base_url=client.base_url, timeout=60, trust_env=False) as own:
                while not done.is_set():
                    answers.append(post(own, photos[0]))
            return answers

        with ThreadPoolExecutor(3) as pool:
            asking = [pool.submit(ask, number) for number in range(3)]
            for model in [models[0], models[1]] * 4:
                release = go_live(session, model)
                wait_for(
                    lambda release=release: client.get("/healthz").json()["model"]["generation"] == release.generation
                )
            done.set()
            answers = [response for future in asking for response in future.result()]

    assert len(answers) > 8
    assert {response.status_code for response in answers} == {200}
    seen = {reply["model"]["id"] for reply in (response.json() for response in answers)}
    assert seen == set(truth)
    for reply in (response.json() for response in answers):
        assert (reply["prediction"], reply["score"]) == truth[reply["model"]["id"]]


def await_polls(client, count):
    """Wait until the server has looked at the channel that many times."""
    ages = [0.0]

    def polled():
        ages.append(client.get("/healthz").json()["polled_s_ago"])
        return sum(later < earlier for earlier, later in itertools.pairwise(ages)) >= count

    wait_for(polled)


def test_a_bad_model_is_refused_and_the_old_one_goes_on(session, tiny, other, cache, photos, caplog):
    good = go_live(session, publish(session, tiny, tag="good"))
    broken = publish(session, {**tiny, "model.bin": other["model.bin"]}, tag="broken")
    with serving(session, cache) as client:
        ready(client)
        go_live(session, broken)

        problem = wait_for(lambda: client.get("/healthz").json()["problem"])
        assert "golden pictures are off" in problem
        assert live_id(client) in good.model
        assert post(client, photos[0]).status_code == 200
        await_polls(client, 5)
        assert sum("golden pictures are off" in record.message for record in caplog.records) == 1

        mended = go_live(session, publish(session, other, tag="mended"))
        wait_for(lambda: live_id(client) in mended.model)
        assert client.get("/healthz").json()["problem"] == ""


def test_a_changed_or_unsigned_model_is_refused_and_the_old_one_goes_on(session, tiny, other, cache, tmp_path):
    ann, eve = Maker(tmp_path, "ann"), Maker(tmp_path, "eve")
    makers = SigningConfig(trusted=(str(ann.public),), require=True)
    models = [publish(session, tiny, tag="a"), publish(session, other, tag="b")]
    key, wrong = (load_key(SigningConfig(key=str(who.key))) for who in (ann, eve))

    def sign(model, by):
        return signing.sign(session.store, channel.read_model(session.store, model.key), by)

    sign(models[0], key)
    go_live(session, models[0])
    follower = Follower(session.store, settings(session, cache), makers)
    follower.refresh()
    assert follower.health().problem == ""

    go_live(session, models[1])
    follower.refresh()
    assert "is not signed, and a signature is required" in follower.health().problem
    assert follower.current().model.id in models[0].key

    sign(models[1], wrong)
    go_live(session, models[0])
    go_live(session, models[1])
    follower.refresh()
    assert "which is not among the trusted ones" in follower.health().problem
    assert follower.current().model.id in models[0].key

    session.store.put(models[1].key, session.store.get(models[1].key) + b" ")
    fresh = Follower(session.store, settings(session, tmp_path / "empty"))
    fresh.refresh()
    assert "is not the manifest that generation 4 of channel classifier means" in fresh.health().problem


def away(session):
    return Store(StoreConfig(url=session.store.url, endpoint="http://127.0.0.1:9", max_retries=0, timeout_s=2))


def settings(session, cache, **changes):
    return session.config.serving.model_copy(update={"cache": str(cache), **changes})


@pytest.mark.parametrize("workers", [1, 2])
def test_the_network_is_made_for_as_many_photos_at_a_time_as_there_are_workers(session, live, cache, workers):
    follower = Follower(session.store, settings(session, cache, workers=workers))
    follower.refresh()
    network = follower.health().live.model._network
    assert network._compiled.get_property("NUM_STREAMS") == workers


def test_a_server_starts_from_its_cache_when_the_store_is_away(session, live, cache):
    Follower(session.store, settings(session, cache)).refresh()
    follower = Follower(away(session), settings(session, cache))

    follower.refresh()

    assert follower.current().model.id in live.model
    assert follower.health().polled_s is None
    follower.refresh()
    assert "cannot be reached" in follower.health().problem
    assert follower.current().model.id in live.model


def test_a_server_that_starts_beside_a_broken_model_goes_on_with_the_last_one(
    session, live, tiny, cache, photos, monkeypatch
):
    monkeypatch.setattr(following, "SECOND_CHANCE", 0.5)
    Follower(session.store, settings(session, cache)).refresh()
    newer = publish(session, tiny, tag="newer")
    go_live(session, newer)
    session.store.delete([newer.files["model.bin"]["key"]])

    with serving(session, cache, poll_s=0.05) as client:
        ready(client)
        found = client.get("/healthz").json()
        assert found["model"]["id"] in live.model
        assert "has lost a file" in found["problem"]
        assert post(client, photos[0]).status_code == 200

        session.store.put(newer.files["model.bin"]["key"], tiny["model.bin"])
        wait_for(lambda: client.get("/healthz").json()["model"]["id"] in newer.key)
        wait_for(lambda: client.get("/healthz").json()["problem"] == "")


def test_a_server_whose_keys_were_revoked_starts_too(session, live, cache, monkeypatch):
    Follower(session.store, settings(session, cache)).refresh()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "revoked")
    follower = Follower(Store(session.config.store), settings(session, cache))

    follower.refresh()
    assert follower.current().model.id in live.model
    follower.refresh()
    assert "check AWS_ACCESS_KEY_ID" in follower.health().problem


def test_a_server_may_be_told_not_to(session, live, cache):
    Follower(session.store, settings(session, cache)).refresh()
    follower = Follower(away(session), settings(session, cache, offline_ok=False))

    follower.refresh()

    with pytest.raises(NotReadyError):
        follower.current()


def test_a_model_that_takes_whole_photos_is_refused(session, cache):
    go_live(session, publish(session, Tiny().files()))
    follower = Follower(session.store, settings(session, cache))

    follower.refresh()

    assert "does not say how photos are cut" in follower.health().problem


def test_models_with_one_detector_share_it(session, tiny, other, cache):
    follower = Follower(session.store, settings(session, cache))
    go_live(session, publish(session, tiny, tag="a"))
    follower.refresh()
    first = follower.current()
    go_live(session, publish(session, other, tag="b"))
    follower.refresh()

    assert follower.current().model.id != first.model.id
    assert follower.current().detectors is first.detectors


def test_overload_is_answered_503_and_health_stays_up(session, live, cache, photos):
    with serving(session, cache, queue=2) as client:
        ready(client)
        with ThreadPoolExecutor(12) as pool:
            responses = list(
                pool.map(
                    lambda _: httpx.post(
                        f"{client.base_url}/predict", files={"file": photos[0]}, timeout=60, trust_env=False
                    ),
                    range(36),
                )
            )
        assert client.get("/healthz").status_code == 200

    assert {response.status_code for response in responses} == {200, 503}
    assert {response.headers.get("retry-after") for response in responses if response.status_code == 503} == {"2"}
    assert all(response.json()["success"] == (response.status_code == 200) for response in responses)
