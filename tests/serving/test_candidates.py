"""Feedback and unsure photos become candidates for labelling, whole, once, and never at a prediction's expense."""

import csv
import io
import threading

import numpy as np
import pytest
from PIL import Image

from carpipe.config import ServingConfig, StoreConfig
from carpipe.serving import candidates as module
from carpipe.serving.candidates import Candidates, Memory, Seen
from carpipe.serving.clients import client_behind
from carpipe.steps.labels.candidates import download_candidates, list_candidates
from carpipe.storage import Store
from tests.serving.conftest import encode, post, ready, serving, wait_for
from tests.tiny import Tiny, crop_files, go_live, publish

ANSWER = {"prediction": "audi_a4", "score": 0.4, "model": {"id": "m"}}


def settings(**values):
    return ServingConfig(client_share=1.0, **values)


def seen(number=0, size=10):
    return Seen(f"{number:032x}", "2026-03-01T10:00:00+00:00", b"j" * size, ANSWER)


@pytest.fixture(scope="module")
def unsure():
    """A model that is never sure."""
    return Tiny(threshold=1.0).files() | crop_files(image_size=320)


@pytest.fixture
def client(session, unsure, cache):
    go_live(session, publish(session, unsure))
    with serving(session, cache) as client:
        yield ready(client)


def listed(session, count):
    return wait_for(lambda: len(found := list_candidates(session)) == count and found)


def test_an_unsure_photo_is_kept_small_and_without_what_the_camera_wrote(session, client, photos):
    exif = Image.Exif()
    exif[0x010F] = "a camera with GPS"
    large = Image.open(io.BytesIO(photos[0])).resize((2000, 1500))

    reply = post(client, encode(large, "JPEG", exif=exif)).json()

    [candidate] = listed(session, 1)
    assert candidate.reason == "unsure"
    assert candidate.key == f"labels/classifier/candidates/{candidate.at[:10].replace('-', '')}/{reply['id']}.jpg"
    assert candidate.answer == reply
    kept = session.store.get(candidate.key)
    assert b"a camera" not in kept
    assert Image.open(io.BytesIO(kept)).size == (1024, 768)
    assert (
        np.abs(np.asarray(Image.open(io.BytesIO(kept)), float) - np.asarray(large.resize((1024, 768)), float)).mean()
        < 8
    )


def test_what_people_say_is_kept_all_of_it(session, client, photos):
    name = post(client, photos[0]).json()["id"]
    listed(session, 1)

    for said in ({"right": True}, {"right": False, "class_name": "škoda fabia"}, {"right": False}):
        assert client.post("/feedback", json={"id": name, **said}).status_code == 202

    wait_for(lambda: len(list_candidates(session)[0].feedback) == 3)
    [candidate] = list_candidates(session)
    assert candidate.unsure
    assert candidate.reason == "wrong"
    assert sorted((saying.right, saying.class_name) for saying in candidate.feedback) == [
        (False, ""), (False, "škoda fabia"), (True, "")
    ]  # fmt: skip


def test_what_people_say_of_a_photo_without_a_car_is_kept(session, client, blank, tmp_path):
    refused = post(client, blank)
    [in_listing] = post(client, blank, url="/predict/listing").json()["photos"]
    assert (refused.status_code, refused.json()["reason"]) == (422, "no_vehicle")

    for name in (refused.json()["id"], in_listing["id"]):
        said = {"id": name, "right": False, "class_name": "audi_a4"}
        assert client.post("/feedback", json=said).status_code == 202

    candidates = listed(session, 2)
    assert {candidate.key.split("/")[-1] for candidate in candidates} == {
        f"{refused.json()['id']}.jpg", f"{in_listing['id']}.jpg"
    }  # fmt: skip
    assert [(one.reason, one.unsure, one.answer["reason"]) for one in candidates] == [
        ("wrong", False, "no_vehicle")
    ] * 2
    kept = Image.open(io.BytesIO(session.store.get(candidates[0].key)))
    assert np.abs(np.asarray(kept, float) - np.asarray(Image.open(io.BytesIO(blank)), float)).mean() < 3
    download_candidates(session, tmp_path)
    rows = list(csv.DictReader((tmp_path / "candidates.csv").read_text("utf-8").splitlines()))
    assert [(row["prediction"], row["said"], row["refused"]) for row in rows] == [("", "audi_a4", "no_vehicle")] * 2


def test_a_photo_without_a_car_is_kept_only_if_somebody_says_something(session, client, photos, blank):
    post(client, blank)
    name = post(client, photos[0]).json()["id"]

    [candidate] = listed(session, 1)
    assert candidate.key.endswith(f"{name}.jpg")


def test_of_what_is_no_picture_nothing_can_be_said(client, photos):
    assert "id" not in post(client, b"%PDF-1.7").json()
    assert "id" not in post(client, photos[0][:3000]).json()


def test_an_answer_is_judged_so_often_and_no_more(client, photos):
    name = post(client, photos[0]).json()["id"]

    statuses = [client.post("/feedback", json={"id": name, "right": True}).status_code for _ in range(7)]

    assert statuses == [202] * 5 + [404] * 2


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"id": "0" * 32, "right": True}, 404),
        ({"id": "../../raw/x", "right": True}, 400),
        ({"id": "A" * 32, "right": True}, 400),
        ({"right": True}, 400),
        ({"id": "0" * 32, "right": "yes"}, 400),
        ({"id": "0" * 32, "right": False, "class_name": "<b>x</b>"}, 400),
        ({"id": "0" * 32, "right": False, "class_name": "x" * 81}, 400),
        ({"id": "0" * 32, "right": False, "class_name": {"a": 1}}, 400),
        ([], 400),
        ({"id": "0" * 20_000, "right": True}, 413),
    ],
)
def test_feedback_that_is_none_is_refused(api, body, status):
    response = api.post("/feedback", json=body)

    assert (response.status_code, response.json()["success"]) == (status, False)


def test_feedback_cannot_come_from_a_form_of_another_site(api):
    assert api.post("/feedback", content='{"id": "x"}', headers={"Content-Type": "text/plain"}).status_code == 415
    assert api.post("/feedback", content="{", headers={"Content-Type": "application/json"}).status_code == 400


@pytest.mark.parametrize("nested", ["[" * 9000, '{"a":' * 1900, "[" * 4500 + "]" * 4500])
def test_json_that_is_nested_too_deep_is_refused(api, nested):
    response = api.post("/feedback", content=nested, headers={"Content-Type": "application/json"})

    assert (response.status_code, response.json()["reason"]) == (400, "bad_request")


def test_it_can_be_turned_off(session, unsure, cache, photos, blank):
    go_live(session, publish(session, unsure))
    with serving(session, cache, feedback=False) as client:
        reply = post(ready(client), photos[0]).json()
        assert client.post("/feedback", json={"id": reply["id"], "right": True}).status_code == 400
        assert "id" not in post(client, blank).json()
        assert "Is that right" not in client.get("/").text

    assert not list(session.store.list_objects("labels"))


def test_a_bucket_in_trouble_costs_candidates_and_nothing_else(session, client, photos, monkeypatch, caplog):
    create, broken = session.store.create, threading.Event()
    broken.set()

    def failing(key, data):
        if broken.is_set():
            raise OSError("no route")
        return create(key, data)

    monkeypatch.setattr(session.store, "create", failing)
    assert post(client, photos[0]).status_code == 200
    wait_for(lambda: "is lost" in caplog.text)
    broken.clear()

    name = post(client, photos[1]).json()["id"]

    assert name in listed(session, 1)[0].key


def test_a_store_that_is_away_holds_nobody_up(session):
    away = Store(StoreConfig(url=session.store.url, endpoint="http://127.0.0.1:9", max_retries=0, timeout_s=2))
    writer = Candidates(away, settings(channel="c", candidates_per_hour=1000))

    kept = [writer.keep(seen(number), "unsure", client="a") for number in range(module.MAX_WAITING_CANDIDATES)]

    assert kept.count(True) >= module.MAX_WAITING_CANDIDATES - 1
    writer.close()


def test_an_hour_holds_so_many_of_each_kind(session, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    writer = Candidates(session.store, settings(channel="c", candidates_per_hour=2))

    assert [writer.keep(seen(number), "unsure", client="a") for number in range(3)] == [True, True, False]
    assert writer.keep(seen(9), "wrong", client="a")
    now[0] += 3601
    assert writer.keep(seen(4), "unsure", client="a")
    writer.close()


def test_one_client_spends_its_share_and_no_more(session):
    writer = Candidates(session.store, ServingConfig(candidates_per_hour=6, client_share=0.5))

    assert [writer.keep(seen(number), "right", client="a") for number in range(4)] == [True, True, True, False]
    assert [writer.keep(seen(number), "right", client="b") for number in range(5, 9)] == [True, True, True, False]
    assert not writer.keep(seen(9), "right", client="c"), "the hour is spent"
    writer.close()


def test_what_a_client_has_spent_is_forgotten_after_an_hour(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    budget = module.Budget(4, client_share=0.25)

    assert [budget.take("a"), budget.take("a"), budget.take("b")] == [True, False, True]
    now[0] += 3601
    assert [budget.take("a"), budget.take("a")] == [True, False]


def test_the_same_photo_is_never_overwritten(session):
    writer = Candidates(session.store, settings(channel="c", candidates_per_hour=100))
    writer.keep(seen(), "unsure", client="a")
    writer.keep(Seen(seen().id, seen().at, b"other", {"other": 1}), "unsure", client="a")
    writer.close()

    folder = f"labels/c/candidates/20260301/{seen().id}"
    assert session.store.get(f"{folder}.jpg") == seen().jpeg
    assert b"audi_a4" in session.store.get(f"{folder}.json")


def test_a_saying_that_was_not_kept_does_not_count():
    memory = Memory()
    memory.add(seen(0), client="a")
    for _ in range(20):
        assert memory.judged(seen(0).id)
        memory.take_back(seen(0).id)
    memory.take_back("unknown")

    assert [memory.judged(seen(0).id) is not None for _ in range(6)] == [True] * 5 + [False]


def test_the_oldest_answers_are_forgotten(monkeypatch):
    monkeypatch.setattr(module, "MAX_REMEMBERED_BYTES", 100)
    memory = Memory()
    for number in range(12):
        memory.add(seen(number, size=10), client="a")

    assert [memory.judged(seen(number).id) is not None for number in (0, 1, 2, 11)] == [False, False, True, True]


def test_one_client_does_not_make_the_answers_of_others_forgotten(monkeypatch):
    monkeypatch.setattr(module, "MAX_REMEMBERED_ANSWERS", 10)
    memory = Memory()
    memory.add(seen(0), client="a")
    for number in range(1, 50):
        memory.add(seen(number), client="b")

    assert [memory.judged(seen(number).id) is not None for number in (0, 1, 40, 41, 49)] == [
        True, False, False, True, True
    ]  # fmt: skip


def test_labellers_get_photos_and_a_table(session, tmp_path):
    writer = Candidates(session.store, settings(channel="classifier", candidates_per_hour=100))
    writer.keep(seen(1), "unsure", client="a")
    writer.keep(seen(2), "wrong", client="a", class_name="=cmd()")
    writer.keep(seen(3), "right", client="a")
    writer.close()
    session.store.put("labels/classifier/candidates/20260301/x.json", b"[]")

    assert download_candidates(session, tmp_path) == 3
    assert download_candidates(session, tmp_path) == 3

    with (tmp_path / "candidates.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["reason"], row["prediction"], row["said"]) for row in rows] == [
        ("unsure", "audi_a4", ""), ("wrong", "audi_a4", "'=cmd()"), ("right", "audi_a4", "audi_a4")
    ]  # fmt: skip
    assert all((tmp_path / row["file"]).read_bytes() == seen().jpeg for row in rows)


def test_a_network_of_one_attacker_spends_one_share_and_all_together_no_more_than_there_is():
    budget = module.Budget(100, client_share=0.25)
    forged = [f"198.51.100.{n % 250}, 2001:db8::{n:x}{zone}" for n in range(300) for zone in ("", "%1", "%eth0")]

    assert sum(budget.take(client_behind(chain)) for chain in forged) == 25
    assert sum(budget.take(client_behind(f"198.51.{n % 256}.{n // 256}")) for n in range(3000)) == 75
    assert len(budget._by) <= 100
