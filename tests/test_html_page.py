"""What pages have in common, documents of the bucket above all."""

import re
from pathlib import Path

import pytest

import carpipe
from carpipe.html_page import LOOK, environment

ROOT = Path(carpipe.__file__).parent
TEMPLATES = sorted(ROOT.rglob("*.j2"))
# Of the pages of the API and of those inside Airflow, beside the one of all pages.
SHEETS = [ROOT / "serving/pages/static/style.css", ROOT.parent / "plugins/carpipe_airflow/pages/static/style.css"]
LOOKS = {*re.findall(r"--[\w-]+(?=:)", LOOK.read_text("utf-8"))}
EMPTY = (
    "{% extends 'document.html.j2' %}{% from 'parts.html.j2' import change, reason %}"
    "{% block title %}{{ name }}{% endblock %}"
)


@pytest.mark.parametrize("path", [*TEMPLATES, *SHEETS], ids=lambda path: path.name)
def test_no_page_has_colours_of_its_own(path):
    text = path.read_text("utf-8")

    assert not re.findall(r"#[0-9a-fA-F]{3,8}\b(?=[;}\s])", text)
    assert {*re.findall(r"var\((--[\w-]+)\)", text)} <= LOOKS
    assert not re.findall(r"--[\w-]+(?=:)", text)


def render(body, **values):
    made = environment(ROOT / "html_parts")
    return made.from_string(f"{EMPTY}{{% block main %}}{body}{{% endblock %}}").render(name="<b>x", **values)


def test_a_document_loads_nothing_follows_the_theme_and_trusts_no_text():
    page = render("")

    assert page.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert "default-src &#39;none&#39;; style-src &#39;unsafe-inline&#39;; img-src data:" in page
    assert "color-scheme: light dark" in page
    assert '<meta name="color-scheme" content="light dark">' in page
    assert "<title>&lt;b&gt;x</title>" in page
    assert not re.findall(r"<script|<link|<img|url\(|@import|https?://", page)


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ((3, "+3", "good"), '<span class="change good">▲ +3</span>'),
        ((-3, "−3", "bad", True), '<span class="change bad">▼ −3 <small>worse</small></span>'),
        ((0, "0"), '<span class="change">0</span>'),
    ],
)
def test_a_change_is_an_arrow_a_number_and_a_colour(values, shown):
    assert shown in render("{{ change(*values) }}", values=values)


def test_a_reason_is_words_with_its_code_beside():
    assert "not a car <small><code>not_a_car</code></small>" in render("{{ reason('not_a_car') }}")


def test_a_setting_is_named_by_what_it_says():
    page = environment(Path(__file__).parent).from_string(
        '{% from "parts.html.j2" import setting_rows %}{{ setting_rows([("filter.threshold", 0.7), ("of.later", 1)]) }}'
    )
    text = page.render()
    assert "a photo is kept when p(car) is at least this" in text
    assert "<code>filter.threshold</code>" in text
    assert "<td>of.later</td><td>1</td>" in text
