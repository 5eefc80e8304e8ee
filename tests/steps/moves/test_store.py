"""Moves in the bucket: append-only, the later one counts, and a taxonomy stays one."""

import pytest

from carpipe.errors import ConfigError, InputError
from carpipe.steps.moves.store import (
    current_moves,
    current_taxonomy,
    describe_moves,
    effective,
    move_model,
    with_moves,
)
from carpipe.steps.session import open_session
from carpipe.taxonomy.read import parse
from tests.conftest import make_config

FIRST, SECOND, THIRD = (f"2026-01-0{day}T00:00:00Z" for day in (1, 2, 3))
RULES = parse("version: 1\nclasses:\n  small: [audi_a3, vw_polo]\nunchanged: [audi_a4]\n", name="mine")
MODELS = ["audi_a3", "audi_a4_avant", "citroën_c3"]


def move(session, model, to, at=FIRST, by="ann", why=""):
    return move_model(session, model, to, taxonomy=RULES, models=MODELS, at=at, by=by, why=why)


def stored(session):
    return sorted(info.key for info in session.store.list_objects("labels"))


def test_a_move_is_one_object_that_says_who_when_and_why(session):
    move(session, " Audi_A4_Avant ", "audi_a4", why="the same car")
    [key] = stored(session)
    assert key.startswith("labels/taxonomy/20260101T000000Z-")
    text = session.store.get(key).decode()
    assert text == f"model,to,by,at,why\naudi_a4_avant,audi_a4,ann,{FIRST},the same car\n"
    assert with_moves(RULES, effective(current_moves(session))).class_of("audi_a4_avant") == "audi_a4"
    assert move(session, "citroe\u0308n_c3", "small").model == "citroën_c3", "letters are composed"


def test_the_later_one_counts_and_by_taxonomy_takes_it_back(session):
    move(session, "audi_a3", "audi_a4", at=SECOND)
    move(session, "audi_a3", "large", at=FIRST)
    assert effective(current_moves(session)) == {"audi_a3": "audi_a4"}
    move(session, "audi_a3", "By-Taxonomy", at=THIRD)
    assert effective(current_moves(session)) == {}
    assert [line.rstrip().endswith("(no longer)") for line in describe_moves(session).splitlines()] == [
        True, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "to", "says"),
    [
        ("audi_a4_avan", "audi_a4", "Did you mean 'audi_a4_avant'"),
        ("zz", "audi_a4", "No photo is of model 'zz'"),
        ("audi_a3", "a/b", "no name of a model or a class"),
        ("", "audi_a4", "no name of a model or a class"),
        ("audi_a3", "", "no name of a model or a class"),
        ("audi_a3", "x\ty", "no name of a model or a class"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_kept(session, model, to, says):
    with pytest.raises(InputError, match=says):
        move(session, model, to)
    with pytest.raises(InputError, match="expected 500 characters at most"):
        move(session, "audi_a3", "audi_a4", why="x" * 501)
    assert stored(session) == []


def test_a_taxonomy_that_would_be_none_is_refused_and_says_by_which_move(session):
    move(session, "audi_a4", "small")
    with pytest.raises(ConfigError, match=r"(?s)audi_a3 to audi_a4, audi_a4 to small.*takes one back"):
        move(session, "audi_a3", "audi_a4", at=SECOND)
    assert effective(current_moves(session)) == {"audi_a4": "small"}


def test_a_run_uses_the_file_with_the_moves_and_without_moves_the_file_itself(session, tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text(RULES.to_yaml())
    before = current_taxonomy(session, str(mine))
    assert before.sha256 == RULES.sha256, "fingerprints are those of before there could be moves"
    move(session, "audi_a4_avant", "audi_a4")
    after = current_taxonomy(session, str(mine))
    assert (after.name, after.version) == ("mine", 1)
    assert after.class_by_model == {**RULES.class_by_model, "audi_a4_avant": "audi_a4"}
    assert mine.read_text() == RULES.to_yaml()


def test_an_object_that_cannot_be_read_is_named(session):
    session.store.put("labels/taxonomy/mine.csv", b"model,to\naudi_a3,a/b\n")
    with pytest.raises(InputError, match=r"labels/taxonomy/mine\.csv cannot be used.*Line 2 of the moves"):
        current_taxonomy(session)


def test_labels_of_the_car_filter_that_lie_there_are_none(session):
    session.store.put("labels/taxonomy/x.csv", b"key,label\na,auto\n")
    taken = open_session(make_config(session.store.url, **{"car_filter.labels": "taxonomy"}))
    assert current_moves(taken) == {}
    with pytest.raises(InputError, match=r"holds labels of the car filter"):
        move(taken, "audi_a3", "audi_a4")
