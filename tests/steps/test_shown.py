"""What the pages Data and Weights show, held against a bucket made by hand."""

import contextlib
import io
import threading
import time

import pytest
from PIL import Image

from carpipe.errors import InputError, MissingError
from carpipe.steps import shown_data, shown_weights
from carpipe.steps.preview import SIDE, Previews
from carpipe.steps.shelf import Shelf
from tests.plugins import bucket


@pytest.fixture
def made(session):
    return bucket.fill(session)


@pytest.fixture
def shelf(session, made):
    return Shelf(session)


def test_the_list_of_datasets(shelf, made):
    [row] = shown_data.list_datasets(shelf)
    assert row.id == made[0].key.split("/")[1]
    assert (row.photos, row.kept, row.vehicles, row.classes) == (12, 8, 8, 2)


def test_a_dataset_in_full(shelf, made):
    shown = shown_data.show_dataset(shelf, made[0].key.split("/")[1])
    assert [(one.stage, one.name, one.photos, one.share) for one in shown.reasons] == [
        ("clean", "truncated", 1, 1 / 12),
        ("filter", "not_a_car", 3, 0.25),
    ]
    assert sum(row.photos for row in shown.classes) == 8
    assert [(row.train, row.val, row.test) for row in shown.classes] == [(2, 2, 0), (2, 0, 2)]
    assert shown.verdict["failed"] == [bucket.SCRIPT]
    assert shown.documents == ["report.html", "data_docs/index.html"]


def test_examples_are_photos_of_their_reason(shelf, made):
    dataset = made[0].key.split("/")[1]
    truncated, not_a_car = shown_data.show_dataset(shelf, dataset).reasons
    assert sorted(not_a_car.examples) == [0, 1, 2]
    assert list(truncated.examples) == [3]
    assert shown_data.photo_of(shelf, dataset, 3) == truncated.examples[3]
    with pytest.raises(InputError, match="none of the examples"):
        shown_data.photo_of(shelf, dataset, 4)


def test_only_pages_of_a_dataset_are_documents(shelf, made):
    dataset = made[0].key.split("/")[1]
    assert b"docs of the test" in shown_data.read_document(shelf, dataset, "data_docs/index.html")
    for name in ("photos.parquet", "data_docs/../photos.parquet"):
        with pytest.raises(InputError, match="no page"):
            shown_data.read_document(shelf, dataset, name)
    with pytest.raises(InputError, match="no dataset"):
        shown_data.show_dataset(shelf, "0" * 20)


def test_a_channel_in_full(shelf, made):
    first, second = made[1]
    shown = shown_weights.show_channel(shelf, "classifier")
    assert shown.live.model == second.key
    assert shown.back.model == first.key
    assert [(one.key, one.live, one.was_live) for one in shown.models] == [
        (second.key, True, True),
        (first.key, False, True),
    ]
    assert shown.figures == {"test_accuracy": "top-1", "test_photos": "test photos", "test_nll": "log loss, nats"}
    assert [release.generation for release in shown.history] == [2, 1]
    assert [entry["model"] for entry in shown.decisions] == [second.key, first.key]


def test_channels_without_models_are_there_too(shelf):
    assert shown_weights.list_channels(shelf) == ["classifier", "car-filter"]
    empty = shown_weights.show_channel(shelf, "car-filter")
    assert (empty.live, empty.back, empty.models, empty.history) == (None, None, [], [])
    with pytest.raises(InputError, match="the channels are classifier, car-filter"):
        shown_weights.show_channel(shelf, "nothing")


def test_a_new_release_is_seen_at_once(shelf, made, session):
    from carpipe.weights import channel

    shown_weights.show_channel(shelf, "classifier")
    channel.promote(
        session.store, "classifier", model=made[1][0].key, reason="back", run="r", at="2026-01-05T00:00:00Z"
    )
    assert shown_weights.show_channel(shelf, "classifier").live.reason == "back"


def test_a_preview_is_small_and_bare(session, made):
    previews = Previews(session)
    with previews.child:
        jpeg = previews.jpeg(bucket.key(1))
        assert Image.open(io.BytesIO(jpeg)).size == (200, 120)
        assert b"private" not in jpeg
        session.store.put("raw/a/large.jpg", _large())
        assert max(Image.open(io.BytesIO(previews.jpeg("a/large.jpg"))).size) == SIDE
        session.store.put("raw/a/no.jpg", b"no photo")
        with pytest.raises(InputError, match="can be shown"):
            previews.jpeg("a/no.jpg")
        with pytest.raises(MissingError):
            previews.jpeg("a/gone.jpg")


def _large():
    sink = io.BytesIO()
    Image.new("RGB", (1600, 900)).save(sink, "JPEG")
    return sink.getvalue()


def test_a_shelf_makes_a_thing_once_however_many_ask(session):
    shelf, made, gate = Shelf(session), [], threading.Barrier(4)

    def ask():
        gate.wait()
        shelf.get("thing", lambda: made.append(1) or "it")

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]


def test_a_failure_is_that_of_all_who_wait_for_it(session):
    shelf, made, failed, gate = Shelf(session), [], [], threading.Barrier(4)

    def make():
        made.append(1)
        time.sleep(0.2)
        raise MissingError("away")

    def ask():
        gate.wait()
        with contextlib.suppress(MissingError):
            shelf.get("thing", make)
        failed.append(1)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failed) == 4
    assert len(made) < 4


def test_only_what_is_still_kept_is_dropped(session):
    shelf = Shelf(session)
    old = shelf.get("thing", lambda: ["old"])
    shelf.drop("thing", old)
    new = shelf.get("thing", lambda: ["new"])
    shelf.drop("thing", old)
    assert shelf.get("thing", lambda: ["newer"]) is new


def test_a_manifest_that_is_not_there_yet_is_looked_for_again(session, shelf, made, monkeypatch):
    session.store.put("datasets/0/photos.parquet", b"first file of a commit")
    [there] = shelf.manifests("datasets")
    assert there.key == made[0].key
    monkeypatch.setattr(session.store, "list_objects", lambda _: pytest.fail("all objects are listed"))
    session.store.put("datasets/0/manifest.json", b"{}")
    assert {info.key for info in shelf.manifests("datasets")} == {made[0].key, "datasets/0/manifest.json"}


def test_a_shelf_keeps_no_more_than_it_should_and_no_failure(session):
    shelf = Shelf(session, size=2)
    for name in "abc":
        shelf.get(name, lambda name=name: name)
    assert shelf.get("a", lambda: "made again") == "made again"
    assert shelf.get("c", lambda: "made again") == "c"
    with pytest.raises(ZeroDivisionError):
        shelf.get("x", lambda: 1 / 0)
    assert shelf.get("x", lambda: "now") == "now"
