"""Chooses the photos that the page of a model shows: the crops behind its most confused pairs, or all it got wrong.

Equal predictions give equal choices, whatever the order of the photos.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from carpipe.evaluation.predictions import Predictions
from carpipe.evaluation.tables import confused_pairs
from carpipe.html_page import Card, make_card, per_cent

PAIRS = 20  # confused pairs with pictures
PER_PAIR = 4  # crops of each
SHEET = 80  # wrong photos of a two-class model, by each kind of mistake


@dataclass(frozen=True)
class PairCards:
    """One mistake: photos of `truth` that were taken for `answer`, how many, and some of them."""

    truth: str
    answer: str
    photos: int
    share: float
    cards: tuple[Card, ...]


def choose_pictures(test: Predictions) -> list[str]:
    """Keys of the photos whose JPEGs the page wants. One that it does not get is shown by its name."""
    return [key for _, rows in _mistakes(test) for key in rows["key"]]


def make_pairs(test: Predictions, pictures: Mapping[str, bytes]) -> list[PairCards]:
    """The most frequent mistakes with their cards, the surest wrong answers first.

    Raises:
        InputError: a picture is not a JPEG.
    """
    return [
        PairCards(
            str(pair["truth"]),
            str(pair["answer"]),
            int(pair["photos"]),
            float(pair["share"]),
            tuple(
                make_card(row["key"], [f"{per_cent(row['score'])} sure"], pictures.get(row["key"]))
                for row in rows.to_dict("records")
            ),
        )
        for pair, rows in _mistakes(test)
    ]


def _mistakes(test: Predictions) -> list[tuple[dict[Any, Any], pd.DataFrame]]:
    """Pairs with the photos to show of each. A vehicle's second photo comes after the first of every other vehicle."""
    table = test.table()
    wrong = table[~table["correct"]].sort_values(["score", "key"], ascending=[False, True])
    wrong = wrong.assign(turn=wrong.groupby(["class_name", "answer", "vehicle"], dropna=False).cumcount())
    groups = dict(iter(wrong.sort_values("turn", kind="stable").groupby(["class_name", "answer"], sort=False)))
    count = SHEET if len(test.classes) == 2 else PER_PAIR
    pairs = confused_pairs(test).head(PAIRS).to_dict("records")
    return [(pair, groups[(pair["truth"], pair["answer"])].head(count)) for pair in pairs]
