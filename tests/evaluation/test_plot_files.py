"""Figures as files: what an SVG in a page must and must not hold."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from carpipe.evaluation import plots
from carpipe.evaluation.plot_files import COLOURS, to_svg
from tests.evaluation.make import draw, make
from tests.evaluation.test_plots import HISTORY

HOSTILE = "<script>alert('x')</script>\" onload=x \x1b#000000"


class Read(HTMLParser):
    """Elements and text, as a browser sees them."""

    def __init__(self, svg: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(svg)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    def values(self, name: str) -> list[str]:
        return [str(attrs[name]) for _, attrs in self.tags if name in attrs]


def curves(name="curves", panel="loss"):
    return to_svg(plots.learning_curves(HISTORY, [panel]), name=name, title="loss by epoch")


def test_text_is_text_and_says_what_is_shown():
    shown = Read(curves())

    assert {"loss", "epoch", "train", "val", "1", "6"} <= {word.strip() for word in shown.words}
    assert ("title", {}) in shown.tags
    assert shown.words[0] == "loss by epoch"
    assert (shown.tags[0][1]["role"], shown.tags[0][1]["aria-label"]) == ("img", "loss by epoch")


def test_colours_are_those_of_the_page_and_nothing_is_white():
    svg = curves()

    assert {"var(--mark)", "var(--drop)", "var(--faint)"} <= {*re.findall(r"var\([\w-]+\)", svg)}
    assert not re.findall(r"#[0-9a-f]{6}", svg)
    assert "font-family" not in svg
    assert "<style" not in svg
    assert {*COLOURS.values()} == {"var(--mark)", "var(--drop)", "var(--faint)"}


def test_pictures_of_one_page_share_no_id_and_refer_to_their_own():
    one, other = Read(curves("one")), Read(curves("other", "accuracy"))

    ids, others = one.values("id"), other.values("id")
    assert ids
    assert len({*ids, *others}) == len(ids) + len(others)
    referred = re.findall(r"#([\w-]+)", " ".join([*one.values("href"), *one.values("clip-path")]))
    assert {*referred} == {*ids}


def test_equal_figures_give_equal_text():
    assert curves() == curves()
    assert "date" not in curves()


def test_names_are_text():
    names = [f"{HOSTILE}{number}" for number in range(3)]
    svg = to_svg(plots.confusion_plot(make(names, np.eye(3), names)), name="c", title=HOSTILE)
    read = Read(svg)

    assert "script" not in {tag for tag, _ in read.tags}
    assert not [name for _, attrs in read.tags for name in attrs if name.startswith("on")]
    assert "\x1b" not in svg.partition("</title>")[2]
    assert sum("<script>alert" in word for word in read.words) >= 3


@pytest.mark.parametrize(("classes", "kilobytes"), [(12, 40), (60, 60), (512, 700)])
def test_a_confusion_matrix_stays_small_and_keeps_its_names(classes, kilobytes):
    svg = to_svg(plots.confusion_plot(draw(classes, 6_000)), name="c", title="confusion matrix")

    assert len(svg) < 1000 * kilobytes
    assert ("min-width" in svg) == (classes > 12)
    assert "answer" in Read(svg).words
    if classes <= 60:
        assert sum("make_model" in word for word in Read(svg).words) == 2 * classes
