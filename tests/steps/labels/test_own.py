"""One's own labels on the page, examples, and what is new since the last training."""

from datetime import UTC, datetime, timedelta

import pytest

from carpipe.errors import InputError
from carpipe.steps.cache import ResultCache
from carpipe.steps.labels.desk import LabelDesk
from carpipe.steps.labels.store import current_labels, describe_conflicts
from tests.filtered import commit_filter
from tests.plugins import bucket

NOW = datetime(2026, 1, 3, 12, tzinfo=UTC)
SAME = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"


@pytest.fixture
def desk(session):
    bucket.fill(session)
    cars = bucket.keys(range(8))
    pictures = dict.fromkeys(bucket.keys([0, 1, 2]), SAME)
    commit_filter(session, lambda key: 0.95 if key in cars else 0.05, pictures=pictures)
    return LabelDesk(ResultCache(session))


def at(minute):
    return f"2026-01-03T11:{minute:02}:00Z"


def say(desk, numbers, label, minute, by="ann"):
    rows = [{"key": key, "label": label, "at": at(minute)} for key in bucket.keys(numbers)]
    return desk.save(rows, by=by, now=NOW)


def take_back(desk, numbers, said, minute, by="ann"):
    rows = [{"key": key, "label": "", "at": at(minute), "taken_back": at(said)} for key in bucket.keys(numbers)]
    return desk.save(rows, by=by, now=NOW)


def mine(desk, by="ann", count=50, **options):
    return desk.own_labels(by=by, count=count, **options)


def test_ones_own_labels_come_the_newest_first_with_what_the_filter_says(desk):
    say(desk, [3], "auto", 1)
    say(desk, [9], "auto", 2)
    say(desk, [4], "no_auto", 3, by="bob")

    assert [(one.key, one.label, one.photo.p) for one in mine(desk).given] == [
        (bucket.key(9), "auto", 0.05), (bucket.key(3), "auto", 0.95)
    ]  # fmt: skip
    assert [one.key for one in mine(desk, by="bob").given] == [bucket.key(4)]


def test_a_label_for_all_copies_of_a_picture_is_one(desk):
    say(desk, [0, 1, 2, 3], "auto", 1)

    found = {one.key: one.copies for one in mine(desk).given}

    assert sorted(map(len, found.values())) == [0, 2]
    say(desk, [0], "no_auto", 2)
    assert sorted((one.label, len(one.copies)) for one in mine(desk).given) == [
        ("auto", 0), ("auto", 1), ("no_auto", 0)
    ]  # fmt: skip


def test_pages_of_ones_own_labels_go_on_where_they_ended_though_minds_change(desk):
    for number in range(3, 9):
        say(desk, [number], "auto", number)
    first = mine(desk, count=2)
    say(desk, [8, 5], "no_auto", 30)
    second = mine(desk, count=2, past=first.past)

    assert [one.key for one in first.given] == bucket.keys([8, 7])
    assert [one.key for one in second.given] == bucket.keys([6, 4])
    assert (first.left, second.left) == (4, 1)
    assert [one.key for one in mine(desk, word="no_auto").given] == sorted(bucket.keys([8, 5]))
    with pytest.raises(InputError, match="The place among the labels has the time 'x'"):
        mine(desk, past="x y")


def test_labels_are_taken_back_by_their_time_and_the_photos_come_again(desk, session):
    say(desk, [3, 4], "auto", 1)
    say(desk, [5], "auto", 2)

    done = take_back(desk, [3, 4], 1, 5)

    assert (done.saved, done.refused, done.progress.labelled) == (2, {}, 1)
    assert list(current_labels(session)) == [bucket.key(5)]
    left = desk.next_batch(by="ann", how="random", after=0, count=50).photos
    assert {bucket.key(3), bucket.key(4)} <= {one.key for one in left}
    assert desk.save([{"key": "a/b.jpg", "label": "", "at": at(1)}], by="ann", now=NOW).saved == 0


def test_a_label_by_a_fast_clock_is_taken_back_too_and_no_older_one(desk, session):
    say(desk, [3], "no_auto", 1)
    fast = "2026-01-03T12:00:30Z"  # half a minute after NOW
    key = bucket.key(3)
    desk.save([{"key": key, "label": "auto", "at": fast}], by="ann", now=NOW)
    assert current_labels(session)[key].at == NOW

    back = {"key": key, "label": "", "at": "2026-01-03T12:00:40Z", "taken_back": fast}
    for _ in range(2):
        desk.save([back], by="ann", now=NOW + timedelta(minutes=1))

    assert current_labels(session)[key].label == "no_auto"


def test_who_changes_their_mind_on_the_page_is_in_no_conflict(desk, session):
    say(desk, [3], "auto", 1)
    say(desk, [3], "no_auto", 2)

    assert describe_conflicts(session) == "No photo was given different labels."
    assert [one.label for one in mine(desk).given] == ["no_auto"]


def test_examples_are_what_people_and_the_filter_agree_on(desk):
    say(desk, [0, 1, 3, 4], "auto", 1)
    say(desk, [4], "no_auto", 2, by="bob")  # who disagree
    say(desk, [9], "auto", 1)  # the filter says another thing
    say(desk, [10], "no_auto", 1)

    found = desk.examples("ann")

    assert {word: sorted(one.key for one in photos) for word, photos in found.items()} == {
        "auto": sorted([found["auto"][0].key, found["auto"][1].key]),
        "no_auto": [bucket.key(10)],
    }
    pictures = {one.key for one in found["auto"]}
    assert bucket.key(3) in pictures
    assert len(pictures & set(bucket.keys([0, 1]))) == 1, "one of a picture"


def test_new_is_what_counts_otherwise_than_at_a_time(desk):
    say(desk, [3, 4, 5], "auto", 1)
    since = NOW + timedelta(seconds=1)
    later = NOW + timedelta(minutes=1)
    rows = [
        {"key": bucket.key(3), "label": "no_auto", "at": at(50)},
        {"key": bucket.key(6), "label": "auto", "at": at(50)},
    ]
    desk.save(rows, by="ann", now=later)

    assert desk.new_since(since) == 2
    assert desk.new_since(datetime.min.replace(tzinfo=UTC)) == 4
    assert desk.new_since(later + timedelta(seconds=1)) == 0


def test_a_labelled_photo_is_found_by_its_name_and_no_other(desk):
    say(desk, [3], "auto", 1)
    assert desk.photo_named(bucket.key(3)) == bucket.key(3)
    with pytest.raises(InputError, match="Nobody has labelled"):
        desk.photo_named(bucket.key(4))
