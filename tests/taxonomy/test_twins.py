"""Models that are the same words in ASCII end in one class, early."""

import pytest

from carpipe.taxonomy.lint import lint
from carpipe.taxonomy.read import load, parse
from carpipe.taxonomy.rules import Taxonomy
from carpipe.taxonomy.slug import slugs_of
from carpipe.taxonomy.twins import join_twins, told_twins


def classes(taxonomy, models):
    joined = join_twins(taxonomy, models)
    assert parse(joined.to_yaml(), name="again", committed=True).sha256 == joined.sha256
    found = {model: joined.class_of(model) for model in models}
    slugs_of(name for name in found.values() if name is not None)
    return found


@pytest.mark.parametrize(
    ("few", "many"),
    [
        ("citroen_c3", "citroën_c3"),
        ("citroën_c3", "citroen_c3"),
        ("vw_strasse", "vw_straße"),
        ("saab_skon", "saab_skøn"),
        ("fso_lada", "fso_łada"),
        ("vw_golf", "vw_ｇｏｌｆ"),
        ("vw_golf2", "vw_golf²"),
        ("skoda_rapid_spaceback", "skoda_rapid%2fspaceback"),
        ("alfa_romeo_mito", "alfa romeo_mito"),
    ],
)
def test_twins_are_one_class_named_by_the_larger(few, many):
    assert classes(Taxonomy("t"), {few: 10, many: 11}) == {few: many, many: many}


def test_a_rule_settles_the_name():
    assert classes(Taxonomy("t", unchanged=("citroen_c3",)), {"citroen_c3": 1, "citroën_c3": 9}) == {
        "citroen_c3": "citroen_c3",
        "citroën_c3": "citroen_c3",
    }
    named = Taxonomy("t", classes={"Citroen_C3": ("citroen_c3-pluriel",)})
    assert classes(named, {"citroën_c3": 9, "citroen_c3-pluriel": 1})["citroën_c3"] == "Citroen_C3"


def test_a_twin_follows_the_rule_of_its_model():
    taxonomy = Taxonomy("t", classes={"small": ("citroen_c3", "fiat_500")}, erased=("skoda_rapid",))
    found = classes(taxonomy, {"citroen_c3": 1, "citroën_c3": 9, "skoda_rapid": 3, "škoda_rapid": 2})
    assert found == {"citroen_c3": "small", "citroën_c3": "small", "skoda_rapid": None, "škoda_rapid": None}


def test_rules_that_are_there_stay():
    taxonomy = Taxonomy("t", classes={"a": ("citroen_c3",), "b": ("citroën_c3",)})
    models = {"citroen_c3": 1, "citroën_c3": 1}
    assert join_twins(taxonomy, models) is taxonomy
    deep = Taxonomy("t", classes={"citroën_c3": ("x_y",), "other": ("citroen_c3",)})
    assert lint(join_twins(deep, {"citroën_c3": 1, "citroen_c3": 1, "x_y": 1})) == ()


@pytest.mark.parametrize("name", ["published", "identity"])
def test_without_twins_nothing_changes(name):
    taxonomy = load(name)
    assert join_twins(taxonomy, {**dict.fromkeys(taxonomy.models, 1), "fiat_new": 1, "citroën_new": 3}) is taxonomy


@pytest.mark.parametrize("unknown", ["erase", "error"])
def test_models_without_a_class_have_no_twins(unknown):
    taxonomy = Taxonomy("t", unknown=unknown, unchanged=("citroen_c3",))
    assert join_twins(taxonomy, {"citroen_c3": 1, "citroën_c3": 1}) is taxonomy


def test_each_twin_is_told_with_what_settles_it():
    before = Taxonomy("t", erased=("skoda_rapid",))
    after = join_twins(before, {"citroen_c3": 1, "citroën_c3": 9, "skoda_rapid": 3, "škoda_rapid": 2})
    assert told_twins(before, after) == [
        "model 'citroen_c3' is in class 'citroën_c3' as its twin is: they are the same words in ASCII, 'citroen_c3'; "
        "a rule for it in the taxonomy decides otherwise",
        "model 'škoda_rapid' is erased as its twin is: they are the same words in ASCII, 'skoda_rapid'; "
        "a rule for it in the taxonomy decides otherwise",
    ]
