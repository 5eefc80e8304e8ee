"""Labels find their photos however either side writes the key; photos are fetched by the key that is really there."""

import unicodedata

import pytest

from carpipe.steps.data.inventory import inventory
from carpipe.steps.labels.label_set import _of_photos
from carpipe.steps.labels.sampling import sample
from carpipe.steps.labels.store import count_missing, current_labels, import_labels
from tests.plugins import bucket

NAME = bucket.key(1).split("/")[1]
MIXED = f"citroe\u0308n_c-elysée_2014/{NAME}"  # one letter decomposed, the other composed
FORMS = [MIXED, unicodedata.normalize("NFC", MIXED), unicodedata.normalize("NFD", MIXED)]


@pytest.mark.parametrize("stored", [*FORMS, f" {FORMS[1]}"])
@pytest.mark.parametrize("written", [*FORMS, f"raw/{FORMS[1]}", f'" {MIXED} "'])
def test_a_label_and_its_photo_meet(session, stored, written):
    session.store.put(f"raw/{stored}", bucket.jpeg(1))
    session.store.put(f"raw/{bucket.key(2)}", bucket.jpeg(2))
    inventory(session)
    labels = f"key,label\n{written},auto\n".encode()

    import_labels(session, labels, at="20260101T000000Z")

    assert count_missing(session, labels) == 0
    assert sample(session, 10, how="random", seed=0) == [bucket.key(2)]
    named, there = _of_photos(session, {key: label.label for key, label in current_labels(session).items()})
    assert named == {stored: "auto"}
    assert [info.key for info in there] == [stored]
    assert session.store.get(f"raw/{there[0].key}") == bucket.jpeg(1)
