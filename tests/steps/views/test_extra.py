"""A manifest that lacks what a page shows is refused by itself, with the name of what it lacks."""

import pytest

from carpipe.errors import InputError
from carpipe.manifest import Manifest
from carpipe.steps.views.extra import check_shown

WHOLE = {
    "models": {"classes": ["a"], "metrics": {"test_accuracy": float("nan")}, "dataset": "datasets/x/manifest.json"},
    "datasets": {"classes": ["a"], "splits": {"train": 1}, "vehicles": 2},
}


def made(home, *, counts=None, **extra):
    place = {"models": "models/classifier/x/manifest.json", "datasets": "datasets/x/manifest.json"}[home]
    return Manifest(
        key=place, stage="s", version=1, partition="all", config={}, weights={}, inputs=[], settings="", files={},
        counts={"in": 3, "kept": 1} if counts is None else counts, extra={**WHOLE[home], **extra},
    )  # fmt: skip


@pytest.mark.parametrize("home", WHOLE)
def test_what_has_all_comes_back_as_it_is(home):
    whole = made(home, later={"a": 1})
    assert check_shown(whole) is whole


@pytest.mark.parametrize(("home", "name"), [(home, name) for home, fields in WHOLE.items() for name in fields], ids=str)
@pytest.mark.parametrize("odd", [None, 1.5, b"x"], ids=["missing", "a number", "bytes"])
def test_what_is_missing_or_odd_is_named(home, name, odd):
    with pytest.raises(InputError, match=rf"cannot be shown: extra\.{name} is (missing|odd), expected"):
        check_shown(made(home, **{name: odd}))


def test_counts_are_numbers():
    with pytest.raises(InputError, match=r"extra\.splits holds what is no number"):
        check_shown(made("datasets", splits={"train": "1"}))
    for counts in ({}, {"in": 1}, {"in": 1, "kept": "1"}):
        with pytest.raises(InputError, match=r"counts\.(in|kept) is no whole number"):
            check_shown(made("datasets", counts=counts))
    assert check_shown(made("models", counts={}))
