import json
import re
import subprocess
import sys
from contextlib import chdir
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from carpipe.errors import CarpipeError, InputError
from carpipe.validation import suites
from carpipe.validation.engine import Engine, gxe
from carpipe.validation.validate import Verdict
from tests.validation.conftest import CLASSES, LIMITS, Tables, draw_photos, to_tables, validate


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    """Of the good dataset; run in an empty folder beside its output, on tables that nobody else has."""
    folder = tmp_path_factory.mktemp("good")
    (folder / "here").mkdir()
    (folder / "out").mkdir()
    with chdir(folder / "here"):
        return validate(to_tables(draw_photos()), folder / "out")


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    """Of the good dataset with a hostile class name and a class without photos."""
    tables = to_tables(draw_photos())
    tables["audit"]["class_name"] = [HOSTILE, *tables["audit"]["class_name"][1:]]
    return validate(tables, tmp_path_factory.mktemp("bad"), classes=(*CLASSES, "fiat_600"))


HOSTILE = '<meta http-equiv="refresh" content="0;url=x"><script>alert(1)</script>'


def test_good_tables_pass(verdict: Verdict) -> None:
    assert verdict.success
    assert verdict.failed == ()
    assert verdict.expectations == 68
    assert (verdict.docs / "index.html").is_file()


def test_bad_tables_fail_with_a_line_for_each_expectation(bad: Verdict) -> None:
    assert not bad.success
    assert bad.failed == (
        f"audit: the class is known: 1 of 86 rows break this, such as {HOSTILE!r}",
        "classes: each class has photos in train, val and test: "
        "1 of 4 classes break this, such as 'fiat_600: no train, val, test'",
        "classes: the split tables list as many photos of a class as the audit table holds: "
        "1 of 12 counts break this, such as 'audi_a1: train lists 28 of 27'",
    )
    assert (bad.docs / "index.html").read_text("utf-8").count("<li>") == 3


def test_the_report_is_json_and_says_what_failed_where(bad: Verdict) -> None:
    assert json.loads(json.dumps(bad.report)) == bad.report
    assert bad.report["tables"]["audit"]["rows"] == 86
    assert {name: table["failed"] for name, table in bad.report["tables"].items() if table["failed"]} == {
        "audit": 1,
        "classes": 2,
    }


def test_categories_pass_and_a_second_run_gives_the_same_and_replaces_the_docs(
    tables: Tables, verdict: Verdict, tmp_path: Path
) -> None:
    (tmp_path / "data_docs").mkdir()
    (tmp_path / "data_docs" / "old.html").write_text("old")
    for name in ("train", "val", "test", "audit"):
        tables[name] = tables[name].astype({"split": "category", "class_name": "category"})
    second = validate(tables, tmp_path)
    assert second.report == verdict.report
    assert {page.name for page in second.docs.rglob("*.html")} == {page.name for page in verdict.docs.rglob("*.html")}


def test_without_a_cap_and_without_a_previous_dataset_nothing_is_compared(tables: Tables, tmp_path: Path) -> None:
    good = validate(tables, tmp_path, limits=replace(LIMITS, max_photos=0, previous_funnel=None))
    assert good.success
    assert good.expectations == 64


def test_a_bucket_that_grows_may_keep_more_of_its_models(tables: Tables, tmp_path: Path) -> None:
    before = [entry | {"kept": entry["in"] // 2} if entry["stage"] == "classes" else entry for entry in LIMITS.funnel]

    assert validate(tables, tmp_path, limits=replace(LIMITS, previous_funnel=tuple(before))).success


def test_a_stage_that_grows_with_the_bucket_may_not_shrink(tables, tmp_path) -> None:
    now = [entry | {"kept": entry["in"] // 2} if entry["stage"] == "classes" else entry for entry in LIMITS.funnel]

    verdict = validate(tables, tmp_path, limits=replace(LIMITS, funnel=tuple(now)))

    assert [line for line in verdict.failed if "classes" in line and "within 10 points" in line]


def test_a_previous_funnel_without_one_of_this_dataset_is_an_error() -> None:
    with pytest.raises(InputError, match="there is a previous funnel, but none of this dataset"):
        replace(LIMITS, funnel=())


def test_a_missing_table_is_an_error(tables: Tables, tmp_path: Path) -> None:
    del tables["val"]
    with pytest.raises(InputError, match="no table val to validate: got train, test, audit, photos"):
        validate(tables, tmp_path)


def test_a_broken_check_is_not_bad_data(tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suites, "_applies", lambda *_: True)
    with pytest.raises(CarpipeError, match="'no vehicle is in two splits' on table 'audit' is broken"):
        validate(tables | {"audit": tables["audit"].drop(columns="vehicle")}, tmp_path)


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


def test_docs_load_nothing_and_run_no_scripts(verdict: Verdict) -> None:
    pages = [page for page in verdict.docs.rglob("*") if page.is_file()]
    assert {page.suffix for page in pages} == {".html"}
    html = "".join(page.read_text("utf-8") for page in pages)
    assert html.count("default-src 'none'") == len(pages) == 17
    assert not re.findall(r"<script|<link|<img|url\(|@import|https?://", html)
    # Good data shows no tag of the templates as text; &lt;DATAFRAME&gt; is their own wording.
    assert set(re.findall(r"&lt;/?\w+", html)) == {"&lt;DATAFRAME"}


def test_docs_link_to_pages_that_exist(verdict: Verdict) -> None:
    for page in verdict.docs.rglob("*.html"):
        for link in re.findall(r'href="([^"#]+)', page.read_text("utf-8")):
            assert (page.parent / link).is_file(), (page, link)
    index = (verdict.docs / "index.html").read_text("utf-8")
    assert len(re.findall(r'href="validations/', index)) == 8


def test_docs_show_our_expectations_as_sentences_with_what_was_counted(bad: Verdict) -> None:
    page = next((bad.docs / "validations" / "classes").rglob("*.html")).read_text("utf-8")
    assert "each class has photos in train, val and test" in page
    assert "1 of 4 classes break this" in page
    assert "of 4 total rows" not in page
    assert "fiat_600: no train, val, test" in page
    assert "expect_classes_in_every_split" not in page


def test_docs_show_hostile_values_as_text(bad: Verdict) -> None:
    html = "".join(page.read_text("utf-8") for page in bad.docs.rglob("*.html"))
    assert '&lt;meta http-equiv="refresh"' in html
    assert '<meta http-equiv="refresh"' not in html
    assert "<script" not in html


def test_only_the_docs_are_written(verdict: Verdict) -> None:
    out = verdict.docs.parent
    assert [path.name for path in out.iterdir()] == ["data_docs"]
    assert not list((out.parent / "here").iterdir())


def test_the_tables_stay_as_they_are(tables: Tables, tmp_path: Path) -> None:
    before = {name: table.copy() for name, table in tables.items()}
    validate(tables, tmp_path)
    for name, table in tables.items():
        pd.testing.assert_frame_equal(table, before[name])


def test_importing_the_packages_loads_nothing_heavy() -> None:
    code = (
        "import sys, carpipe.validation, carpipe.stages; "
        "print([name for name in ('great_expectations', 'pandas', 'yaml') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_log_of_a_task_is_not_filled_by_an_import():
    code = "import logging; logging.basicConfig(level=logging.INFO); import carpipe.validation.engine"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == []
