import json
from dataclasses import replace

import pytest

from carpipe.taxonomy.diff import Move, class_map, diff, render_diff
from carpipe.taxonomy.read import load, parse
from carpipe.taxonomy.rules import Taxonomy

OLD = Taxonomy("old", classes={"small": ("fiat_500", "fiat_panda")}, unchanged=("audi_a1",), erased=("mini_one",))
MODELS = {"fiat_500": 5, "fiat_panda": 3, "audi_a1": 2, "mini_one": 4}


@pytest.fixture(scope="module")
def published() -> Taxonomy:
    return load("published")


def test_no_change_is_no_diff(published: Taxonomy) -> None:
    again = parse(published.to_yaml(), name="again")
    found = diff(published, again, {"bmw_316": 10})
    assert (found.moves, found.renamed, found.merged, found.split) == ((), {}, {}, {})
    assert class_map(published, again, {"bmw_316": 10, "mini_one": 3}) == {}
    assert render_diff(found).endswith("512 -> 512 classes; every model keeps its class")


def test_identity_to_published_is_the_published_merge(published: Taxonomy) -> None:
    found = diff(load("identity"), published)
    assert (found.models, found.old_classes, found.new_classes) == (763, 763, 512)
    assert found.vanished == tuple(sorted(published.erased))
    assert (found.appeared, found.split) == ((), {})
    assert found.renamed["bmw_1er-m-coupé"] == "bmw_1er-m-coupe"
    assert found.merged["bmw_x4"] == ("bmw_x4", "bmw_x4-m")
    # 763 models, less 18 erased; a merge of n classes leaves one.
    assert 763 - 18 - sum(len(classes) - 1 for classes in found.merged.values()) == 512
    assert found.photos is found.moved_photos is None


def test_published_to_identity_is_the_same_backwards(published: Taxonomy) -> None:
    forth, back = diff(load("identity"), published), diff(published, load("identity"))
    assert (back.split, back.merged, back.appeared) == (forth.merged, forth.split, forth.vanished)
    assert back.renamed == {new: old for old, new in forth.renamed.items()}


def test_a_hand_edited_copy_of_published_differs_where_it_was_edited(published: Taxonomy) -> None:
    edited = published.to_yaml().replace("- mini_one\n", "").replace("  - bmw_x4-m\n", "")
    found = diff(published, parse(edited, name="edited"), {"mini_one": 30, "bmw_x4": 70, "bmw_x4-m": 7})
    assert found.moves == (Move("bmw_x4-m", "bmw_x4", "bmw_x4-m", 7), Move("mini_one", None, "mini_one", 30))
    assert (found.photos, found.moved_photos) == (107, 37)
    assert found.split == {"bmw_x4": ("bmw_x4", "bmw_x4-m")}
    assert found.appeared == ("mini_one",)
    assert (found.renamed, found.merged, found.vanished) == ({}, {}, ())


def test_each_class_is_told_by_what_becomes_of_its_models() -> None:
    new = Taxonomy("new", classes={"A1": ("audi_a1",), "mixed": ("fiat_500", "mini_one")}, erased=("fiat_panda",))
    found = diff(OLD, new, MODELS)
    assert found.renamed == {"audi_a1": "A1", "small": "mixed"}
    assert (found.merged, found.split, found.appeared, found.vanished) == ({}, {}, (), ())
    assert [(move.model, move.old, move.new) for move in found.moves] == [
        ("audi_a1", "audi_a1", "A1"),
        ("fiat_500", "small", "mixed"),
        ("fiat_panda", "small", None),
        ("mini_one", None, "mixed"),
    ]


def test_a_class_may_be_split_and_its_parts_merged() -> None:
    found = diff(OLD, Taxonomy("new", classes={"mixed": ("fiat_500", "audi_a1")}, erased=("mini_one",)), MODELS)
    assert found.split == {"small": ("fiat_panda", "mixed")}
    assert found.merged == {"mixed": ("audi_a1", "small")}
    assert found.renamed == {}


def test_classes_that_swap_names_are_renamed() -> None:
    found = diff(OLD, Taxonomy("new", classes={"b": ("audi_a1",), "audi_a1": ("fiat_500", "fiat_panda")}))
    assert found.renamed == {"audi_a1": "b", "small": "audi_a1"}


def test_models_that_unknown_refuses_have_no_class() -> None:
    found = diff(Taxonomy("keep"), Taxonomy("strict", unknown="error"), {"fiat_500": 5})
    assert found.moves == (Move("fiat_500", "fiat_500", None, 5),)
    assert found.vanished == ("fiat_500",)


def test_models_of_the_data_count_once_however_they_are_written() -> None:
    old, new, models = Taxonomy("old"), Taxonomy("new", erased=("coupé",)), {"coupe\u0301": 2, "coupé": 3, "x": 0}
    assert diff(old, new, models).moves == (Move("coupé", "coupé", None, 5),)
    assert class_map(old, Taxonomy("new", unknown="erase"), models) == {"coupé": {"": 5}}


def test_a_class_map_holds_all_photos_of_the_classes_that_change() -> None:
    new = replace(OLD, name="new", classes={"small": ("fiat_500",)}, erased=("fiat_panda",))
    assert class_map(OLD, new, MODELS) == {"": {"mini_one": 4}, "small": {"": 3, "small": 5}}
    counts = class_map(OLD, new, MODELS | {"bmw_316": 9, "smart_roadster": 0})
    assert json.loads(json.dumps(counts)) == counts == {"": {"mini_one": 4}, "small": {"": 3, "small": 5}}


def test_a_class_map_adds_up_models() -> None:
    new = Taxonomy("new", classes={"tiny": ("fiat_500", "fiat_panda")}, unchanged=("audi_a1",), erased=("mini_one",))
    assert class_map(OLD, new, MODELS) == {"small": {"tiny": 8}}


def test_a_diff_reads_as_text() -> None:
    new = Taxonomy("new", version=2, classes={"mixed": ("fiat_500", "audi_a1")}, erased=("fiat_panda",))
    assert render_diff(diff(OLD, new, MODELS)).splitlines() == [
        "old version 1 -> new version 2: 2 -> 2 classes; 4 of 4 models get another class, 14 of 14 photos",
        "",
        "merged (1)",
        "  mixed <- audi_a1, small",
        "",
        "appeared (1)",
        "  mini_one",
        "",
        "models (4)",
        "  audi_a1: audi_a1 -> mixed  2 photos",
        "  fiat_500: small -> mixed  5 photos",
        "  fiat_panda: small -> (no class)  3 photos",
        "  mini_one: (no class) -> mini_one  4 photos",
    ]
    assert "photos" not in render_diff(diff(OLD, new))


def test_rules_for_models_without_photos_can_be_left_out():
    new = Taxonomy("new", classes={"mixed": ("fiat_500", "audi_a1", "trabant_601")})

    found = diff(OLD, new, MODELS, with_photos_only=True)

    assert {move.model for move in found.moves} <= set(MODELS)
    assert "trabant_601" in {move.model for move in diff(OLD, new, MODELS).moves}
    assert "trabant_601" not in render_diff(found)
