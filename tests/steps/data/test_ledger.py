"""The ledger of the split: added to, never changed, and never read with a gap."""

import pandas as pd
import pytest

from carpipe.errors import ConflictError, MissingError
from carpipe.steps.data.ledger import LEDGER, append_ledger, read_ledger


def sides(**entries):
    return pd.Series(entries, dtype="str")


def test_an_empty_bucket_has_an_empty_ledger(session):
    generation, entries = read_ledger(session)

    assert (generation, len(entries)) == (0, 0)


def test_what_was_added_is_read_back_in_order(session):
    append_ledger(session, 0, sides(a="train", b="test"))
    append_ledger(session, 1, sides(c="val"))

    generation, entries = read_ledger(session)

    assert generation == 2
    assert entries.to_dict() == {"a": "train", "b": "test", "c": "val"}


def test_of_two_splits_that_read_the_same_ledger_one_must_read_again(session):
    append_ledger(session, 0, sides(a="train"))

    with pytest.raises(ConflictError):
        append_ledger(session, 0, sides(a="test"))

    assert read_ledger(session)[1].to_dict() == {"a": "train"}


def test_a_gap_is_an_error_and_no_reason_to_let_listings_change_sides(session):
    for generation, name in enumerate("abc"):
        append_ledger(session, generation, sides(**{name: "train"}))
    session.store.delete([f"{LEDGER}/000002.parquet"])

    with pytest.raises(MissingError, match="holds 2 of 3 generations"):
        read_ledger(session)


def test_a_ledger_that_is_behind_the_newest_dataset_is_an_error(session):
    append_ledger(session, 0, sides(a="train"))

    with pytest.raises(MissingError, match="holds 1 of 2 generations"):
        read_ledger(session, at_least=2)
