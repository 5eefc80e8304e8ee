"""A taxonomy changed line by line: the rules are those that were asked for, and all else stays as it was written."""

import pytest

from carpipe.errors import ConfigError
from carpipe.taxonomy.edit import merged_models, regroup
from carpipe.taxonomy.read import parse, read_text

BLOCKS = """\
# Mine.
version: 3  # raise it
unknown: keep
classes:
  # The small ones.
  audi_a3:
    - audi_a3
    - audi_s3  # the fast one

  # The large ones.
  audi_a4:
    - audi_a4
    - audi_s4

# As they are.
unchanged:
  - audi_tt  # coupé
  - bmw_z3
erased: []
"""
FLOWS = """\
version: 1
classes:
  audi_a3: [audi_a3, "audi_s3"]  # small
  audi_a4: [audi_a4]
unchanged: [audi_tt]
"""


def rules(text):
    return parse(text, name="x").class_by_model


def test_a_merge_moves_lines_and_keeps_every_comment():
    edited = regroup(BLOCKS, {"audi_a3": "audi_a4", "audi_s3": "audi_a4"}, name="x")
    assert edited.comments
    assert rules(edited.text) == {**rules(BLOCKS), "audi_a3": "audi_a4", "audi_s3": "audi_a4"}
    for comment in ("# Mine.", "# raise it", "# The small ones.", "# The large ones.", "# As they are.", "# coupé"):
        assert comment in edited.text
    assert "version: 4  # raise it" in edited.text


def test_a_model_of_its_own_name_that_gets_company_becomes_a_class():
    edited = regroup(BLOCKS, {"bmw_z3": "audi_tt"}, name="x")
    assert edited.comments
    assert rules(edited.text) == {**rules(BLOCKS), "bmw_z3": "audi_tt"}
    assert parse(edited.text, name="x").classes["audi_tt"] == ("audi_tt", "bmw_z3")
    assert "unchanged: []" in edited.text


def test_a_split_makes_a_class_and_a_model_without_a_rule_gets_one():
    edited = regroup(BLOCKS, {"audi_s3": "audi_s3", "audi_q2": "audi_a3"}, name="x")
    assert edited.comments
    assert rules(edited.text) == {**rules(BLOCKS), "audi_s3": "audi_s3", "audi_q2": "audi_a3"}


def test_lists_in_brackets_stay_lists_in_brackets():
    edited = regroup(FLOWS, {"audi_a4": "audi_a3", "audi_q2": "audi_a3"}, name="x")
    assert edited.comments
    assert 'audi_a3: [audi_a3, "audi_s3", audi_a4, audi_q2]  # small' in edited.text
    assert "audi_a4:" not in edited.text


@pytest.mark.parametrize("text", ["version: 1\n", "version: 1", "version: 1\nunchanged: [a_b]\n", "version: 1\r\n"])
def test_a_taxonomy_without_classes_gets_some(text):
    edited = regroup(text, {"a_b": "a_b", "a_c": "a_b"}, name="x")
    assert rules(edited.text) == {"a_b": "a_b", "a_c": "a_b"}


def test_a_form_that_lines_cannot_change_is_written_anew():
    text = "version: 1\nclasses: {audi_a3: [audi_a3, audi_s3], audi_a4: [audi_a4]}  # mine\n"
    edited = regroup(text, {"audi_s3": "audi_a4"}, name="x")
    assert not edited.comments
    assert rules(edited.text) == {"audi_a3": "audi_a3", "audi_s3": "audi_a4", "audi_a4": "audi_a4"}


def test_where_nothing_moves_nothing_changes():
    assert regroup(BLOCKS, {"audi_s3": "audi_a3"}, name="x").text == BLOCKS


def test_names_that_yaml_would_read_otherwise_get_quotes():
    edited = regroup(BLOCKS, {"null": "audi_a3", "2014": "audi_a3", "a: b": "audi_a3", "smart_é": "audi_a3"}, name="x")
    assert edited.comments
    assert {"null", "2014", "a: b", "smart_é"} <= set(rules(edited.text))


def test_a_class_named_as_a_model_of_another_is_refused():
    with pytest.raises(ConfigError, match="audi_s3"):
        regroup(BLOCKS, {"audi_a4": "audi_s3"}, name="x")


def test_the_published_taxonomy_loses_only_what_moves():
    text = read_text("published")
    taxonomy = parse(text, name="published")
    found = merged_models(taxonomy, ["ford_transit", "ford_tourneo"], ["ford_tourneo-connect"])
    moves = {model: "ford_transit" for models in found.values() for model in models}
    edited = regroup(text, moves, name="published")
    assert edited.comments
    before, after = text.splitlines(), edited.text.splitlines()
    assert sorted(set(before) - set(after)) == ["  ford_tourneo:", "version: 1"]
    assert rules(edited.text) == {**rules(text), **moves}


def test_models_of_classes_are_those_of_the_rules_and_of_the_data():
    taxonomy = parse(BLOCKS, name="x")
    found = merged_models(taxonomy, ["audi_a3", "audi_q2"], ["audi_q2", "audi_a4", "Audi_S3"])
    assert found == {"audi_a3": {"audi_a3", "audi_s3"}, "audi_q2": {"audi_q2"}}
