"""How a comparison of two models is shown: an HTML page with pictures, Markdown for the card, lines for a terminal.

`carpipe.html_page` says what all pages keep to. Names of classes are foreign text everywhere.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from carpipe.backports import UTC
from carpipe.called import SHORT, moment
from carpipe.errors import InputError
from carpipe.evaluation.comparison import SHOWN, Comparison, choose_photos
from carpipe.evaluation.metrics import show_figure
from carpipe.html_page import environment, in_points, make_card, minus, per_cent
from carpipe.names import brief, in_markdown

TEMPLATE = "comparison.html.j2"
LISTED = 200  # classes in a table; the JSON has them all
FEW = 7  # vehicles: 2^-7 < 0.01, see `carpipe.evaluation.gate`
NAMED = 5  # classes in the short texts
NAME = 200  # characters of a name on the page: of real classes they have 10 to 40


def wanted_photos(comparison: Comparison) -> set[str]:
    """Keys of the photos whose JPEGs the page wants. One that it does not get is shown by its name."""
    return {photo["key"] for _, photos in choose_photos(comparison) for photo in photos}


def render_comparison(comparison: Comparison, *, pictures: Mapping[str, bytes], made: datetime) -> str:
    """The page. Equal input gives an equal page.

    Args:
        pictures: JPEGs by photo key, of those that `wanted_photos` names.
        made: when, with a time zone.

    Raises:
        InputError: `made` has no time zone, or a picture is not a JPEG.
    """
    if made.tzinfo is None:
        raise InputError(f"The page's time needs a time zone; {made} has none.")
    shown = [(row, [_card(photo, pictures) for photo in photos]) for row, photos in choose_photos(comparison)]
    page = environment(Path(__file__).parent)
    page.filters |= {"figure": show_figure, "change": _change, "points": in_points, "brief": _brief}
    return page.get_template(TEMPLATE).render(
        page=comparison,
        numbers=comparison.numbers,
        made=moment(made.astimezone(UTC)),
        verdict=verdict(comparison),
        sections=(
            ("fell", "Classes that fell most", comparison.fell, [one for one in shown if one[0]["change"] < 0]),
            ("rose", "Classes that rose most", comparison.rose, [one for one in shown if one[0]["change"] > 0]),
        ),
        judge=judge,
        shown_classes=SHOWN,
        listed=LISTED,
        names=[*_names(comparison)],
    )


def verdict(comparison: Comparison) -> str:
    """What the gate's two tests say of the difference in photos answered rightly; a sentence."""
    numbers = comparison.numbers
    said = "Better" if numbers["better"] else "Worse" if numbers["worse"] else "Neither better nor worse for certain"
    sure = f"{100 * numbers['confidence']:.4g} %"
    return (
        f"{said}: {per_cent(numbers['candidate'], 2)} of {numbers['photos']:,} test photos of "
        f"{numbers['vehicles']:,} vehicles right, before {per_cent(numbers['champion'], 2)}; a difference of "
        f"{in_points(numbers['difference'])} points ({in_points(numbers['low'])} at least and "
        f"{in_points(numbers['high'])} at most, each {sure} sure). Of the vehicles {numbers['better_vehicles']:,} did "
        f"better, {numbers['worse_vehicles']:,} worse.{_small_classes(numbers['pool'])}"
    )


def _small_classes(pool: Mapping[str, Any] | None) -> str:
    """What the gate says of the classes that have too few vehicles to be judged one by one, where they are ruined."""
    if not pool or not pool["ruined"]:
        return ""
    return (
        f" The classes of few vehicles, judged together, are ruined: recall {per_cent(pool['champion'])} to "
        f"{per_cent(pool['candidate'])}, {pool['worse']:,} of {pool['vehicles']:,} vehicles worse and "
        f"{pool['better']:,} better."
    )


def judge(row: Mapping[str, Any]) -> str:
    """What is to be thought of the change of a class, in a few words."""
    if row["ruined"]:
        return "ruined"
    if not row["chance"]:
        return "more than chance"
    changed = row["better"] + row["worse"]
    if changed < FEW:  # so few prove nothing, even where all of them changed in one direction
        return f"only {'one vehicle' if changed == 1 else f'{changed} vehicles'} changed, too few to tell"
    return "may be chance"


def render_markdown(comparison: Comparison) -> str:
    """What belongs below the model card, short."""
    figures = "\n".join(
        f"| {in_markdown(row['label'])} | {show_figure(row['before'])} | {show_figure(row['now'])} "
        f"| {_change(row['change'])} |"
        for row in comparison.figures
    )
    lines = "\n".join(f"- {in_markdown(line)}" for line in _lines(comparison))
    before = comparison.before
    return f"""## Against the model of {before.title}, `{before.name[:SHORT]}`

{in_markdown(verdict(comparison))}

| figure on the same photos | before | now | change |
| --- | --- | --- | --- |
{figures}

{lines}
"""


def render_text(comparison: Comparison) -> str:
    """The same for a terminal; each line is yet to be `shown`."""
    figures = [
        f"  {row['label']:<16} {show_figure(row['before']):>8} to {show_figure(row['now'])} ({_change(row['change'])})"
        for row in comparison.figures
    ]
    title = f"{comparison.now.key}\nagainst {comparison.before.key}"
    return "\n".join([title, verdict(comparison), *figures, *_lines(comparison)])


def _lines(comparison: Comparison) -> Iterator[str]:
    for name, rows in (("fell", comparison.fell), ("rose", comparison.rose)):
        if rows:
            shown = "; ".join(f"{brief(row['class_name'])} {_recall(row)}, {judge(row)}" for row in rows[:NAMED])
            more = f"; and {len(rows) - NAMED:,} more" if len(rows) > NAMED else ""
            yield f"{len(rows):,} {'class' if len(rows) == 1 else 'classes'} {name}: {shown}{more}."
        else:
            yield f"No class {name}."
    yield from (f"{title}: {text}." for title, text in _names(comparison))
    if comparison.settings is None:
        yield "The settings cannot be compared: a training is gone."
    elif not comparison.settings:
        yield "The settings are the same."
    for row in (*(comparison.settings or ()), *comparison.facts):
        yield f"{_brief(row['name'])}: before {_brief(row['before'])}, now {_brief(row['now'])}"


def _recall(row: Mapping[str, Any]) -> str:
    return f"{per_cent(row['before'])} to {per_cent(row['now'])}"


def _names(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Classes that are not as they were, by what happened to them."""
    names = comparison.names
    pairs = (
        ("New classes", names["new"]),
        ("Classes that are gone", names["gone"]),
        ("Renamed classes", [f"{brief(old)} is {brief(name)}" for name, old in names["renamed"].items()]),
        (
            "Merged classes",
            [f"{', '.join(map(brief, found))} are {brief(name)}" for name, found in names["merged"].items()],
        ),
    )
    for title, found in pairs:
        if found:
            more = f", and {len(found) - SHOWN:,} more" if len(found) > SHOWN else ""
            yield title, "; ".join(brief(text, max_characters=3 * NAME) for text in found[:SHOWN]) + more


def _card(photo: Mapping[str, Any], pictures: Mapping[str, bytes]) -> Any:
    facts = [f"before: {brief(str(photo['before']))}", f"now: {brief(str(photo['now']))}"]
    return make_card(photo["key"], facts, pictures.get(photo["key"]))


def _brief(value: object) -> str:
    """A value of a setting; a dash where there is none."""
    return "–" if value is None else brief(str(value), max_characters=NAME)


def _change(value: float | None) -> str:
    return "–" if value is None else "0" if not value else minus(show_figure(value, "+"))
