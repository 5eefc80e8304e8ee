"""Labels from a page: everybody's own order, nothing twice, nothing lost."""

from datetime import UTC, datetime

import pytest

from carpipe.errors import InputError
from carpipe.steps.cache import ResultCache
from carpipe.steps.data.inventory import inventory
from carpipe.steps.labels import desk as module
from carpipe.steps.labels import store
from carpipe.steps.labels.desk import LabelDesk
from carpipe.steps.labels.questions import VIEWS
from carpipe.steps.labels.store import current_labels, read_labels
from carpipe.steps.viewpoints.store import current_views
from tests.plugins import bucket

NOW = datetime(2026, 1, 3, 12, tzinfo=UTC)


@pytest.fixture
def desk(session):
    bucket.fill(session)
    return LabelDesk(ResultCache(session))


def said(numbers, label="auto", at="2026-01-03T11:00:00Z"):
    return [{"key": key, "label": label, "at": at} for key in bucket.keys(numbers)]


def batch(desk, by="ann", after=0, count=5):
    return desk.next_batch(by=by, how="random", after=after, count=count)


def test_batches_go_through_all_photos_once(desk):
    seen, after = [], 0
    while (found := batch(desk, after=after)).photos:
        seen += [photo.key for photo in found.photos]
        after = found.after
    assert sorted(seen) == sorted(bucket.keys(range(bucket.PHOTOS)))
    assert found.left == 0


def test_two_people_draw_in_different_orders(desk):
    ann, bob = (batch(desk, by=by, count=12) for by in ("ann", "bob"))
    assert {photo.key for photo in ann.photos} == {photo.key for photo in bob.photos}
    assert ann.photos != bob.photos


def test_what_somebody_has_labelled_comes_to_nobody(desk):
    desk.save(said([0, 1, 2]), by="ann", now=NOW)
    left = batch(desk, by="bob", count=50)
    assert sorted(photo.key for photo in left.photos) == sorted(bucket.keys(range(3, bucket.PHOTOS)))
    assert (left.progress.labelled, left.progress.mine) == (3, 0)
    assert left.progress.by_label == {"auto": 3, "no_auto": 0}


def test_all_labelled_is_said(desk):
    desk.save(said(range(bucket.PHOTOS)), by="ann", now=NOW)
    with pytest.raises(InputError, match="no photo left"):
        batch(desk)


def test_a_photo_is_found_by_its_row(desk, session):
    for photo in batch(desk).photos:
        assert desk.photo_of(photo.manifest, photo.row) == photo.key
        assert LabelDesk(ResultCache(session)).photo_of(photo.manifest, photo.row) == photo.key, "by another process"
    with pytest.raises(InputError, match="none with the number 12"):
        desk.photo_of(photo.manifest, 12)


def test_a_save_that_is_sent_again_adds_nothing(desk, session):
    for _ in range(2):
        assert desk.save(said([0, 1]), by="ann", now=NOW).saved == 2
    assert len(read_labels(session)) == 2


def test_the_later_label_counts_and_both_are_kept(desk, session):
    desk.save(said([0], "auto"), by="ann", now=NOW)
    desk.save(said([0], "no_auto", at="2026-01-03T11:30:00Z"), by="bob", now=NOW)
    assert current_labels(session)[bucket.key(0)].label == "no_auto"
    assert [label.by for label in read_labels(session)] == ["ann", "bob"]


def test_a_fast_clock_does_not_label_the_future(desk, session):
    desk.save(said([0], at="2026-01-04T00:00:00Z"), by="ann", now=NOW)
    assert [label.at for label in read_labels(session)] == [NOW]


@pytest.mark.parametrize(
    "wrong", [{"label": "car"}, {"label": ""}, {"at": "yesterday"}, {"key": "a/../b.jpg"}, {"key": "a\x00/b.jpg"}]
)
def test_one_wrong_label_is_named_and_the_others_are_saved(desk, wrong, session):
    rows = said([0, 1])
    rows[1] |= wrong
    done = desk.save(rows, by="ann", now=NOW)
    assert done.saved == 1
    assert list(done.refused) == [rows[1]["key"]]
    assert [label.key for label in read_labels(session)] == bucket.keys([0])


def test_labels_read_once_are_not_read_again(desk, monkeypatch):
    desk.save(said([0, 1]), by="ann", now=NOW)
    batch(desk)
    monkeypatch.setattr(store, "parse_labels", lambda *_: pytest.fail("read again"))
    assert batch(desk).progress.labelled == 2


def test_a_new_inventory_is_drawn_from_anew(desk, session):
    batch(desk)
    new = bucket.key(50)
    session.store.put(f"raw/{new}", bucket.jpeg(5))
    inventory(session)
    assert new in {photo.key for photo in batch(desk, count=50).photos}


def test_few_places_are_kept_and_the_others_are_found(desk, monkeypatch):
    monkeypatch.setattr(module, "HANDED_OUT", 3)
    photos = batch(desk, count=5).photos + batch(desk, after=5, count=5).photos
    assert len(desk._places) == 3
    assert [desk.photo_of(photo.manifest, photo.row) for photo in photos] == [one.key for one in photos]


def test_views_are_labelled_apart_from_cars(desk, session):
    views = LabelDesk(ResultCache(session), VIEWS)
    desk.save(said([0]), by="ann", now=NOW)
    done = views.save([*said([0, 1], "angle-front-on-left"), *said([2], "auto")], by="ann", now=NOW)
    assert (done.saved, list(done.refused)) == (2, [bucket.key(2)])
    assert "known are angle-front-on-left" in done.refused[bucket.key(2)]
    assert {key: (label.view, label.by) for key, label in current_views(session).items()} == {
        bucket.key(number): ("angle-front-on-left", "ann") for number in (0, 1)
    }
    assert [label.key for label in read_labels(session)] == [bucket.key(0)]

    left = views.next_batch(by="ann", how="random", after=0, count=50)
    assert sorted(photo.key for photo in left.photos) == sorted(bucket.keys(range(2, bucket.PHOTOS)))
    assert (left.progress.labelled, left.progress.by_label["angle-front-on-left"], left.progress.mine) == (2, 2, 2)
