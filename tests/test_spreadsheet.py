"""Texts that begin like formulas stay text in a spreadsheet, and come back as they were."""

import csv
import io

import pandas as pd
import pytest

from carpipe.spreadsheet import inert, plain, to_csv

FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "  =1",
    "\u00a0=1",
    "\uff1d1",
    "'=1",
    "''=1",
    "-",
    "\u200b=1",
    "\ufeff=1",
    "\u2060=1",
    "\0=1",
    "\tx",
]
# What is a formula where cells are separated otherwise, and the text that is none.
PARTS = {
    "x;=1+1": "x;'=1+1",
    "x;=1;y|+1": "x;'=1;y|'+1",
    "x\t@SUM(A1)": "x\t'@SUM(A1)",
    "\t=1": "'\t'=1",
    "\r=1": "'\r'=1",
    "\n=1": "'\n'=1",
    "x\n=1": "x\n'=1",
    "x; -1": "x;' -1",
    'x;"=1': "x;'\"=1",
    "x;\u3164=1": "x;'\u3164=1",
    "x;'=1": "x;''=1",
    ";;=1": ";;'=1",
    "=1;=1": "'=1;'=1",
    "x;\uff1d1": "x;'\uff1d1",
}
TEXTS = ["", "audi_a4", "a=b", "3-series", "it's", "'quoted'", " audi", "é", "1. x", "'", "a;b", "a; b=c", "a,-b"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_gets_an_apostrophe(text):
    assert inert(text) == f"'{text}"


@pytest.mark.parametrize("text", TEXTS)
def test_other_text_stays(text):
    assert inert(text) == plain(text) == text


@pytest.mark.parametrize(("text", "cell"), PARTS.items())
def test_so_does_a_part_that_another_separator_would_make_a_cell(text, cell):
    assert inert(text) == cell


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("text", [*FORMULAS, *PARTS])
def test_no_separator_makes_a_formula(text, separator):
    file = io.StringIO(newline="")
    csv.writer(file).writerows([["key", "label"], ["a", inert(text)], [inert(text), "b"]])

    rows = csv.reader(io.StringIO(file.getvalue(), newline=""), delimiter=separator)

    cells = [cell.lstrip("\u200b\ufeff\u2060\u3164\0 \u00a0") for row in rows for cell in row]
    assert not [cell for cell in cells if cell.startswith(tuple("=+-@\uff1d"))]


@pytest.mark.parametrize("text", [*FORMULAS, *TEXTS, *PARTS, "'\t''=1", "a;''\t'=1"])
def test_it_comes_back_as_it_was(text):
    assert plain(inert(text)) == text


def test_numbers_of_a_table_stay_and_its_names_do_not_run():
    table = pd.DataFrame({"=a": ["=1", "b"], "n": [-1, 2], "f": [-0.5, 1.0]}, index=["@x", "y"])

    read = pd.read_csv(io.StringIO(to_csv(table, index=True)), index_col=0)

    assert list(read.columns) == ["'=a", "n", "f"]
    assert list(read.index) == ["'@x", "y"]
    assert list(read["'=a"]) == ["'=1", "b"]
    assert list(read["n"]) == [-1, 2]
    assert to_csv(table[["n"]]) == "n\n-1\n2\n"
