"""Rules match photos however people spell a model; what can match none is refused, with what may be meant."""

import pytest

from carpipe.errors import ConfigError
from carpipe.stages.inventory import list_photos
from carpipe.storage import ObjectInfo
from carpipe.taxonomy.check import check
from carpipe.taxonomy.read import load, parse
from carpipe.taxonomy.rules import Taxonomy

NAME = "1_1_fb43df70-43f5-4f56-9c4e-5fd8fd0ec0b1_351f318c-1111-4222-8333-444455556666.jpg"


def model_of(folder):
    return list_photos([ObjectInfo(f"{folder}/{NAME}", "e", 1)])["model"][0]


def test_rules_written_as_folders_are_hold(data):
    taxonomy = load(str(data / "cases" / "title_case.yaml"))
    found = {folder: taxonomy.class_of(model_of(folder)) for folder in ("VW_Golf_2014", "VW_Golf_Plus_2010")}
    assert set(found.values()) == {"vw_golf"}
    assert taxonomy.class_of(model_of("Mini_Cooper_2008")) is None


@pytest.mark.parametrize(
    ("rule", "folder"),
    [
        ("VW_Golf", "vw_golf_2014"),
        ("vw_golf", "VW_GOLF_2014"),
        ("' vw_golf '", "vw_golf_2014"),
        ("vw_golf", " vw_golf _2014"),
        ("vw_golf  plus", "vw_golf plus_2014"),
        ("vw_golf plus", "vw_golf\u00a0plus_2014"),
        ("CITROËN_C3", "citroe\u0308n_c3_2014"),
        ("škoda_octavia", "S\u030ckoda_Octavia_2014"),
    ],
)
def test_a_rule_and_a_folder_meet_in_the_middle(rule, folder):
    taxonomy = parse(f"version: 1\nclasses: {{mine: [{rule}]}}", name="mine")
    assert taxonomy.class_of(model_of(folder)) == "mine"
    assert parse(taxonomy.to_yaml(), name="again").sha256 == taxonomy.sha256


def test_unchanged_models_are_classes_of_the_name_that_photos_have():
    assert parse("version: 1\nunchanged: [VW_Golf]", name="mine").class_of("vw_golf") == "vw_golf"


def test_two_spellings_in_one_class_are_one_rule():
    taxonomy = parse("version: 1\nclasses: {golf: [VW_Golf, vw_golf, ' VW_GOLF']}", name="mine")
    assert taxonomy.classes == {"golf": ("vw_golf",)}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "classes: {a: [VW_Golf], b: [vw_golf]}",
            "classes.b: models 'VW_Golf' (in classes.a) and 'vw_golf' (in classes.b) are one, 'vw_golf'",
        ),
        ("classes: {a: ['vw_golf ']}\nerased: [vw_golf]", "models 'vw_golf ' (in classes.a) and 'vw_golf' (in erased)"),
        (
            "classes: {a: [VW_Golf_2014/]}",
            "classes.a: model 'VW_Golf_2014/' holds a slash, as folders do; did you mean",
        ),
        ("erased: [raw/VW_Golf_2014]", "did you mean 'vw_golf'?"),
        ("erased: [Peugeot_2008/]", "did you mean 'peugeot_2008'?"),
        ("erased: [/]", "erased: model '/' holds a slash, as folders do"),
        ('erased: ["vw_go\\x7flf"]', "holds control characters; did you mean 'vw_golf'?"),
        ("erased: [citroe\u0308n_c3]", "is not in Unicode NFC, though it may look like it; did you mean 'citroën_c3'?"),
    ],
)
def test_what_can_match_no_photo_is_refused_by_name(text, complaint):
    with pytest.raises(ConfigError) as error:
        parse(f"version: 1\n{text}", name="mine")
    assert complaint in str(error.value)


def test_a_year_behind_a_model_of_the_data_is_an_error():
    taxonomy = parse("version: 1\nclasses: {golf: [VW_Golf_2014]}", name="mine")
    (found, *_) = check(taxonomy, {"vw_golf": 3})
    assert (found.severity, found.where) == ("error", "classes.golf")
    assert found.sentence.endswith("did you mean 'vw_golf'?")


def test_a_model_that_is_a_year_is_none_behind_a_model():
    taxonomy = Taxonomy("t", unchanged=("peugeot_2008",), erased=("vw_golf_1999",))
    assert [one.severity for one in check(taxonomy, {"peugeot_2008": 3, "vw_golf_1999": 1, "vw_golf": 1})] == []


def test_a_rule_without_the_accent_of_the_data_is_told():
    found = check(Taxonomy("t", unchanged=("kia_cee",)), {"kia_cée": 3})
    assert "no photo has model 'kia_cee'; did you mean 'kia_cée'?" in [one.sentence for one in found]


def test_a_committed_taxonomy_means_what_it_meant():
    text = "version: 1\nclasses:\n  golf: [VW_Golf]\n"
    assert parse(text, name="old", committed=True).class_of("vw_golf") == "vw_golf"
    assert parse(text, name="new").class_of("vw_golf") == "golf"


@pytest.mark.parametrize("name", ["published", "identity"])
def test_the_packaged_ones_keep_their_fingerprints(name):
    expected = {
        "published": PUBLISHED,
        "identity": IDENTITY,
    }
    assert load(name).sha256 == expected[name]


# Of carpipe 0.1.0: datasets that were made by these rules are reused.
PUBLISHED = "190ece29d185ea0b2eebb55b79044e7dbf63e10e3450931179de0b81798458eb"
IDENTITY = "965c6b996bc103a34931670f27ab0d7839265e351323c13efdf232b327ec22a3"
