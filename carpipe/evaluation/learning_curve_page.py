"""The page of a learning curve: whether more photos would help, and of which classes."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from carpipe.backports import UTC
from carpipe.errors import InputError
from carpipe.evaluation.learning_curve import share_text
from carpipe.html_page import POLICY, environment, in_points

TEMPLATE = "learning_curve.html.j2"
GAINED = 20  # classes shown


@dataclass(frozen=True)
class CurvePage:
    """All that the page shows.

    Attributes:
        dataset: manifest key.
        made: when; with a time zone.
        curve: what `learning_curve.judge_curve` found.
        plot: PNG.
        facts: settings of the trainings.
    """

    dataset: str
    made: datetime
    curve: Mapping[str, Any]
    plot: bytes
    facts: Mapping[str, Any] = field(default_factory=dict)


def render_curve(page: CurvePage) -> str:
    """The page. Equal input gives an equal page.

    Raises:
        InputError: `made` has no time zone.
    """
    if page.made.tzinfo is None:
        raise InputError(f"The page's time needs a time zone; {page.made} has none.")
    made = environment(Path(__file__).parent)
    made.filters |= {"points": partial(in_points, places=1), "share": share_text}
    gained = [row for row in page.curve["classes"] if row["gain"] > 0]
    return made.get_template(TEMPLATE).render(
        page=page,
        policy=POLICY,
        made=page.made.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        plot=f"data:image/png;base64,{base64.b64encode(page.plot).decode()}",
        gained=gained[:GAINED],
        more=len(gained) - GAINED,
        others=len(page.curve["classes"]) - len(gained),
        **{name: page.curve[name] for name in ("points", "steps", "says", "confidence")},
    )
