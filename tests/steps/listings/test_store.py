"""Corrections in the bucket: append-only, the later one counts, and people may disagree."""

import pytest

from carpipe.errors import InputError
from carpipe.steps.listings.rows import known_of
from carpipe.steps.listings.store import (
    conflicts,
    correct_listing,
    current_corrections,
    effective,
    export_corrections,
    import_corrections,
    read_corrections,
)

ONE, TWO, THREE = (f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2, 3))
FIRST, SECOND, THIRD = (f"2026-01-0{day}T00:00:00Z" for day in (1, 2, 3))
KNOWN = known_of({ONE: "audi_a3", TWO: "audi_a3", THREE: "bmw_3er"}, {"audi_a4", "small"})


def csv_of(*rows, columns="listing,to"):
    return "\n".join([columns, *rows]).encode()


def stored(session):
    return sorted(info.key for info in session.store.list_objects("labels"))


def said(session):
    return {listing: one.to for listing, one in current_corrections(session).items()}


def correct(session, listing, to, at=FIRST, by=""):
    return correct_listing(session, listing, to, known=KNOWN, at=at, by=by)


def test_a_correction_is_one_object_that_says_who_when_and_what_it_was(session):
    done = correct(session, ONE, "audi_a4", by=" ann ")
    [key] = stored(session)
    assert key.startswith("labels/classes/20260101T000000Z-")
    assert session.store.get(key).decode() == f"listing,from,to,by,at\n{ONE},audi_a3,audi_a4,ann,{FIRST}\n"
    assert (done.by, done.was) == ("ann", "audi_a3")
    assert correct(session, ONE, "small", at=SECOND).was == "audi_a4", "what it was taken for until then"


def test_nothing_is_kept_of_what_is_refused(session):
    for listing, to in ((ONE, "audi_a9"), (ONE, ""), ("x", "audi_a4"), (ONE.replace("1", "9"), "audi_a4")):
        with pytest.raises(InputError, match="The correction"):
            correct(session, listing, to)
    with pytest.raises(InputError, match="Line 3 of the corrections"):
        import_corrections(session, csv_of(f"{ONE},audi_a4", f"{TWO},audi_a9"), known=KNOWN, at=FIRST)
    with pytest.raises(InputError, match="no row has anything in the column `to`"):
        import_corrections(session, csv_of(f"{ONE},"), known=KNOWN, at=FIRST)
    assert stored(session) == []


def test_the_later_one_counts_and_that_the_seller_is_right_takes_it_back(session):
    correct(session, ONE, "audi_a4", at=SECOND)
    correct(session, ONE, "small", at=FIRST)
    assert said(session) == {ONE: "audi_a4"}
    assert effective(current_corrections(session)) == {ONE: "audi_a4"}
    correct(session, ONE, "seller-is-right", at=THIRD)
    assert said(session) == {ONE: "seller-is-right"}
    assert effective(current_corrections(session)) == {}
    assert len(stored(session)) == 3


def test_the_same_file_twice_is_one_and_so_is_an_export(session, tmp_path):
    rows = csv_of(f"{ONE},audi_a4", f"{TWO},not-a-car", f"{THREE},")
    first = import_corrections(session, rows, known=KNOWN, at=FIRST, by="ann")
    assert (first.added, first.undecided) == (2, 1)
    assert import_corrections(session, rows, known=KNOWN, at=SECOND, by="ann").added == 0
    assert export_corrections(session, tmp_path / "out.csv") == 2
    again = import_corrections(session, (tmp_path / "out.csv").read_bytes(), known=KNOWN, at=THIRD, by="bob")
    assert (again.added, len(stored(session))) == (0, 1)
    assert {one.by for one in read_corrections(session)} == {"ann"}


def test_an_export_that_is_refused_writes_nothing(session, tmp_path):
    with pytest.raises(InputError, match="There are no corrections under labels/classes/"):
        export_corrections(session, tmp_path / "out.csv")
    correct(session, ONE, "audi_a4")
    (tmp_path / "there.csv").write_text("mine")
    for name, message in (("out.json", "ends in .csv"), ("there.csv", "may hold corrections")):
        with pytest.raises(InputError, match=message):
            export_corrections(session, tmp_path / name)
    assert (tmp_path / "there.csv").read_text() == "mine"


def test_two_people_who_say_different_things_disagree_and_one_who_thinks_again_does_not(session):
    correct(session, ONE, "audi_a4", at=FIRST, by="ann")
    correct(session, ONE, "small", at=SECOND, by="ann")
    correct(session, TWO, "audi_a4", at=FIRST, by="ann")
    correct(session, TWO, "seller-is-right", at=SECOND, by="bob")
    correct(session, THREE, "audi_a4", at=FIRST, by="ann")
    correct(session, THREE, "small", at=SECOND, by="bob")
    correct(session, THREE, "small", at=THIRD, by="ann")
    assert [*conflicts(read_corrections(session))] == [TWO]


def test_a_file_that_somebody_put_there_counts_and_a_broken_one_is_named(session):
    session.store.put("labels/classes/mine.csv", csv_of(f"{ONE},gone_class"))
    assert said(session) == {ONE: "gone_class"}, "a name, or a listing, that is gone is no error"
    session.store.put("labels/classes/notes.txt", b"ask Ann")
    with pytest.raises(InputError, match=r"labels/classes/notes.txt cannot be used, correct it or delete it: The corr"):
        read_corrections(session)


def test_candidates_of_a_channel_of_that_name_are_no_corrections(session):
    session.store.put("labels/classes/candidates/20260101/x.json", b"{}")
    assert read_corrections(session) == []


def test_labels_of_the_car_filter_that_lie_there_are_left_alone(make_session, caplog):
    session = make_session(car_filter__labels="classes")
    session.store.put("labels/classes/20260101T000000Z-0.csv", b"key,label\na/1.jpg,auto\n")
    assert read_corrections(session) == []
    assert "no corrections of listings are read" in caplog.text
    with pytest.raises(InputError, match=r"car_filter\.labels"):
        correct(session, ONE, "audi_a4")
