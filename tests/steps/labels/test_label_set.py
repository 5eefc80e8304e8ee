"""The label set: made of the labels that count, and of nothing else about them."""

import io
import unicodedata
import uuid

import numpy as np
import pytest
from PIL import Image

from carpipe.errors import UnavailableError
from carpipe.steps import results
from carpipe.steps.labels.label_set import label_set
from carpipe.steps.labels.store import import_labels

FIRST, SECOND, THIRD = "20260101T000000Z", "20260102T000000Z", "20260103T000000Z"


def csv_of(labels):
    return "\n".join(["key,label", *(f"{key},{label}" for key, label in labels.items())]).encode()


@pytest.fixture
def labels(session):
    """Forty listings of one photo each, half of them labelled `auto`."""
    rng = np.random.default_rng(1)  # names too: they decide which photos are in which part
    noise = rng.integers(0, 256, (40, 8, 12, 3), np.uint8)
    labels = {}
    for number, pixels in enumerate(noise):
        listing, photo = (uuid.UUID(bytes=rng.bytes(16), version=4) for _ in range(2))
        key = f"audi_a3_2001/{number}_1_{listing}_{photo}.jpg"
        file = io.BytesIO()
        Image.fromarray(pixels).resize((96, 64)).save(file, "JPEG")
        session.store.put(f"raw/{key}", file.getvalue())
        labels[key] = "auto" if number % 2 else "no_auto"
    return labels


@pytest.mark.slow  # it loads TensorFlow
def test_a_label_set_holds_the_labels_that_count_and_is_made_anew_only_where_they_change(session, labels):
    disputed = next(iter(labels))
    import_labels(session, csv_of({**labels, disputed: "auto"}), at=FIRST, by="ann")
    import_labels(session, csv_of({disputed: "no_auto"}), at=SECOND, by="ann")

    first = label_set(session)
    photos = results.read_photos(session.store, first)

    assert dict(zip(photos["key"], photos["class_name"], strict=True)) == labels
    import_labels(session, csv_of(labels), at=THIRD, by="bob")
    again = label_set(session)
    assert (again.key, again.fresh) == (first.key, False)
    import_labels(session, csv_of({disputed: "auto"}), at="20260104T000000Z")
    assert label_set(session).key != first.key


def test_labelled_photos_that_a_storage_in_trouble_spoils_are_not_lost(session, labels):
    import_labels(session, csv_of(labels), at=FIRST)
    for number, key in enumerate([*labels][:20]):
        session.store.put(f"raw/{key}", b"<html>502 Bad Gateway %d</html>" % number)

    with pytest.raises(UnavailableError, match=r"20 of the 40 labelled photos are unreadable \(20 error_page\)"):
        label_set(session)
    assert list(session.store.list_objects("stages/label_set")) == []


@pytest.mark.slow
def test_labels_find_photos_whose_names_another_uploader_has_decomposed(session, labels):
    first, label = next(iter(labels.items()))
    composed = first.replace("audi_a3", "citroën_c3")
    decomposed = unicodedata.normalize("NFD", composed)
    session.store.put(f"raw/{decomposed}", session.store.get(f"raw/{first}"))
    session.store.delete([f"raw/{first}"])
    labels = {key: label for key, label in labels.items() if key != first}

    import_labels(session, csv_of({**labels, composed: label}), at=FIRST)
    photos = results.read_photos(session.store, label_set(session))

    assert dict(zip(photos["key"], photos["class_name"], strict=True)) == {**labels, decomposed: label}
