"""Labels that are taken back, and minds that change: what counts then, who disagrees, and what older versions read."""

import pytest

from carpipe.errors import InputError
from carpipe.steps.labels.store import (
    current_labels,
    describe_conflicts,
    describe_labels,
    export_labels,
    import_labels,
    read_labels,
)
from carpipe.steps.viewpoints.store import current_views, import_views

FIRST, SECOND, THIRD, FOURTH = TIMES = [f"2026010{day}T000000Z" for day in (1, 2, 3, 4)]
AT = {time: f"2026-01-0{day}T00:00:00Z" for day, time in enumerate(TIMES, start=1)}


def say(session, label, at, by="ann", key="a/1.jpg"):
    return import_labels(session, f"key,label,by,at\n{key},{label},{by},{AT[at]}".encode(), at=at)


def take_back(session, said_at, at, by="ann", key="a/1.jpg"):
    data = f"key,label,taken_back\n{key},,{AT[said_at]}".encode()
    return import_labels(session, data, at=at, by=by)


def counted(session):
    return {key: (one.label, one.by) for key, one in current_labels(session).items()}


def test_a_label_that_is_taken_back_does_not_count(session):
    say(session, "auto", FIRST)
    say(session, "auto", FIRST, key="a/2.jpg")

    done = take_back(session, FIRST, SECOND)

    assert counted(session) == {"a/2.jpg": ("auto", "ann")}
    assert [one.key for one in read_labels(session)] == ["a/2.jpg"]
    assert session.store.get(done.key) == (
        b"key,label,by,at,taken_back\na/1.jpg,,ann,2026-01-02T00:00:00Z,2026-01-01T00:00:00Z\n"
    )


def test_what_was_said_before_counts_again(session):
    say(session, "auto", FIRST, by="bob")
    say(session, "no_auto", SECOND)
    assert counted(session) == {"a/1.jpg": ("no_auto", "ann")}

    take_back(session, SECOND, THIRD)

    assert counted(session) == {"a/1.jpg": ("auto", "bob")}
    assert describe_conflicts(session) == "No photo was given different labels."


def test_nobody_takes_back_what_others_said_and_nothing_is_taken_back_twice(session):
    say(session, "auto", FIRST)

    assert take_back(session, FIRST, SECOND, by="bob").added == 0
    assert take_back(session, SECOND, THIRD).added == 0
    assert counted(session) == {"a/1.jpg": ("auto", "ann")}
    assert [take_back(session, FIRST, at).added for at in (SECOND, THIRD)] == [1, 0]


def test_what_was_taken_back_may_be_said_again(session):
    say(session, "auto", FIRST)
    take_back(session, FIRST, SECOND)

    assert say(session, "auto", THIRD).added == 1
    assert counted(session) == {"a/1.jpg": ("auto", "ann")}


def test_who_changes_their_mind_is_in_no_conflict(session):
    say(session, "auto", FIRST)
    say(session, "no_auto", SECOND)

    assert counted(session) == {"a/1.jpg": ("no_auto", "ann")}
    assert describe_conflicts(session) == "No photo was given different labels."
    assert "0 of them were given different labels" in describe_labels(session)

    say(session, "auto", THIRD, by="bob")
    assert describe_conflicts(session).splitlines()[0] == "a/1.jpg"
    say(session, "auto", FOURTH)
    assert describe_conflicts(session) == "No photo was given different labels."


def test_what_was_taken_back_is_not_exported(session, tmp_path):
    say(session, "auto", FIRST)
    say(session, "auto", FIRST, key="a/2.jpg")
    take_back(session, FIRST, SECOND)

    assert export_labels(session, tmp_path / "out.csv") == 1
    assert (tmp_path / "out.csv").read_text().splitlines()[0] == "key,label,by,at"


def test_a_time_that_is_none_is_refused(session):
    with pytest.raises(InputError, match="has the time 'yesterday'"):
        import_labels(session, b"key,label,taken_back\na/1.jpg,,yesterday", at=FIRST)


def test_views_are_taken_back_alike(session):
    import_views(session, b"key,view\na/1.jpg,front\na/2.jpg,back", at=AT[FIRST], by="ann")
    import_views(session, f"key,view,taken_back\na/1.jpg,,{AT[FIRST]}".encode(), at=AT[SECOND], by="ann")

    assert {key: one.view for key, one in current_views(session).items()} == {"a/2.jpg": "back"}
