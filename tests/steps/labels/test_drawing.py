"""What is drawn to be labelled, as the page shows it: sorted as predicted, and each picture once."""

import uuid

import pytest

from carpipe.errors import InputError
from carpipe.steps.data.inventory import inventory
from carpipe.steps.labels import drawing
from carpipe.steps.labels.drawing import draw, draw_pictures
from carpipe.steps.labels.questions import VIEWS
from carpipe.steps.labels.store import import_labels
from tests.filtered import commit_filter

AT = "20260101T000000Z"
SAME = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"


def add_photos(session, count):
    names = [f"audi_a3_2001/{number}_1_{uuid.uuid4()}_{uuid.uuid4()}.jpg" for number in range(count)]
    for name in names:
        session.store.put(f"raw/{name}", name.encode())
    inventory(session)
    return names


def predicted(session, count=100, **options):
    return draw_pictures(session, count, how="predicted", seed=0, **options).drawn


def test_as_predicted_the_sure_come_first_by_answer_and_the_unsure_last(make_session):
    session = make_session(filter__threshold=0.7)
    a, b, c, d, e, f = add_photos(session, 6)
    scores = {a: 0.02, b: 0.99, c: 0.72, d: 0.3, e: 0.9, f: 0.6}
    commit_filter(session, scores.get)

    found = predicted(session)

    assert [one.key for one in found] == [b, e, a, d, f, c]
    assert [one.word for one in found] == ["auto", "auto", "no_auto", "no_auto", "no_auto", "auto"]
    assert [one.p for one in found] == [scores[one.key] for one in found]


def test_blocks_are_sorted_one_by_one_so_that_a_part_of_the_sample_is_fair(session, monkeypatch):
    monkeypatch.setattr(drawing, "BLOCK", 4)
    names = add_photos(session, 12)
    commit_filter(session, lambda key: 0.99 if names.index(key) % 2 else 0.01)

    words = [one.word for one in predicted(session)]

    drawn = [one.key for one in draw(session, 12, how="random", seed=0)]
    for start in (0, 4, 8):
        block = ["auto" if names.index(key) % 2 else "no_auto" for key in drawn[start : start + 4]]
        assert words[start : start + 4] == sorted(block)


def test_views_are_predicted_by_view(session):
    a, b, c = add_photos(session, 3)
    commit_filter(session, lambda key: 0.9, views={a: ("front", 0.4), b: ("back", 0.9), c: ("front", 0.8)}.get)

    assert [(one.key, one.word) for one in predicted(session, question=VIEWS)] == [
        (c, "front"), (b, "back"), (a, "front")
    ]  # fmt: skip


def test_nothing_is_predicted_before_the_filter_has_run(session):
    add_photos(session, 2)
    with pytest.raises(InputError, match="Nothing was filtered yet"):
        predicted(session)
    found = draw_pictures(session, 2, how="random", seed=0).drawn
    assert [(one.word, one.p) for one in found] == [("", None)] * 2


def test_a_random_sample_knows_what_the_filter_says_and_draws_as_before(session):
    names = add_photos(session, 8)
    before = [one.key for one in draw(session, 8, how="random", seed=3)]
    scores = {name: number / 10 for number, name in enumerate(names)}
    commit_filter(session, scores.get)

    found = draw(session, 8, how="random", seed=3)

    assert [one.key for one in found] == before
    assert [one.p for one in found] == [scores[one.key] for one in found]


def test_photos_of_one_picture_are_shown_once_with_their_copies(session):
    names = add_photos(session, 6)
    commit_filter(session, lambda key: 0.9, pictures=dict.fromkeys(names[:3], SAME))

    sample = draw_pictures(session, 100, how="random", seed=0)

    assert len(sample.drawn) == 4
    [shown] = [one for one in sample.drawn if one.copies]
    assert sorted([shown.key, *shown.copies]) == sorted(names[:3])
    assert {sample.by_name[name] for name in names[:3]} == {shown}
    assert len(draw(session, 100, how="random", seed=0)) == 6, "in a file each photo has its own line"


def test_a_copy_with_a_label_is_none_and_few_copies_go_with_a_label(session, monkeypatch):
    monkeypatch.setattr(drawing, "MAX_COPIES", 2)
    names = add_photos(session, 5)
    commit_filter(session, lambda key: 0.9, pictures=dict.fromkeys(names, SAME))
    import_labels(session, f"key,label\n{names[0]},auto".encode(), at=AT)

    sample = draw_pictures(session, 100, how="predicted", seed=0)

    [shown] = sample.drawn
    assert len(shown.copies) == 2
    assert names[0] not in (shown.key, *shown.copies)
    assert [(one.key, one.picture) for one in sample.labelled] == [(names[0], shown.picture)]


@pytest.mark.parametrize("hashes", ["0" * 32, "f" * 32, SAME[:16] + "0" * 16], ids=["flat", "ramp", "flat inside"])
def test_pictures_without_edges_are_told_apart_by_their_files(session, hashes):
    names = add_photos(session, 3)
    commit_filter(session, lambda key: 0.9, pictures=dict.fromkeys(names, hashes))

    assert [one.copies for one in draw_pictures(session, 9, how="random", seed=0).drawn] == [()] * 3
