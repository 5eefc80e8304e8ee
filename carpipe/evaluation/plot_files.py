"""Figures as files: a PNG for papers, and an SVG in the colours of the page that it stands in.

In an SVG text is text. Colours are those of `carpipe/style.css`, so that it follows light and dark.
"""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from carpipe.evaluation.plots import FAINT, MAIN, OTHER

DPI = 110
WIDE_IN = 5.2  # inches: what is wider would have letters that nobody can read on a phone
TALL_IN = 7.0  # inches: a confusion matrix of more than twelve classes; its names need all the room that they have
# By the colours that figures are drawn in. Black are axes: matplotlib gives black text no colour, so it has the page's.
COLOURS = {MAIN: "var(--mark)", OTHER: "var(--drop)", FAINT: "var(--faint)", "#000000": "var(--faint)"}
_COLOUR = re.compile(r"#[0-9a-f]{6}\b")
_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_UNTURNED = re.compile(r"rotate\(-?0 [^)]*\)")
_REFERENCE = re.compile(r"#([\w-]+)")
_REFERRING = ("href", "clip-path")
_NUMBERS = ("d", "x", "y", "width", "height", "transform")


def to_png(figure: Figure) -> bytes:
    """Equal figures give equal bytes."""
    sink = io.BytesIO()
    with _quiet():
        _finish(figure)
        FigureCanvasAgg(figure)
        figure.savefig(sink, format="png", dpi=DPI, metadata={"Software": None})
    return sink.getvalue()


def to_svg(figure: Figure, *, name: str, title: str) -> Markup:
    """For a page: without a background, as wide as there is room. Equal figures give equal text.

    A tall figure keeps its size, so it belongs into something that scrolls.

    Args:
        name: begins every id in it; unlike the name of any other picture of the page.
        title: what it shows, for those who cannot see it.
    """
    crowded = figure.get_figheight() > TALL_IN
    if not crowded and figure.get_figwidth() > WIDE_IN:
        figure.set_size_inches(WIDE_IN, min(figure.get_figheight(), WIDE_IN))
    drawn = _plain(_draw(figure))
    box = drawn.get("viewBox", "")
    svg = Element("svg", {"class": "plot", "viewBox": box, "role": "img", "aria-label": title})
    if crowded:
        svg.set("style", f"min-width:{float(box.split()[2]) * 4 / 3:.0f}px")  # of points
    SubElement(svg, "title").text = title
    svg.extend(drawn)
    _rename(svg, name)
    return Markup(tostring(svg, encoding="unicode"))  # noqa: S704  # text in it was escaped by ElementTree


def _draw(figure: Figure) -> Element:
    sink = io.StringIO()
    # The one thing that is not the figure's own; nobody else draws SVG.
    with _quiet(), rc_context({"svg.fonttype": "none"}):
        _finish(figure)
        FigureCanvasSVG(figure)
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(sink, format="svg", dpi=DPI, transparent=True, metadata=nothing)
    text = sink.getvalue()
    return fromstring(text[text.index("<svg") :])  # noqa: S314  # matplotlib's, made here


def _finish(figure: Figure) -> None:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Names may hold letters that the font lacks: a box in the PNG, and as they are in the SVG."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def _plain(root: Element) -> Element:
    """Elements as HTML has them: no namespaces, no fonts, colours of the page, two places of numbers."""
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
        for name in _NUMBERS:
            if name in element.attrib:
                element.set(name, _NUMBER.sub(lambda found: f"{float(found[0]):.2f}", element.attrib[name]).strip())
        if style := element.get("style"):
            element.set("style", _themed(style))
        if _UNTURNED.fullmatch(element.get("transform", "")):
            del element.attrib["transform"]
    for parent in [*root.iter()]:
        for child in [*parent]:
            if child.tag in ("metadata", "style"):
                parent.remove(child)
            child.tail = None
        if parent.tag not in ("text", "tspan"):
            parent.text = None
    return root


def _themed(style: str) -> str:
    kept = [part for part in style.split("; ") if not part.startswith("font-family")]
    return _COLOUR.sub(lambda found: COLOURS.get(found[0], found[0]), "; ".join(kept))


def _rename(svg: Element, name: str) -> None:
    """Only what is referred to keeps an id, which is counted: matplotlib's are random, and may be those of another."""
    wanted = {found: f"{name}-{number}" for number, found in enumerate(dict.fromkeys(_references(svg)))}
    for element in svg.iter():
        if (old := element.attrib.pop("id", None)) in wanted:
            element.set("id", wanted[old])
        for place in _REFERRING:
            if place in element.attrib:
                element.set(place, _REFERENCE.sub(lambda found: f"#{wanted[found[1]]}", element.attrib[place]))


def _references(svg: Element) -> Iterator[str]:
    for element in svg.iter():
        for place in _REFERRING:
            if not element.get(place, "").startswith("data:"):
                yield from _REFERENCE.findall(element.get(place, ""))
