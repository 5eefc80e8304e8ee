"""What models say of whole listings: the answers on their photos pooled, by today's names of the classes.

Of a photo the ten likeliest classes are known, and mostly the one that it was given. What is left of its probability is
spread over the others that the model knows. So nothing here holds a row of all classes for each photo, and a million
photos fit into little memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from carpipe.evaluation.top_answers import P_GIVEN, TopAnswers
from carpipe.probabilities import LISTING_FLOOR

LISTINGS = 4096  # pooled at a time


@dataclass(frozen=True)
class Source:
    """What one model answered on photos that it was not trained on.

    Attributes:
        name: for people, such as the model's key.
        answers: their `photos` have `key`. Whoever makes a source leaves out cars that the model was trained on.
        became: names of today of classes that have another one by now, as `class_map` has them.
    """

    name: str
    answers: TopAnswers
    became: Mapping[str, str] = field(default_factory=dict)

    def known(self, classes: Sequence[str]) -> NDArray[np.bool_]:
        """Of today's classes, those that the model can answer."""
        return np.isin(np.array(classes, dtype=object), list(self._today()))

    def numbers(self, classes: Sequence[str]) -> NDArray[np.intp]:
        """By number of the model's class, that of today's class; -1 where there is none."""
        return pd.Index(classes).get_indexer(pd.Index(self._today()))

    def _today(self) -> list[str]:
        return [self.became.get(name, name) for name in self.answers.classes]


@dataclass(frozen=True)
class Pooled:
    """What one model says of listings.

    Attributes:
        p: float32 (listings, classes): pooled probabilities, each row sums to 1. Classes that the model does not know
            have next to nothing.
        best: intp (photos,): today's class that each photo looks most like; -1 where it is none of today's.
    """

    p: NDArray[np.float32]
    best: NDArray[np.intp]


def pool_listings(
    source: Source, rows: NDArray[np.intp], *, listing: NDArray[np.intp], classes: Sequence[str]
) -> Pooled:
    """Pool photos as apps do: the mean of their log-probabilities, see `carpipe.probabilities.pool`.

    Args:
        rows: numbers of the photos in the source's answers, those of a listing next to each other.
        listing: its number, by photo: from 0, without gaps, rising.
        classes: names of today's classes, in the order of the columns.
    """
    count = int(listing[-1]) + 1 if len(listing) else 0
    p = np.empty((count, len(classes)), np.float32)
    best = np.empty(len(rows), np.intp)
    known, today = source.known(classes), source.numbers(classes)
    for first in range(0, count, LISTINGS):
        begin, end = np.searchsorted(listing, [first, first + LISTINGS])
        number, own = _today(source, rows[begin:end], today)
        likeliest = own.argmax(axis=1)[:, None]
        best[begin:end] = np.take_along_axis(number, likeliest, axis=1)[:, 0]
        size = min(LISTINGS, count - first)
        p[first : first + size] = _pool(number, own, listing[begin:end] - first, size=size, known=known)
    return Pooled(p, best)


def _today(
    source: Source, rows: NDArray[np.intp], today: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.floating]]:
    """Numbers of today's classes and their probabilities, (photos, answers); -1 and 0 where an answer is none of them.

    Classes that were merged since are one answer: their probabilities are added up.
    """
    kept, own = _with_given(source.answers, rows)
    number = np.where(kept >= 0, today[kept], -1)
    p = np.where(number >= 0, own, np.float32(0))
    merged = len(np.unique(today[today >= 0])) < (today >= 0).sum()
    for later in range(1, number.shape[1] if merged else 0):
        for before in range(later):
            same = (number[:, later] == number[:, before]) & (number[:, later] >= 0)
            if same.any():
                p[same, before] += p[same, later]
                p[same, later] = 0
                number[same, later] = -1
    return number, p


def _with_given(top: TopAnswers, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.floating]]:
    """Class numbers and probabilities of photos: the likeliest, and then the given class where it is none of those.

    Else -1 and 0; so it is where answers of before do not say how likely the given class is.
    """
    numbers, p = top.numbers[rows].astype(np.intp), top.p[rows].astype(np.float32)
    if P_GIVEN not in top.photos or "class_name" not in top.photos:
        return numbers, p
    photos = top.photos.iloc[rows]
    own = photos[P_GIVEN].to_numpy(np.float32)
    given = pd.Index(top.classes).get_indexer(pd.Index(photos["class_name"]))
    new = (given >= 0) & np.isfinite(own) & ~(numbers == given[:, None]).any(axis=1)
    return (
        np.column_stack([numbers, np.where(new, given, -1)]),
        np.column_stack([p, np.where(new, own, np.float32(0))]),
    )


def _pool(
    number: NDArray[np.intp],
    p: NDArray[np.floating],
    listing: NDArray[np.intp],
    *,
    size: int,
    known: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Of `size` listings, the pooled probabilities."""
    there = number >= 0
    others = np.maximum(known.sum() - there.sum(axis=1), 1)
    rest = np.log(np.maximum((1 - p.sum(axis=1)) / others, LISTING_FLOOR))
    photos = np.bincount(listing, minlength=size)
    logs = np.repeat((np.bincount(listing, rest, size) / photos)[:, None].astype(np.float32), len(known), axis=1)
    logs[:, ~known] = np.log(LISTING_FLOOR)
    row, column = np.nonzero(there)
    more = np.log(np.maximum(p[row, column], LISTING_FLOOR)) - rest[row]
    np.add.at(logs, (listing[row], number[row, column]), (more / photos[listing[row]]).astype(np.float32))
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)
