import csv
import itertools
from pathlib import Path

import pytest

from carpipe import forms
from carpipe.errors import ConfigError, InputError
from carpipe.taxonomy.read import load, parse
from carpipe.taxonomy.rules import Taxonomy
from carpipe.taxonomy.slug import slug

# The published rules keep these names as they are; ours make them safe in folders and label files.
MADE_ASCII = {
    "bmw_1er-m-coupé": "bmw_1er-m-coupe",
    "citroen_c-elysée": "citroen_c-elysee",
    "lamborghini_huracán": "lamborghini_huracan",
    "skoda_rapid%2fspaceback": "skoda_rapid_spaceback",
    "smart_city-coupé%2fcity-cabrio": "smart_city-coupe-cabrio",
}
# Rows of the published report that name no class, and two names that it spells another way.
REPORT_TOTALS = {"accuracy", "macro avg", "weighted avg"}
REPORT_SPELLINGS = {"bmw_m1": "bmw_1er-m-coupe", "citroen_c-elysÃ©e": "citroen_c-elysee"}


def read_table(data: Path, name: str) -> list[list[str]]:
    with (data / "tables" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))[1:]


@pytest.fixture(scope="module")
def published() -> Taxonomy:
    return load("published")


def test_published_makes_512_classes_of_763_models(published: Taxonomy) -> None:
    classes = {published.class_of(model) for model in published.models}
    assert len(published.models) == 763
    assert len(classes - {None}) == 512
    assert len(published.erased) == 18


def test_published_equals_the_published_rules_row_by_row(published: Taxonomy, data: Path) -> None:
    expected = {model: MADE_ASCII.get(name, name) or None for model, name in read_table(data, "classes_763_to_512.csv")}
    assert {model: published.class_of(model) for model in published.models} == expected


def test_published_classes_are_those_of_the_published_report(published: Taxonomy, data: Path) -> None:
    names = {row[0] for row in read_table(data, "Report_test_final_top5.csv")} - REPORT_TOTALS
    expected = {REPORT_SPELLINGS.get(name, name) for name in names}
    assert {published.class_of(model) for model in published.models} - {None} == expected


def test_published_class_names_are_their_own_slugs(published: Taxonomy) -> None:
    names = {name for model in published.models if (name := published.class_of(model)) is not None}
    assert [name for name in names if slug(name) != name] == []


def test_identity_keeps_every_model() -> None:
    assert load("identity").class_of("mercedes-benz_v") == "mercedes-benz_v"


def test_a_model_written_in_nfd_finds_its_rule(published: Taxonomy) -> None:
    assert published.class_of("lamborghini_huraca\u0301n") == "lamborghini_huracan"


def test_unknown_models_are_kept_erased_or_refused() -> None:
    assert Taxonomy("t", unknown="keep").class_of("fiat_500") == "fiat_500"
    assert Taxonomy("t", unknown="erase").class_of("fiat_500") is None
    with pytest.raises(InputError, match="no rule for model 'fiat_500'"):
        Taxonomy("t", unknown="error").class_of("fiat_500")
    assert Taxonomy("t", unknown="error").class_or_none("fiat_500") is None


def test_canonical_yaml_reads_back_to_the_same_taxonomy(published: Taxonomy) -> None:
    again = parse(published.to_yaml(), name="again")
    assert again.to_yaml() == published.to_yaml()
    assert again.sha256 == published.sha256


def test_fingerprint_depends_on_rules_but_not_on_their_order() -> None:
    one = parse("version: 1\nclasses: {b: [b1, b2], a: [a1]}", name="one")
    same = parse("version: 1  # a comment\nclasses: {a: [a1], b: [b2, b1]}", name="same")
    other = parse("version: 1\nclasses: {b: [b1], a: [a1, b2]}", name="other")
    assert one.sha256 == same.sha256 != other.sha256


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("version: 1\nclasses: {a: [x], b: [x]}", "model 'x' has two rules, in classes.a and in classes.b"),
        ("version: 1\nclasses: {a: [x, x]}", "model 'x' has two rules, in classes.a and in classes.a"),
        ("version: 1\nunchanged: [x, x]", "model 'x' has two rules, in unchanged and in unchanged"),
        ("version: 1\nclasses: {a: [x]}\nerased: [x]", "'x' has two rules, in classes.a and in erased"),
        ("version: 1\nunchanged: [x]\nerased: [x]", "'x' has two rules, in unchanged and in erased"),
        (
            "version: 1\nclasses: {a: [x], b: [a]}",
            "classes.a: 'a' is also a model, and that one is under classes.b",
        ),
        (
            "version: 1\nclasses: {a: [x]}\nerased: [a]",
            "classes.a: 'a' is also a model, and that one is under erased",
        ),
        (
            "version: 1\nclasses: {a: [x]}\nunchanged: [a]",
            "'a' is also a model, and that one is under unchanged",
        ),
        (
            "version: 1\nclasses: {a: [c], b: [a], c: [b]}",
            "has 1 problem:\n- classes.a: a cycle, each name is a model of the next class: 'a' -> 'b' -> 'c' -> 'a'",
        ),
        (
            "version: 1\nclasses: {citroën_c4: [x], citroen_c4: [y]}",
            "classes: class names 'citroen_c4' and 'citroën_c4' have one ASCII slug, 'citroen_c4'",
        ),
        (
            "version: 1\nclasses: {citroen_c4: [x]}\nunchanged: [citroën_c4]",
            "class names 'citroen_c4' and 'citroën_c4' have one ASCII slug",
        ),
        ("version: 1\nclasses: {a/b: [x]}", "class name 'a/b' is empty or holds a slash"),
        ("version: 1\nclasses: {a b: [x]}", "class name 'a b' is empty or holds a slash, space"),
        ("version: 1\nclasses: {'': [x]}", "class name '' is empty"),
        ("version: 1\nunchanged: ['a b']", "unchanged: class name 'a b' is empty or holds"),
        ("version: 1\nclasses: {a: [' ']}", "classes.a: model name ' ' is empty"),
        ("version: 1\nclasses: {a: []}", "classes.a: no models"),
        ("version: 1\nclasses: {coupe\u0301: [x]}", "is not in Unicode NFC"),
        ("version: 1\nerased: [coupe\u0301]", "erased: model 'coupe\u0301' is not in Unicode NFC"),
        ("version: 1\nclasess: {a: [x]}", "unknown key 'clasess': expected version, description"),
        ("version: 1\nclasses:\n  a: [x]\n  b: [y]\n  a: [z]", "key 'a' is written twice, in lines 3 and 5"),
        ("version: 1\nclasses: {a: [x], a: [z]}", "key 'a' is written twice"),
        ("version: 1\nversion: 2", "key 'version' is written twice, in lines 1 and 2"),
        ("version: 1\nclasses: {a: x}", "classes.a: expected a list of models, got 'x'"),
        ("version: 1\nclasses: {a: [500]}", "classes.a: model 500 is not text; put it in quotes"),
        ("version: 1\nclasses: {500: [x]}", "class name 500 is not text"),
        ("version: 1\nclasses: [a]", "classes: expected class names with a list of models each"),
        ("version: 1\nerased: x", "erased: expected a list of models, got 'x'"),
        ("version: 1\nunknown: drop", "unknown: expected keep, erase, error, got 'drop'"),
        ("version: 1\ndescription: 3", "description: expected text, got 3"),
        ("classes: {a: [x]}", "version: expected a whole number from 1 up, got None"),
        ("version: yes", "version: expected a whole number from 1 up, got True"),
        ("- a", "the file must be a mapping with version"),
        ("version: [", "is not readable YAML"),
        ("version: !!python/object/apply:os.getcwd []", "is not readable YAML"),
    ],
)
def test_a_fault_in_the_file_is_named(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(text, name="mine")
    assert "taxonomy 'mine'" in str(error.value)
    assert complaint in str(error.value)


def test_all_faults_are_listed_at_once() -> None:
    with pytest.raises(ConfigError, match="has 2 problems"):
        parse("version: 1\nclasses: {a: [x], b: [x], c: []}", name="mine")


def test_load_reads_a_file_and_names_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("version: 3\nclasses: {small: [fiat_500, fiat_panda]}\n", "utf-8")
    assert load(str(path)).class_of("fiat_panda") == "small"
    with pytest.raises(ConfigError, match=r"no taxonomy 'pubished'.*identity, published"):
        load("pubished")


def test_load_refuses_other_encodings(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("version: 1\nerased: [citroen_c-elysée]\n".encode("latin-1"))
    with pytest.raises(ConfigError, match="must be UTF-8"):
        load(str(path))


BILLION = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in itertools.pairwise("abcdefghi")
)
MERGES = "a: &a {k: 1}\n" + "".join(
    f"{b}: &{b} {{<<: [{', '.join([f'*{a}'] * 10)}]}}\n" for a, b in itertools.pairwise("abcdefgh")
)


@pytest.mark.parametrize("committed", [True, False], ids=["committed", "given"])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BILLION, r"an alias \(\*\) is not possible here, in line 2, column"),
        (MERGES, r"an alias \(\*\) is not possible here, in line 2, column"),
        ("classes: " + "[" * 20_000, "it is nested too deep, in line 1, column"),
        ("classes: " + "{a: " * 20_000, "it is nested too deep, in line 1, column"),
        ("x" * 1_000_001, "has 1,000,001 characters; 1,000,000 are read at most"),
    ],
    ids=["aliases", "merges", "lists", "mappings", "length"],
)
def test_a_small_file_cannot_cost_much(text: str, reason: str, committed: bool) -> None:
    with pytest.raises(ConfigError, match=reason):
        parse(text, name="t", committed=committed)


@pytest.mark.parametrize("committed", [True, False], ids=["committed", "given"])
@pytest.mark.parametrize(
    "place", ["version: {}", "version: 1\nunchanged: [{}]", "{}: 1", "form: {}", "classes: {{{}: [a]}}"]
)
@pytest.mark.parametrize(
    "value",
    [
        "2020-13-45", "2020-01-01T99:00:00Z", "9" * 5000, "0x" + "f" * 5000, "1" + ":59" * 20_000,
        "1" + ":59" * 400 + ".5", "!!int ''", "!!int hunter2", "!!float hunter2", "!!bool hunter2",
        "!!timestamp hunter2", "!!binary hunter2", "!!set hunter2", "!!omap hunter2", '"\\UFFFFFFFF"', "!hunter2 x",
    ],
    ids=lambda value: value[:12],
)  # fmt: skip
def test_a_value_that_is_not_what_its_form_says_is_a_sentence(value: str, place: str, committed: bool) -> None:
    try:
        with pytest.raises(ConfigError) as refused:
            parse(place.format(value), name="t", committed=committed)
    except forms.LaterFormError:
        return
    assert "hunter2" not in str(refused.value).replace("!hunter2", "")
    assert len(str(refused.value)) < 500


def test_a_merge_is_no_rule() -> None:
    with pytest.raises(ConfigError, match=r"merge.*in line 2"):
        parse("version: 1\n<<: {unknown: erase}\n", name="t")


def test_what_is_not_yaml_is_not_repeated() -> None:
    """A parameter of a run names the file: it may be any of the worker's, and the log is read by many."""
    secret = "wJalrXUtnFEMI/K7MDENG"
    with pytest.raises(ConfigError, match=r"not readable YAML: .*in line 2") as refused:
        parse(f"[default]\naws_secret_access_key = {secret}\n", name="credentials")
    assert secret not in str(refused.value)
    assert refused.value.__cause__ is None
