from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from carpipe.taxonomy.check import check, kept_without_rule, render_findings
from carpipe.taxonomy.lint import Finding, lint
from carpipe.taxonomy.read import load
from carpipe.taxonomy.rules import Taxonomy, Unknown

SMALL = {"small": ("fiat_500", "fiat_panda")}


def found(taxonomy: Taxonomy, models: Mapping[str, int] | None = None) -> list[tuple[str, str, str, str]]:
    return [(one.severity, one.kind, one.where, one.sentence) for one in check(taxonomy, models)]


@pytest.mark.parametrize("name", ["published", "identity"])
def test_packaged_taxonomies_are_clean_alone_and_for_their_own_models(name: str) -> None:
    taxonomy = load(name)
    assert check(taxonomy) == []
    assert check(taxonomy, dict.fromkeys(taxonomy.models, 150)) == []


def test_a_cycle_is_one_error_and_a_chain_into_it_another() -> None:
    taxonomy = Taxonomy("t", classes={"start": ("x",), "a": ("b", "start"), "b": ("a",)})
    assert found(taxonomy) == [
        ("error", "chain", "classes.start", "'start' is also a model, and that one is under classes.a"),
        ("error", "cycle", "classes.a", "a cycle, each name is a model of the next class: 'a' -> 'b' -> 'a'"),
    ]


def test_a_class_of_its_own_models_name_is_no_cycle() -> None:
    assert lint(Taxonomy("t", classes={"fiat_500": ("fiat_500", "fiat_500c")})) == ()


@pytest.mark.parametrize(
    ("taxonomy", "kind", "where"),
    [
        (Taxonomy("t", classes={"a": ("x",), "b": ("x",)}), "double rule", "classes.b"),
        (Taxonomy("t", classes={"a": ()}), "orphan", "classes.a"),
        (Taxonomy("t", erased=("coupe\u0301",)), "name", "erased"),
        (Taxonomy("t", unchanged=("a b",)), "name", "unchanged"),
        (Taxonomy("t", unchanged=("škoda", "skoda")), "slug", "classes"),
    ],
)
def test_each_lint_is_an_error_with_its_place(taxonomy: Taxonomy, kind: str, where: str) -> None:
    assert [(one.severity, one.kind, one.where) for one in check(taxonomy)] == [("error", kind, where)]


def test_a_rule_that_no_photo_needs_is_a_note() -> None:
    taxonomy = Taxonomy("t", classes=SMALL, unchanged=("audi_a1",), erased=("fiat_others",))
    assert found(taxonomy, {"fiat_panda": 3, "audi_a1": 0}) == [
        ("note", "no photos", "classes.small", "no photo has model 'fiat_500'"),
        ("note", "no photos", "unchanged", "no photo has model 'audi_a1'"),
        ("note", "no photos", "erased", "no photo has model 'fiat_others'"),
    ]


def test_a_class_whose_models_have_no_photos_is_told_once() -> None:
    assert found(Taxonomy("t", classes=SMALL), {"audi_a1": 3}) == [
        ("note", "orphan", "classes.small", "no photo has any of its models")
    ]


@pytest.mark.parametrize("unchanged", [(), ("volkswagen_golf",)])
def test_a_class_whose_only_model_is_misspelt_is_told_with_the_model_it_means(unchanged: tuple[str, ...]) -> None:
    taxonomy = Taxonomy("t", classes={"golf2": ("volkswagen_glof",)}, unchanged=unchanged)
    findings = found(taxonomy, {"volkswagen_golf": 40, "audi_a1": 3})
    orphan = "no photo has any of its models; did you mean 'volkswagen_golf'?"
    assert ("note", "orphan", "classes.golf2", orphan) in findings


def test_a_class_without_photos_is_not_taken_for_one_of_another_car_that_has_a_rule() -> None:
    taxonomy = Taxonomy("t", classes={"max": ("ford_c-max",)}, unchanged=("ford_b-max",))
    assert "did you mean" not in render_findings(check(taxonomy, {"ford_b-max": 3}))


def test_a_class_of_several_misspelt_models_is_told_with_each_once() -> None:
    taxonomy = Taxonomy("t", classes={"small": ("fiat_pnda", "fiat_pandaa", "ford_feista", "ford_new")})
    notes = [one for one in check(taxonomy, {"fiat_panda": 3, "ford_fiesta": 3}) if one.kind == "orphan"]
    assert [one.sentence for one in notes] == [
        "no photo has any of its models; did you mean 'fiat_panda' or 'ford_fiesta'?"
    ]


def test_a_class_with_photos_under_its_own_name_is_no_orphan() -> None:
    kinds = {one.kind for one in check(Taxonomy("t", classes=SMALL), {"small": 3})}
    assert kinds == {"no photos"}


def test_a_misspelt_rule_is_told_with_the_model_it_means() -> None:
    taxonomy = Taxonomy("t", classes={"small": ("fiat_500", "fiat_pnda")})
    assert found(taxonomy, {"fiat_500": 2, "fiat_panda": 3}) == [
        ("note", "misspelt", "classes.small", "no photo has model 'fiat_pnda'; did you mean 'fiat_panda'?")
    ]


@pytest.mark.parametrize(
    ("rule", "model"),
    [
        ("bmw_316", "bmw_318"),
        ("audi_r8", "audi_q8"),
        ("mercedes-benz_cls", "mercedes-benz_x-class"),
        ("mercedes-benz_cls", "mercedes-benz_slc"),
    ],
)
def test_another_car_is_not_taken_for_a_misspelt_one(rule: str, model: str) -> None:
    assert found(Taxonomy("t", unchanged=(rule,)), {model: 3}) == [
        ("note", "no photos", "unchanged", f"no photo has model {rule!r}")
    ]


def test_a_model_that_has_a_rule_is_not_what_another_rule_means() -> None:
    taxonomy = Taxonomy("t", unchanged=("fiat_panda", "fiat_pnda"))
    assert [one.kind for one in check(taxonomy, {"fiat_panda": 3})] == ["no photos"]


@pytest.mark.parametrize(
    ("unknown", "expected"),
    [
        ("keep", []),
        ("error", [("error", "no rule", "data", "model 'fiat_pnda' has 1,200 photos and no rule")]),
        ("erase", [("note", "no rule", "data", "model 'fiat_pnda' has 1,200 photos and no rule; they are erased")]),
    ],
)
def test_a_model_without_a_rule_is_an_error_where_unknown_says_so(
    unknown: Unknown, expected: list[tuple[str, str, str, str]]
) -> None:
    taxonomy = Taxonomy("t", unknown=unknown, unchanged=("audi_a1",))
    assert found(taxonomy, {"audi_a1": 1, "fiat_pnda": 1200}) == expected


def test_models_that_no_rule_mentions_are_classes_where_unknown_keeps_them() -> None:
    models = {"fiat_500": 2, "fiat_pandaa": 3, "audi_a1": 1_200, "fiat_panda": 0}
    told = kept_without_rule(Taxonomy("t", unknown="keep", classes=SMALL), models)
    assert [str(one) for one in told] == [
        "data: model 'audi_a1' has 1,200 photos and no rule, so it is a class",
        "data: model 'fiat_pandaa' has 3 photos and no rule, so it is a class; did you mean 'fiat_panda'?",
    ]
    assert {one.severity for one in told} == {"note"}
    assert kept_without_rule(Taxonomy("t", unknown="keep"), models) == []
    assert kept_without_rule(Taxonomy("t", unknown="erase", classes=SMALL), models) == []


def test_a_model_without_a_rule_is_told_with_the_rule_it_may_want() -> None:
    findings = check(Taxonomy("t", unknown="error", classes=SMALL), {"fiat_500": 2, "fiat_pandaa": 3})
    assert str(findings[0]) == "data: model 'fiat_pandaa' has 3 photos and no rule; did you mean 'fiat_panda'?"


def test_models_in_nfd_have_their_rules() -> None:
    taxonomy = Taxonomy("t", unknown="error", erased=("bmw_coupé",))
    assert check(taxonomy, {"bmw_coupe\u0301": 3}) == []


def test_models_of_the_data_must_not_share_a_slug_with_a_class() -> None:
    taxonomy = Taxonomy("t", classes={"citroen_c4": ("citroen_c4-picasso",)})
    assert found(taxonomy, {"citroen_c4-picasso": 3, "citroën_c4": 2}) == [
        (
            "error", "slug", "data",
            "classes 'citroen_c4' and 'citroën_c4' have one ASCII slug, 'citroen_c4'; merge or rename them",
        )
    ]  # fmt: skip


def test_a_shared_slug_is_told_once() -> None:
    taxonomy = Taxonomy("t", unchanged=("škoda", "skoda"))
    assert check(taxonomy, {"škoda": 3, "skoda": 2}) == [*lint(taxonomy)]


def test_a_class_that_no_ascii_reader_can_read_is_a_note() -> None:
    places = [(one.severity, one.kind, one.where) for one in check(Taxonomy("t", unchanged=("лада",)), {"лада": 1})]
    assert places == [("note", "slug", "unchanged")]
    assert [one.where for one in check(Taxonomy("t"), {"лада": 1})] == ["data"]


def test_errors_come_first_and_notes_are_cut_by_kind() -> None:
    notes = [Finding("note", "no photos", "unchanged", f"note {i}") for i in range(4)]
    findings = [*notes, Finding("note", "misspelt", "erased", "hint"), Finding("error", "cycle", "classes.a", "bad")]
    assert render_findings(findings, max_findings=2).splitlines() == [
        "error  classes.a: bad",
        "note   erased: hint",
        "note   unchanged: note 0",
        "note   unchanged: note 1",
        "note   and 2 more of this kind (no photos)",
    ]
    assert len(render_findings(findings, max_findings=0).splitlines()) == 6


def test_check_puts_errors_before_notes() -> None:
    taxonomy = Taxonomy("t", unchanged=("skoda", "x"))
    assert [one.severity for one in check(taxonomy, {"skoda": 1, "škoda": 1})] == ["error", "note"]


def test_cars_that_two_sources_write_differently_are_recognised(data: Path) -> None:
    folders = [path.name.rpartition("_")[0] for path in (data / "raw").iterdir()]
    sentences = {one.sentence for one in check(load("published"), Counter(folders))}
    for rule, model in (("nissan_qashqai+2", "nissan_qashqai-2"), ("mitsubishi_l200", "mitsubishi_l-200")):
        assert f"no photo has model {rule!r}; did you mean {model!r}?" in sentences
