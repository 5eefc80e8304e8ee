import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from carpipe.errors import CarpipeError, InputError
from carpipe.quality import suites
from carpipe.quality.engine import Engine, gxe
from carpipe.quality.validate import Verdict, validate_tables

CLASSES = ("audi_a1", "fiat_500")
Tables = dict[str, pd.DataFrame]


@pytest.fixture
def tables() -> Tables:
    """A good dataset: in each split, one vehicle of two photos per class."""
    audit = pd.DataFrame(
        [
            (
                f"{name}_2010/{split}-{photo}.jpg",
                f"sha-{name}-{split}-{photo}",
                f"{name}-{split}",
                name,
                split,
            )
            for split in ("train", "val", "test")
            for name in CLASSES
            for photo in (1, 2)
        ],
        columns=["key", "sha256", "vehicle", "class_name", "split"],
    )
    listings = audit.groupby(["class_name", "vehicle", "split"]).size().rename("nof_photos").reset_index()
    listings["car_model"] = listings["class_name"]
    listings["single_car_index"] = range(len(listings))
    listings["cumsum_by_model"] = listings.groupby("car_model")["nof_photos"].cumsum()
    listings["directory_size"], listings["updated_directory_size"] = 9, 6
    return {split: listings[listings["split"] == split].copy() for split in ("train", "val", "test")} | {"audit": audit}


def validate(tables: Tables, folder: Path, classes: tuple[str, ...] = CLASSES) -> Verdict:
    return validate_tables(tables, classes=classes, folder=folder)


def put(table: str, column: str, value: object) -> Callable[[Tables], None]:
    """A fault: `value` in the first row of a table's column."""

    def fault(tables: Tables) -> None:
        tables[table][column] = tables[table][column].astype(object)
        tables[table].loc[tables[table].index[0], column] = value

    return fault


def empty(table: str) -> Callable[[Tables], None]:
    return lambda tables: tables.update({table: tables[table].head(0)})


def without(table: str, column: str) -> Callable[[Tables], None]:
    return lambda tables: tables.update({table: tables[table].drop(columns=column)})


def doubled(table: str) -> Callable[[Tables], None]:
    return lambda tables: tables.update({table: pd.concat([tables[table], tables[table].head(1)])})


def nothing_to_train_on(tables: Tables) -> None:
    for name in ("train", "audit"):
        gone = (tables[name]["class_name"] == "fiat_500") & (tables[name]["split"] == "train")
        tables[name] = tables[name][~gone]


def test_good_tables_pass(tables: Tables, tmp_path: Path) -> None:
    verdict = validate(tables, tmp_path)
    assert verdict.success
    assert verdict.failed == ()
    assert verdict.expectations == 84
    assert (verdict.docs / "index.html").is_file()


def test_categories_pass_as_well(tables: Tables, tmp_path: Path) -> None:
    for name, table in tables.items():
        tables[name] = table.astype({"class_name": "category", "split": "category"})
    assert validate(tables, tmp_path).failed == ()


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        (empty("train"), "train: has rows: this is not so"),
        (empty("test"), "test: has rows: this is not so"),
        (empty("audit"), "audit: has rows: this is not so"),
        (without("val", "cumsum_by_model"), "missing 'cumsum_by_model'"),
        (without("val", "vehicle"), "missing 'vehicle'"),
        (without("val", "class_name"), "missing 'class_name'"),
        (without("audit", "split"), "missing 'split'"),
        (without("audit", "sha256"), "missing 'sha256'"),
        (put("train", "car_model", None), "train: car_model is never empty: 1 of 2 rows"),
        (put("train", "nof_photos", None), "train: nof_photos is never empty: 1 of 2 rows"),
        (put("train", "nof_photos", 0), "train: nof_photos is 1 or more: 1 of 2 rows break this, such as 0"),
        (
            put("train", "nof_photos", -3),
            "train: nof_photos is 1 or more: 1 of 2 rows break this, such as -3",
        ),
        (
            put("train", "nof_photos", "many"),
            "train: counts are numbers: 1 of 2 rows break this, such as 'nof_photos many'",
        ),
        (
            put("train", "nof_photos", 7),
            "train: nof_photos is at most cumsum_by_model: 1 of 2 rows break this, such as 4 with 7",
        ),
        (put("val", "cumsum_by_model", 8), "val: cumsum_by_model is at most updated_directory_size"),
        (put("val", "updated_directory_size", 10), "val: updated_directory_size is at most directory_size"),
        (put("val", "directory_size", 0), "val: directory_size is 1 or more"),
        (
            put("test", "class_name", "tank"),
            "test: the class is known: 1 of 2 rows break this, such as 'tank'",
        ),
        (
            put("test", "split", "train"),
            "test: the table holds split test only: 1 of 2 rows break this, such as 'train'",
        ),
        (
            put("test", "vehicle", "audi_a1-train"),
            "train: no vehicle is in two splits: 1 of 2 rows break this, such as 'audi_a1-train'",
        ),
        (
            put("audit", "key", "fiat_500_2010/val-1.jpg"),
            "audit: each photo is there once: 2 of 12 rows break this, such as 'fiat_500_2010/val-1.jpg'",
        ),
        (put("audit", "key", None), "audit: key is never empty"),
        (put("audit", "sha256", None), "audit: sha256 is never empty"),
        (
            put("audit", "sha256", "sha-fiat_500-test-1"),
            "audit: no picture (sha256) is in two splits: 2 of 12 rows break this, such as 'sha-fiat_500-test-1'",
        ),
        (
            put("audit", "vehicle", "fiat_500-val"),
            "audit: no vehicle is in two splits: 3 of 12 rows break this, such as 'fiat_500-val'",
        ),
        (
            put("audit", "class_name", "tank"),
            "audit: the class is known: 1 of 12 rows break this, such as 'tank'",
        ),
        (
            put("audit", "split", "holdout"),
            "audit: split is one of train, val, test: 1 of 12 rows break this, such as 'holdout'",
        ),
        (
            nothing_to_train_on,
            "classes: every class has photos to train on: 1 of 2 rows break this, such as 'fiat_500'",
        ),
        (
            doubled("val"),
            "classes: the split tables list as many photos of a class as the audit table holds: "
            "1 of 2 rows break this, such as 'audi_a1'",
        ),
    ],
)
def test_each_fault_is_found_by_name(
    tables: Tables, tmp_path: Path, fault: Callable[[Tables], None], complaint: str
) -> None:
    fault(tables)
    verdict = validate(tables, tmp_path)
    assert not verdict.success
    assert any(complaint in sentence for sentence in verdict.failed), verdict.failed
    page = (verdict.docs / "index.html").read_text("utf-8")
    assert page.count("<li>") == len(verdict.failed)


def test_a_class_without_any_photo_is_found(tables: Tables, tmp_path: Path) -> None:
    verdict = validate(tables, tmp_path, classes=(*CLASSES, "fiat_600"))
    assert verdict.failed == (
        "classes: every class has photos to train on: 1 of 3 rows break this, such as 'fiat_600'",
    )


def test_a_missing_table_is_an_error(tables: Tables, tmp_path: Path) -> None:
    del tables["val"]
    with pytest.raises(InputError, match="no table val to validate: got train, test, audit"):
        validate(tables, tmp_path)


def test_a_broken_check_is_not_bad_data(tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suites, "_applies", lambda *_: True)
    with pytest.raises(CarpipeError, match="'vehicle is never empty' on table 'val' is broken"):
        validate(tables | {"val": tables["val"].drop(columns="vehicle")}, tmp_path)


@pytest.mark.parametrize(
    "rule",
    [
        gxe.ExpectColumnValuesToBeUnique(column="absent", description="mine"),
        gxe.ExpectColumnValuesToBeBetween(column="name", min_value=1, description="mine"),
    ],
)
def test_the_engine_names_the_check_that_is_broken(tmp_path: Path, rule: gxe.Expectation) -> None:
    with pytest.raises(CarpipeError, match="check 'mine' on table 'cars' is broken"):
        Engine(tmp_path).run("cars", pd.DataFrame({"name": ["a", "b"]}), [rule])


def test_a_flat_exception_counts_as_broken(tmp_path: Path) -> None:
    class Raising(gxe.ExpectTableRowCountToBeBetween):
        def _validate(self, *_: object, **__: object) -> None:
            raise ZeroDivisionError("oops")

    with pytest.raises(CarpipeError, match="is broken, which says nothing of the data: oops"):
        Engine(tmp_path).run("cars", pd.DataFrame({"name": ["a"]}), [Raising(min_value=1)])


def test_the_report_is_json_and_the_same_for_the_same_data(tables: Tables, tmp_path: Path) -> None:
    put("audit", "class_name", "tank")(tables)
    one, other = validate(tables, tmp_path / "one"), validate(tables, tmp_path / "other")
    assert json.loads(json.dumps(one.report)) == one.report == other.report
    assert one.report["tables"]["audit"]["rows"] == 12
    assert one.report["tables"]["audit"]["failed"] == 1


def test_docs_load_nothing_and_run_no_scripts(tables: Tables, tmp_path: Path) -> None:
    pages = list(validate(tables, tmp_path).docs.rglob("*"))
    assert {page.suffix for page in pages if page.is_file()} == {".html"}
    html = "".join(page.read_text("utf-8") for page in pages if page.is_file())
    assert html.count("default-src 'none'") == 11
    assert not re.findall(r"<script|<link|<img|url\(|@import|https?://", html)
    # Good data shows no tag of the templates as text; &lt;DATAFRAME&gt; is their own wording.
    assert set(re.findall(r"&lt;/?\w+", html)) == {"&lt;DATAFRAME"}


def test_docs_link_to_pages_that_exist(tables: Tables, tmp_path: Path) -> None:
    docs = validate(tables, tmp_path).docs
    for page in docs.rglob("*.html"):
        for link in re.findall(r'href="([^"#]+)', page.read_text("utf-8")):
            assert (page.parent / link).is_file(), (page, link)
    index = (docs / "index.html").read_text("utf-8")
    assert len(re.findall(r'href="validations/', index)) == 5


def test_docs_show_hostile_values_as_text(tables: Tables, tmp_path: Path) -> None:
    put("audit", "class_name", '<meta http-equiv="refresh" content="0;url=x"><script>alert(1)</script>')(tables)
    docs = validate(tables, tmp_path).docs
    html = "".join(page.read_text("utf-8") for page in docs.rglob("*.html"))
    assert '&lt;meta http-equiv="refresh"' in html
    assert '<meta http-equiv="refresh"' not in html
    assert "<script" not in html


def test_a_second_run_replaces_the_docs(tables: Tables, tmp_path: Path) -> None:
    first = validate(tables, tmp_path)
    before = {page.name for page in first.docs.rglob("*.html")}
    second = validate(tables, tmp_path)
    assert sum(1 for _ in second.docs.rglob("*.html")) == 11
    assert {page.name for page in second.docs.rglob("*.html")} == before


def test_only_the_docs_are_written(tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("here", "out"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    validate(tables, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["data_docs"]
    assert not list((tmp_path / "here").iterdir())


def test_the_tables_stay_as_they_are(tables: Tables, tmp_path: Path) -> None:
    before = {name: table.copy() for name, table in tables.items()}
    validate(tables, tmp_path)
    for name, table in tables.items():
        pd.testing.assert_frame_equal(table, before[name])


def test_importing_the_packages_loads_nothing_heavy() -> None:
    code = (
        "import sys, carpipe.quality, carpipe.stages; "
        "print([name for name in ('great_expectations', 'pandas', 'yaml') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
