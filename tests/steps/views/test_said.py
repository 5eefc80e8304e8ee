"""What people have said since the newest dataset, and since the newest car filter, out of a bucket made by hand."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from carpipe import manifest
from carpipe.manifest import Work
from carpipe.steps.listings.rows import known_of
from carpipe.steps.listings.store import import_corrections
from carpipe.steps.moves.store import FOLDER as MOVES
from carpipe.steps.viewpoints.store import import_views
from carpipe.steps.views.said import Said, labels_read_at, said_since

ONE, TWO = (str(uuid.UUID(int=number)) for number in (1, 2))
# Seconds that a result took: so it was begun before anything was said, or after all of it.
BEFORE, AFTER = 3600.0, -3600.0


@pytest.fixture
def told(session):
    """Two listings are corrected, of one the seller is right again; a model is moved; two photos have a view."""
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    known = known_of({ONE: "audi_a3", TWO: "audi_a3"}, {"audi_a4"})
    rows = [f"{ONE},audi_a4,2026-01-01", f"{TWO},audi_a4,2026-01-01", f"{TWO},seller-is-right,2026-01-02"]
    data = "\n".join(["listing,to,at", *rows]).encode()
    import_corrections(session, data, known=known, at=now)
    session.store.put(f"{MOVES}/by-hand.csv", b"model,to\naudi_a3,audi\n")
    import_views(session, b"key,view\na/1.jpg,front\na/2.jpg,back\n", at=now)
    return session


def made(session, *, seconds):
    """A dataset and a judged car filter that took so long."""
    key = ""
    for stage, home in (("classes", ""), ("split", ""), ("dataset", "datasets")):
        work = Work(stage, 1, "all", {"seconds": seconds}, (key,) if key else (), home=home)
        key = manifest.commit(session.store, work, {}, counts={}, seconds=seconds).key
    work = Work("evaluate", 1, "car_filter", {"seconds": seconds}, ())
    manifest.commit(session.store, work, {}, counts={}, seconds=seconds)


def test_all_is_new_where_nothing_was_made_yet(told):
    assert said_since(told, new_dataset=True) == Said(corrections=1, moves=1, views=2)


def test_what_was_said_after_the_work_was_begun_is_new(told):
    made(told, seconds=BEFORE)
    found = said_since(told, new_dataset=True)
    assert found == Said(corrections=1, moves=1, views=2)
    assert [*found.sentences()] == [
        "New since the newest dataset, and counted in the next one: 1 correction of a listing and 1 move of a model.",
        "New since the car filter was last trained, and counted when `train_filter` runs next: 2 view labels.",
    ]


def test_what_was_there_when_it_was_begun_is_not(told):
    made(told, seconds=AFTER)
    assert [*said_since(told, new_dataset=True).sentences()] == []


def test_a_filter_knows_the_labels_that_were_there_when_its_label_set_was_begun(session):
    long_ago = datetime.min.replace(tzinfo=UTC)
    assert labels_read_at(session, "cars") == labels_read_at(session, "views") == long_ago
    label_set = manifest.commit(session.store, Work("label_set", 1, "all", {}, ()), {}, counts={}, seconds=100.0)
    work = Work("evaluate", 1, "car_filter", {}, (label_set.key,))
    judged = manifest.commit(session.store, work, {}, counts={}, seconds=10.0, extra={"dataset": label_set.key})

    for question, done, seconds in (("cars", label_set, 100), ("views", judged, 10)):
        committed = manifest.committed_at(done, None)
        assert labels_read_at(session, question) == committed - timedelta(seconds=seconds)


def test_without_a_new_dataset_no_correction_is_new_to_it(told):
    assert said_since(told, new_dataset=False) == Said(corrections=0, moves=0, views=2)
