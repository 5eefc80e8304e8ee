"""The page of a learning curve: whether more photos would help, and of which classes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from carpipe.backports import UTC
from carpipe.called import Called, moment
from carpipe.errors import InputError
from carpipe.evaluation.learning_curve import share_text
from carpipe.evaluation.plot_files import to_svg
from carpipe.evaluation.plots import accuracy_by_share
from carpipe.figures import label
from carpipe.html_page import environment, in_points

TEMPLATE = "learning_curve.html.j2"
TITLE = "accuracy on the test photos by photos learnt from"
GAINED = 20  # classes shown


@dataclass(frozen=True)
class CurvePage:
    """All that the page shows.

    Attributes:
        dataset: what the curve is of.
        made: when; with a time zone.
        curve: what `learning_curve.judge_curve` found.
        facts: settings of the trainings.
    """

    dataset: Called
    made: datetime
    curve: Mapping[str, Any]
    facts: Mapping[str, Any] = field(default_factory=dict)


def render_curve(page: CurvePage) -> str:
    """The page. Equal input gives an equal page.

    Raises:
        InputError: `made` has no time zone.
    """
    if page.made.tzinfo is None:
        raise InputError(f"The page's time needs a time zone; {page.made} has none.")
    made = environment(Path(__file__).parent)
    made.globals["label"] = label
    made.filters |= {"points": partial(in_points, places=1), "share": share_text}
    gained = [row for row in page.curve["classes"] if row["gain"] > 0]
    return made.get_template(TEMPLATE).render(
        page=page,
        made=moment(page.made.astimezone(UTC)),
        plot=to_svg(accuracy_by_share(page.curve["points"]), name="curve", title=TITLE),
        gained=gained[:GAINED],
        more=len(gained) - GAINED,
        others=len(page.curve["classes"]) - len(gained),
        **{name: page.curve[name] for name in ("points", "steps", "says", "confidence")},
    )
