"""Figures as people read them in a terminal, a log or a mail: no more digits than anybody looks at."""

import math

# Places of a share, a probability or another score.
PLACES = 3


def figure(value: object) -> str:
    """A count as it is, a score with three places, and whatever else a later version has put there as it is.

    What is little is not shown as nothing: `< 0.001`.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return str(value)
    if isinstance(value, int) or (value.is_integer() and abs(value) > 1):
        return f"{value:,.0f}"
    least = 10.0**-PLACES
    return f"< {least:g}" if 0 < value < least / 2 else f"{value:.{PLACES}f}"
