"""Chooses the photos that the page of a model shows: the crops behind its most confused pairs, or all it got wrong.

Equal predictions give equal choices, whatever the order of the photos.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from carpipe.errors import InputError
from carpipe.images import preview
from carpipe.judging.predictions import Predictions
from carpipe.judging.tables import confused_pairs

PAIRS = 20  # confused pairs with pictures
PER_PAIR = 4  # crops of each
SHEET = 80  # wrong photos of a two-class model, by each kind of mistake
SIDE = 160  # pixels of a picture's long side on the page; about 5 kB each
QUALITY = 75


@dataclass(frozen=True)
class Card:
    """One wrong photo. `picture` is a data URI of `width` x `height` pixels, or empty; `score` is of the answer."""

    key: str
    score: float
    picture: str = ""
    width: int = 0
    height: int = 0

    @property
    def folder(self) -> str:
        return self.key.rpartition("/")[0]

    @property
    def name(self) -> str:
        return self.key.rpartition("/")[2]


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
            tuple(_card(row["key"], row["score"], pictures) for row in rows.to_dict("records")),
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


def _card(key: str, score: float, pictures: Mapping[str, bytes]) -> Card:
    if key not in pictures:
        return Card(key, score)
    try:
        return Card(key, score, *preview(pictures[key], side=SIDE, quality=QUALITY))
    except InputError as error:
        raise InputError(f"The picture of {key} for the page cannot be shown, {error}.") from None
