"""Labels in the bucket: append-only imports, the later one counts, and exports that change nothing."""

import hashlib
import json
from datetime import timedelta

import pytest

from carpipe import manifest
from carpipe.errors import InputError
from carpipe.manifest import Work
from carpipe.steps.labels.store import (
    current_labels,
    describe_conflicts,
    describe_labels,
    export_labels,
    import_labels,
    read_labels,
)
from carpipe.steps.upkeep.garbage import find_garbage

FIRST, SECOND, THIRD = "20260101T000000Z", "20260102T000000Z", "20260103T000000Z"


def csv_of(*rows, columns="key,label"):
    return "\n".join([columns, *rows]).encode()


def stored(session):
    return [info.key for info in session.store.list_objects("labels")]


def counted(session):
    return {key: label.label for key, label in current_labels(session).items()}


def test_an_import_is_one_object_that_says_who_and_when(session):
    done = import_labels(session, csv_of("a/1.jpg,auto", "a/2.jpg,"), at=FIRST, by="ann")

    assert (done.added, done.undecided) == (1, 1)
    assert stored(session) == [done.key]
    assert done.key.startswith(f"labels/car-filter/{FIRST}-")
    assert session.store.get(done.key) == b"key,label,by,at\na/1.jpg,auto,ann,2026-01-01T00:00:00Z\n"


def test_candidates_of_an_app_are_no_labels(session):
    import_labels(session, csv_of("a/1.jpg,auto"), at=FIRST)
    session.store.put("labels/car-filter/candidates/20260101/x.json", b"{}")

    assert counted(session) == {"a/1.jpg": "auto"}


def test_the_same_file_twice_is_one(session):
    first = import_labels(session, csv_of("a/1.jpg,auto"), at=FIRST)
    import_labels(session, csv_of("a/1.jpg,no_auto"), at=SECOND)
    again = import_labels(session, csv_of("a/1.jpg,auto"), at=THIRD)

    assert (again.key, again.added) == (first.key, 0)
    assert len(stored(session)) == 2
    assert counted(session) == {"a/1.jpg": "no_auto"}


@pytest.mark.parametrize("by", ["", "bob"])
def test_a_repetition_overrules_nobody_and_another_label_does(session, by):
    import_labels(session, csv_of("a/1.jpg,auto", "a/2.jpg,auto"), at=FIRST, by="ann")
    same_file = import_labels(session, csv_of("a/1.jpg,auto", "a/2.jpg,auto"), at=SECOND, by=by)
    repeats = import_labels(session, csv_of("a/2.jpg,auto", "a/1.jpg,auto"), at=SECOND, by=by)
    differs = import_labels(session, csv_of("a/1.jpg,auto", "a/2.jpg,no_auto"), at=THIRD, by=by)

    assert (same_file.added, repeats.added, differs.added) == (0, 0, 1)
    assert [(one.key, one.label, one.by) for one in current_labels(session).values()] == [
        ("a/1.jpg", "auto", "ann"),
        ("a/2.jpg", "no_auto", by),
    ]


def test_what_is_left_out_of_a_file_does_not_change_which_of_its_rows_counts(session):
    import_labels(session, csv_of("a/1.jpg,auto,2026-01-01", columns="key,label,at"), at=FIRST, by="ann")
    rows = ("a/1.jpg,auto,2026-01-03", "a/1.jpg,no_auto,2026-01-02")
    import_labels(session, csv_of(*rows, columns="key,label,at"), at=THIRD)

    assert counted(session) == {"a/1.jpg": "auto"}


def test_who_changes_their_mind_says_something_new(session):
    import_labels(session, csv_of("a/1.jpg,auto"), at=FIRST, by="ann")
    import_labels(session, csv_of("a/1.jpg,no_auto"), at=SECOND, by="bob")
    import_labels(session, csv_of("a/1.jpg,no_auto", "a/1.jpg,no_auto"), at=THIRD, by="ann")

    assert [label.by for label in read_labels(session)] == ["ann", "bob", "ann"]


def test_labels_take_any_case(session):
    import_labels(session, csv_of("a/1.jpg,Auto", "a/2.jpg, NO_AUTO "), at=FIRST)

    assert counted(session) == {"a/1.jpg": "auto", "a/2.jpg": "no_auto"}


def test_whom_the_file_names_gave_the_label_whoever_imports_it(session):
    import_labels(session, csv_of("a/1.jpg,auto,ann", "a/2.jpg,auto,", columns="key,label,by"), at=FIRST, by="bob")

    assert [label.by for label in read_labels(session)] == ["ann", "bob"]


def test_files_of_earlier_versions_go_on_to_be_read(session):
    old = csv_of("raw/a/1.jpg,auto", "a/2.jpg,no_auto", "a/3.jpg,")
    session.store.put(f"labels/car-filter/{SECOND}-{hashlib.sha256(old).hexdigest()[:12]}.csv", old)
    import_labels(session, csv_of("a/1.jpg,no_auto,2026-01-01", columns="key,label,at"), at=THIRD)

    assert counted(session) == {"a/1.jpg": "auto", "a/2.jpg": "no_auto"}
    assert import_labels(session, old, at=THIRD).added == 0


def test_a_file_put_there_by_hand_counts_from_when_it_was_written(session):
    import_labels(session, csv_of("a/1.jpg,auto"), at=FIRST)
    session.store.put("labels/car-filter/mine.csv", csv_of("a/1.jpg,no_auto"))

    assert counted(session) == {"a/1.jpg": "no_auto"}


def test_the_later_label_counts_by_its_own_time_before_that_of_the_import(session):
    rows = ["a/1.jpg,auto,2026-01-01T10:00:00+05:00", "a/2.jpg,auto,2025-12-24"]
    import_labels(
        session, csv_of("a/1.jpg,no_auto,2026-01-01T06:00:00Z", "a/2.jpg,no_auto,", columns="key,label,at"), at=SECOND
    )
    import_labels(session, csv_of(*rows, columns="key,label,at"), at=THIRD)

    assert counted(session) == {"a/1.jpg": "no_auto", "a/2.jpg": "no_auto"}


def test_of_equal_times_the_later_object_counts_and_in_it_the_lower_line(session):
    at = "2025-06-01"
    import_labels(session, csv_of(f"a/1.jpg,auto,{at}", f"a/2.jpg,auto,{at}", columns="key,label,at"), at=SECOND)
    import_labels(session, csv_of(f"a/1.jpg,no_auto,{at}", columns="key,label,at"), at=FIRST)
    import_labels(session, csv_of(f"a/2.jpg,auto,{at}", f"a/2.jpg,no_auto,{at}", columns="key,label,at"), at=THIRD)

    assert counted(session) == {"a/1.jpg": "auto", "a/2.jpg": "no_auto"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (csv_of("a/1.jpg,auto", "../2.jpg,auto"), "Line 3"),
        (csv_of("a/1.jpg,"), "no row has a label"),
        (b"", "no row has a label"),
        (
            csv_of("a/1.jpg,auto,2026-01-03T00:00:00Z", columns="key,label,at"),
            "Line 2 of the labels is from 2026-01-03T00:00:00Z, which is yet to come",
        ),
    ],
)
def test_of_a_file_with_a_bad_row_nothing_is_imported(session, data, message):
    with pytest.raises(InputError, match=message):
        import_labels(session, data, at=FIRST)

    assert stored(session) == []


def test_an_object_among_the_labels_that_cannot_be_read_is_named(session):
    session.store.put("labels/car-filter/notes.txt", b"ask Ann")

    with pytest.raises(
        InputError, match=r"labels/car-filter/notes.txt cannot be used, correct it or delete it: The labels"
    ):
        read_labels(session)


def test_no_labels_say_how_to_add_some(session):
    with pytest.raises(InputError, match="`carpipe labels import <file>`"):
        current_labels(session)


@pytest.fixture
def labelled(session):
    """Three photos, two of them disputed, by two people and one unknown."""
    import_labels(session, csv_of("a/1.jpg,auto", "a/2.jpg,auto", "a/3.jpg,auto"), at=FIRST)
    import_labels(session, csv_of("a/2.jpg,no_auto", "citroën_c3_2010/4.jpg,no_auto"), at=SECOND, by="ann")
    task = {
        "data": {"key": "a/1.jpg"},
        "annotations": [
            {
                "result": [{"value": {"choices": ["no_auto"]}}],
                "completed_by": 5,
                "updated_at": "2025-12-31T08:00:00.25Z",
            }
        ],
    }
    import_labels(session, json.dumps([task]).encode(), at=THIRD)
    return session


@pytest.mark.parametrize("name", ["out.csv", "out.json"])
def test_what_was_exported_and_imported_changes_nothing(labelled, make_session, tmp_path, name):
    before, objects = current_labels(labelled), stored(labelled)

    assert export_labels(labelled, tmp_path / name) == 4
    data = (tmp_path / name).read_bytes()
    done = import_labels(labelled, data, at="20270101T000000Z")

    assert (done.added, stored(labelled)) == (0, objects)
    elsewhere = make_session(car_filter__labels=f"other-{name[-3:]}")
    assert import_labels(elsewhere, data, at="20270101T000000Z").added == 4
    assert current_labels(elsewhere) == before


def test_an_older_export_does_not_bring_back_what_was_overruled(session, tmp_path):
    import_labels(session, csv_of("a/1.jpg,auto"), at=FIRST)
    export_labels(session, tmp_path / "old.csv")
    import_labels(session, csv_of("a/1.jpg,no_auto"), at=SECOND)

    assert import_labels(session, (tmp_path / "old.csv").read_bytes(), at=THIRD).added == 0
    assert counted(session) == {"a/1.jpg": "no_auto"}


def test_a_label_that_was_corrected_in_an_export_and_back_again(session, tmp_path):
    import_labels(session, csv_of("a/1.jpg,auto"), at=FIRST)
    export_labels(session, tmp_path / "out.csv")
    out = (tmp_path / "out.csv").read_bytes()

    import_labels(session, out.replace(b",auto", b",no_auto"), at=SECOND)
    assert counted(session) == {"a/1.jpg": "no_auto"}
    import_labels(session, out, at=THIRD)
    assert counted(session) == {"a/1.jpg": "auto"}
    # Said twice, told once.
    assert [line.split()[0] for line in describe_conflicts(session).splitlines()] == ["a/1.jpg", "no_auto", "auto"]


def test_tasks_for_label_studio_refer_to_the_photos_in_the_bucket(labelled, tmp_path):
    export_labels(labelled, tmp_path / "out.json")

    images = [task["data"]["image"] for task in json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))]
    assert images[-1] == f"{labelled.store.url}/raw/citroën_c3_2010/4.jpg"


@pytest.mark.parametrize(("name", "message"), [("out.xlsx", "ends in .csv"), ("there.csv", "may hold labels")])
def test_an_export_that_is_refused_writes_nothing(labelled, tmp_path, name, message):
    (tmp_path / "there.csv").write_text("mine")

    with pytest.raises(InputError, match=message):
        export_labels(labelled, tmp_path / name)

    assert [path.name for path in tmp_path.iterdir()] == ["there.csv"]
    assert (tmp_path / "there.csv").read_text() == "mine"


def test_conflicts_say_who_said_what_when_and_which_counts(labelled):
    assert describe_conflicts(labelled) == "\n".join(
        [
            "a/1.jpg",
            "  no_auto  2025-12-31T08:00:00.250000Z  user 5",
            "  auto     2026-01-01T00:00:00Z  (unknown)  (counts)",
            "a/2.jpg",
            "  auto     2026-01-01T00:00:00Z  (unknown)",
            "  no_auto  2026-01-02T00:00:00Z  ann  (counts)",
        ]
    )


def test_agreement_is_no_conflict(session):
    import_labels(session, csv_of("a/1.jpg,auto"), at=FIRST, by="ann")
    import_labels(session, csv_of("a/1.jpg,auto"), at=SECOND, by="bob")

    assert describe_conflicts(session) == "No photo was given different labels."


def test_the_status_counts_labels_by_who_gave_them(labelled):
    text = describe_labels(labelled)

    assert "4 photos are labelled: 2 auto, 2 no_auto" in text
    assert "2 of them were given different labels" in text
    assert [line.split() for line in text.splitlines()[-3:]] == [
        ["2", "0", "1", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "(unknown)"],
        ["0", "2", "0", "2026-01-02T00:00:00Z", "2026-01-02T00:00:00Z", "ann"],
        ["0", "0", "1", "2025-12-31T08:00:00Z", "2025-12-31T08:00:00Z", "user", "5"],
    ]


def test_garbage_is_found_where_a_label_set_names_its_files_as_input(session):
    """As those of earlier versions do."""
    import_labels(session, csv_of("a/1.jpg,auto"), at=FIRST)
    used = manifest.commit(session.store, Work("label_set", 1, "all", {}, tuple(stored(session))), {}, counts={})
    manifest.commit(session.store, Work("publish", 1, "all", {}, (used.key,), home="models/car-filter"), {}, counts={})
    idle = manifest.commit(session.store, Work("label_set", 1, "all", {"old": True}, ()), {}, counts={})
    now = session.store.head(idle.key).modified

    found = find_garbage(session, older_than=timedelta(0), now=now + timedelta(minutes=1))

    assert [info.key for info in found.objects] == [idle.key]
