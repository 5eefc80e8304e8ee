"""What a per-class report alone can say of classes that may be confused: bounds, and no proof.

It tells of each class how many of its photos went elsewhere, and how many of others came to it, but not where from. If
two classes are taken for each other, what one loses the other gains. Many pairs balance like that by accident: the
answers themselves, as `carpipe classes advise` reads them, are needed to tell.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from carpipe.errors import InputError
from carpipe.evaluation.tables import SUMMARIES

COLUMNS = ("precision", "recall", "f1-score", "support")
SHOWN = 20


def read_report(file: Path) -> pd.DataFrame:
    """The rows of the classes, by name, of a CSV as `tables.report_csv` and the published project write it.

    Raises:
        InputError: it cannot be read, a column is missing, or a figure cannot be meant.
    """
    try:
        table = pd.read_csv(file, index_col=0)
    except (OSError, ValueError) as error:  # pandas' own errors of parsing are ValueErrors
        raise InputError(f"{file} cannot be read as a report: {error}") from error
    if missing := [name for name in COLUMNS if name not in table]:
        raise InputError(f"{file} lacks the columns {', '.join(missing)}; a report has {', '.join(COLUMNS)}.")
    table = table.iloc[: -len(SUMMARIES)] if tuple(table.index[-len(SUMMARIES) :]) == SUMMARIES else table
    figures: pd.DataFrame = table[list(COLUMNS)].apply(pd.to_numeric, errors="coerce")
    shares = figures[list(COLUMNS[:3])]
    good = figures.notna().all(axis=1) & (shares >= 0).all(axis=1) & (shares <= 1).all(axis=1)
    if not (good & (figures["support"] >= 0)).all():
        raise InputError(f"{file}: the figures of {', '.join(map(str, table.index[~good]))[:200]} cannot be meant.")
    figures.index = figures.index.astype(str)
    return figures


def likely_pairs(report: pd.DataFrame) -> pd.DataFrame:
    """The pairs whose errors would balance best, had they been each other's: a row per pair, best first.

    Columns: `first`, `second`; `taken`, photos of the first that the second can have got at most, and `back`, the other
    way; `left_over`, the photos by which losses and gains of the two differ. Ranked by `taken + back - left_over`;
    where that is not above 0 a pair is left out.
    """
    right = (report["recall"] * report["support"]).round().to_numpy()
    answered = np.where(report["precision"] > 0, right / np.maximum(report["precision"], 1e-9), right).round()
    lost, came = report["support"].to_numpy() - right, answered - right
    i, j = np.triu_indices(len(report), 1)
    names = report.index.to_numpy()
    pairs = pd.DataFrame(
        {
            "first": names[i],
            "second": names[j],
            "taken": np.minimum(lost[i], came[j]).astype(int),
            "back": np.minimum(lost[j], came[i]).astype(int),
            "left_over": (np.abs(lost[i] - came[j]) + np.abs(lost[j] - came[i])).astype(int),
        }
    )
    worth = pairs["taken"] + pairs["back"] - pairs["left_over"]
    found = pairs[(worth > 0) & (pairs["taken"] > 0) & (pairs["back"] > 0)]
    order = worth[found.index].sort_values(ascending=False, kind="stable").index
    return found.loc[order].reset_index(drop=True)


def render_pairs(pairs: pd.DataFrame) -> str:
    """In plain sentences, with what cannot be had."""
    head = (
        "A report does not say for which class a photo was taken. These pairs would balance if they were taken for "
        "each other: that is no proof, and most pairs balance by accident. `carpipe classes advise` without --report "
        "reads the answers themselves."
    )
    rows = [
        f"{number}. {row.first} + {row.second}: {row.taken:,} photos at most one way, {row.back:,} the other; "
        f"{row.left_over:,} do not balance."
        for number, row in enumerate(pairs.head(SHOWN).itertuples(), start=1)
    ]
    more = [f"And {len(pairs) - SHOWN:,} more pairs; --json has all."] if len(pairs) > SHOWN else []
    return "\n".join([head, *(rows or ["No pair balances."]), *more])
