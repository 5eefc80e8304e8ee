"""New models by name: how listings are pooled, what is more than chance, and what is left out."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from carpipe.evaluation.new_names import (
    CONFIDENCE,
    FEW,
    MIN_KNOWN,
    REFUSED,
    Name,
    at_least,
    chance_of,
    pool_listings,
    propose_names,
)
from carpipe.familiarity import Rule

RULE = Rule(1, 1, 0, threshold=-2.0, alike=0.0)
STRICT = Rule(1, 1, 0, threshold=10.0, alike=1.0)
ABOUT = Name(photos=80, needs=70, has_class=False, listed=True)


def photo(listing, familiarity, *, model="dacia_spring", has_class=False, answer="dacia_sandero", source=0, key=""):
    return {
        "key": key or f"{model}/{listing}", "listing_uuid": listing, "model": model, "has_class": has_class,
        "class_name": model if has_class else None, "answer": answer, "familiarity": familiarity, "source": source,
    }  # fmt: skip


def pooled(*photos, rules=(RULE,)):
    return pool_listings(pd.DataFrame(photos), rules).set_index("listing")


def listings_of(model, unknown, count, *, has_class=False, answers=("dacia_sandero",)):
    rows = [
        photo(
            f"{model}{n}", -3 if n < unknown else 0, model=model, has_class=has_class, answer=answers[n % len(answers)]
        )
        for n in range(count)
    ]
    return pool_listings(pd.DataFrame(rows), [RULE])


def test_the_photos_of_a_listing_are_judged_together():
    """The threshold of a mean of four is half of one photo's."""
    found = pooled(*(photo("four", -1.1, key=f"k{n}") for n in range(4)), photo("one", -1.1))

    assert found["is_unknown"].to_dict() == {"four": True, "one": False}
    assert found.loc["four", "photos"] == 4


def test_a_listing_is_judged_by_the_newest_model_that_saw_it_by_its_own_rule():
    found = pooled(
        photo("a", 0, source=1), photo("a", 0, source=0, key="k"), photo("b", 0, source=1), rules=(RULE, STRICT)
    )

    assert found["is_unknown"].to_dict() == {"a": False, "b": True}
    assert found["photos"].to_dict() == {"a": 1, "b": 1}


def test_where_nobody_can_tell_a_listing_is_not_unknown():
    found = pooled(photo("a", np.nan), photo("b", -9, source=1), rules=(None, RULE))

    assert found["is_unknown"].to_dict() == {"a": False, "b": True}
    assert np.isnan(found.loc["a", "familiarity"])


def test_a_name_of_which_more_is_unknown_than_chance_explains_is_new():
    every = pd.concat([
        listings_of("dacia_spring", 38, 41), listings_of("audi_a4-allrad", 1, 40),
        listings_of("bmw_3er", 4, 200, has_class=True), listings_of("rare", 4, FEW - 1), listings_of("erased", 9, 9),
    ])  # fmt: skip
    about = dict.fromkeys(["dacia_spring", "audi_a4-allrad", "rare"], ABOUT)

    found = propose_names(every, {**about, "erased": Name(9, 0, has_class=False, listed=False)})

    assert [(one.model, one.new) for one in found.proposals] == [("dacia_spring", True), ("audi_a4-allrad", False)]
    first = found.proposals[0]
    assert (first.listings, first.judged, first.unknown) == (41, 41, 38)
    assert (first.looks_like, first.votes, first.usual) == ("dacia_sandero", 41, pytest.approx(0))
    assert (first.alias, found.proposals[1].alias) == ("", "dacia_sandero")
    assert len(first.examples) == 6
    assert (found.few, found.erased) == (1, 1)


def test_a_name_whose_answers_are_spread_is_new_though_it_looks_familiar():
    """Of known cars 9 in 10 get their own class."""
    known = [listings_of(name, 0, 50, has_class=True, answers=[name] * 9 + ["x"]) for name in ("a", "b", "c")]
    sister = listings_of("sister", 0, 20, answers=["a", "b", "c"])
    renamed = listings_of("renamed", 0, 20, answers=["a"] * 9 + ["b"])

    found = propose_names(pd.concat([*known, sister, renamed]), {"sister": ABOUT, "renamed": ABOUT})

    told = {one.model: one for one in found.proposals}
    assert (told["sister"].new, told["sister"].more_unknown, told["sister"].alias) == (True, False, "")
    assert (told["renamed"].new, told["renamed"].alias) == (False, "a")
    assert told["renamed"].usual == pytest.approx(0.9)


def test_where_few_listings_are_known_nobody_can_say_that_answers_are_spread():
    known = listings_of("a", 0, MIN_KNOWN - 1, has_class=True, answers=["a"])
    sister = listings_of("sister", 0, 20, answers=["a", "b", "c"])

    [one] = propose_names(pd.concat([known, sister]), {"sister": ABOUT}).proposals

    assert (one.new, one.usual) == (False, None)


def test_the_bound_is_the_share_of_which_so_many_would_be_odd():
    for unknown, judged in ((1, 5), (3, 9), (38, 41)):
        low = at_least(unknown, judged)
        assert binom.sf(unknown - 1, judged, low) == pytest.approx(1 - CONFIDENCE)
    assert at_least(0, 10) == 0


def test_where_the_market_moves_on_chance_is_larger():
    calm, moved = listings_of("a", 0, 500, has_class=True), listings_of("a", 200, 500, has_class=True)

    assert chance_of(calm) == REFUSED
    assert 0.3 < chance_of(moved) < 0.4
    assert chance_of(calm.iloc[:0]) == REFUSED
