"""The gate says how many test photos people have moved; it decides nothing by it."""

import pandas as pd

from carpipe import manifest
from carpipe.evaluation.decision import Decision
from carpipe.manifest import Work
from carpipe.photos import to_parquet
from carpipe.steps import results
from carpipe.steps.data.ledger import append_ledger
from carpipe.steps.models.corrected import count_corrected, with_corrected

RULES = "version: 1\nunknown: keep\nclasses:\n  small: [fiat_500, fiat_panda]\nerased: [fiat_others]\n"
COLUMNS = ["key", "model", "class_name", "split", "dropped", "corrected", "corrected_model"]
ROWS = [
    ("a1", "audi_a3", "small", "test", None, "fiat_500", "fiat_500"),
    ("a2", "audi_a3", "small", "test", None, "fiat_500", "fiat_500"),
    ("b1", "fiat_500", "small", "test", None, "fiat_panda", "fiat_panda"),  # of the same class
    ("c1", "fiat_others", "audi_a3", "test", None, "audi_a3", "audi_a3"),  # the seller's is erased
    ("d1", "audi_a3", "small", "train", None, "fiat_500", "fiat_500"),
    ("e1", "audi_a3", "audi_a3", "test", None, None, None),
    ("f1", "audi_a3", "small", None, "over_cap", "fiat_500", "fiat_500"),
    ("g1", "audi_a3", "audi_a3", None, "said_not_a_car", "not-a-car", None),
    ("h1", "audi_a3", "audi_a3", None, "said_cannot_tell", "cannot-tell", None),
]


def dataset(session, rows=ROWS, columns=COLUMNS):
    photos = pd.DataFrame(rows, columns=COLUMNS)[columns].astype("str")
    photos = photos.assign(listing_uuid=photos["key"].str[0], vehicle=photos["key"].str[0])
    work = Work("dataset", 3, "all", {"columns": columns}, ("a", "b"), home="datasets")
    files = {results.PHOTOS: to_parquet(photos), results.TAXONOMY: RULES.encode()}
    return manifest.commit(session.store, work, files, counts={}, extra={})


def test_photos_that_were_moved_into_another_class_or_out_of_the_test_are_counted(session):
    data = dataset(session)
    assert count_corrected(session, data) == {"photos": 3, "vehicles": 2, "out": 0}, "before any split there is no side"
    append_ledger(session, 0, pd.Series({"g": "test", "h": "train", "a": "test"}))
    assert count_corrected(session, data) == {"photos": 3, "vehicles": 2, "out": 1}


def test_a_dataset_that_nobody_corrected_has_none(session):
    plain = dataset(session, columns=COLUMNS[:5])
    assert count_corrected(session, plain) == {"photos": 0, "vehicles": 0, "out": 0}


def test_a_decision_says_it_where_there_are_some():
    before = Decision("publish", ("it is better.",), {"photos": 9})
    none = with_corrected(before, {"photos": 0, "vehicles": 0, "out": 0})
    assert (none.checks, none.numbers["corrected"]) == ((), {"photos": 0, "vehicles": 0, "out": 0})
    some = with_corrected(before, {"photos": 1200, "vehicles": 31, "out": 2})
    assert (some.outcome, some.reasons) == ("publish", before.reasons)
    assert (
        "People have corrected listings: 1,200 test photos (of 31 vehicles) are of another class than their seller "
        "says, and 2 of no class are out of the test. Both models were judged by that."
    ) in some.render()
