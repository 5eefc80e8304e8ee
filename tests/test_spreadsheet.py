"""Texts that begin like formulas stay text in a spreadsheet, and come back as they were."""

import io

import pandas as pd
import pytest

from carpipe.spreadsheet import inert, plain, to_csv

FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
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
TEXTS = ["", "audi_a4", "a=b", "3-series", "it's", "'quoted'", " audi", "é", "1. x", "'"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_gets_an_apostrophe(text):
    assert inert(text) == f"'{text}"


@pytest.mark.parametrize("text", TEXTS)
def test_other_text_stays(text):
    assert inert(text) == plain(text) == text


@pytest.mark.parametrize("text", [*FORMULAS, *TEXTS])
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
