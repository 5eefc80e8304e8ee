"""Models that are the same words in ASCII end in one class, early."""

from random import Random

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


@pytest.mark.parametrize(
    "taxonomy",
    [Taxonomy("t", unchanged=("citroen_c3",)), Taxonomy("t", classes={"citroen_c3": ("citroen_c3_picasso",)})],
)
def test_a_rule_settles_the_name_where_its_own_model_has_no_photos(taxonomy):
    assert classes(taxonomy, {"citroën_c3": 9, "citroèn_c3": 9}) == {
        "citroën_c3": "citroen_c3",
        "citroèn_c3": "citroen_c3",
    }


SPELLINGS = ("a_b", "ä_b", "â_b", "a b", "a_c", "á_c")


def random_taxonomy(random):
    """Rules for some spellings that have no faults of their own."""
    while True:
        places = {model: random.choice([*SPELLINGS, None, *[""] * 4]) for model in SPELLINGS}
        names = {name for name in places.values() if name and (places[name] != "" or random.random() < 0.5)}
        listed = {name: tuple(model for model in SPELLINGS if places[model] == name) for name in sorted(names)}
        alone = {model for model in SPELLINGS if listed.get(model) == (model,) and random.random() < 0.5}
        taxonomy = Taxonomy(
            "t",
            classes={name: models for name, models in listed.items() if name not in alone},
            unchanged=tuple(sorted(alone)),
            erased=tuple(model for model in SPELLINGS if places[model] is None),
        )
        if not lint(taxonomy):
            return taxonomy


@pytest.mark.parametrize("seed", range(300))
def test_no_rules_and_models_make_rules_that_cannot_be_read(seed):
    random = Random(seed)
    taxonomy = random_taxonomy(random)
    models = {model: random.randint(1, 3) for model in SPELLINGS if random.random() < 0.6}
    classes(taxonomy, models)


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
