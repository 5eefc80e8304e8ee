"""Edited copies: pictures offered again brighter, with more contrast, cut a little, framed or mirrored.

Looked for within a model, as a car that is offered again stays what it is. Two passes, as for near-duplicates:
`candidates` compares hashes of the whole and of the inner picture, plain and mirrored, and `verify` brings two pictures
to fall together and looks at the pixels.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from carpipe.pictures import agreement, registration
from carpipe.pictures.hashes import INNER
from carpipe.stages.near_duplicates import MERGE_AT, neighbours

Indices = NDArray[np.int64]
Hashes = NDArray[np.uint64]

DISTANCE = 10  # bits: of 400 real photos cut by 4 % on two sides, 90 % are within; cut evenly, 99 % are within 6
# A pair that differs in 8 bits agrees in 16 chosen at random with probability 0.085: 60 times, and 99.5 % are seen; of
# those that differ in 10 bits, 93 %.
SAMPLES, SAMPLE_BITS = 60, 16
CHUNK = 8_192  # pairs whose pixels are in memory at a time: 2 x 50 MB
# Of 400 real photos, cut or framed and encoded anew, 99 of 100 reach 0.945; other photos of a model stay below 0.91.
CORRELATION = 0.94


@dataclass(frozen=True)
class Candidates:
    """Pairs of pictures, one < other by position, and how they might fall together.

    `scale` is how much of the side of the other the one shows, about the middle; `mirrored` says that one of them is.
    """

    one: Indices
    other: Indices
    scale: NDArray[np.float32]
    mirrored: NDArray[np.bool_]

    def take(self, which: NDArray[np.bool_]) -> "Candidates":
        """Some of the pairs."""
        return Candidates(self.one[which], self.other[which], self.scale[which], self.mirrored[which])


def candidates(whole: Hashes, inner: Hashes, *, model: Indices, listing: Indices) -> Candidates:
    """Pairs of one model and two listings whose hashes differ in at most DISTANCE bits, nearly all of them.

    Args:
        whole: difference hashes of the pictures.
        inner: of their inner parts (`hashes.INNER`).
        model: a number for each.
        listing: a number for each.

    Source: P. Indyk, R. Motwani, "Approximate Nearest Neighbors", STOC 1998: near hashes agree in some random choice
    of bits; sorting by these bits, time grows as n log n.
    """
    forms = np.concatenate([whole, inner, _mirror(whole), _mirror(inner)])
    rng = np.random.default_rng(64)
    salt = rng.integers(0, 2**64, int(model.max(initial=0)) + 1, dtype=np.uint64)[np.tile(model, 4)]
    found = [np.empty(0, np.int64)]
    for _ in range(SAMPLES):
        bits = rng.choice(64, SAMPLE_BITS, replace=False)
        mask = np.bitwise_or.reduce(np.uint64(1) << bits.astype(np.uint64))
        found += _near(forms, (forms & mask) ^ salt, model, listing)
        if sum(map(len, found[1:])) > MERGE_AT:
            found = [np.unique(np.concatenate(found))]
    return _best(np.unique(np.concatenate(found)), len(whole))


def verify(pairs: Candidates, signatures: NDArray[np.uint8], *, rows: Indices) -> NDArray[np.float32]:
    """Mean difference in grey levels of the pairs that show one picture; NaN for the others.

    Args:
        pairs: positions of pictures.
        signatures: uint8 (m, SIGNATURE_BYTES).
        rows: row in `signatures` of each picture.
    """
    result = np.full(len(pairs.one), np.nan, np.float32)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for start in range(0, len(result), CHUNK):
            part = np.arange(start, min(start + CHUNK, len(result)))
            one, other = signatures[rows[pairs.one[part]]], signatures[rows[pairs.other[part]]]
            other[pairs.mirrored[part]] = registration.mirrored(other[pairs.mirrored[part]])
            moved = list(threads.map(_align, one, other, pairs.scale[part]))
            fits = np.array([picture is not None for picture in moved])
            if fits.any():
                result[part[fits]] = _judge(one[fits], np.stack([picture for picture in moved if picture is not None]))
    return result


def _align(one: NDArray[np.uint8], other: NDArray[np.uint8], scale: np.float32) -> NDArray[np.float32] | None:
    return registration.align(one, other, scale=float(scale))


def _judge(one: NDArray[np.uint8], other: NDArray[np.float32]) -> NDArray[np.float32]:
    found = agreement.compare(one, other)
    return np.where((found.correlation >= CORRELATION) & found.everywhere, found.mean, np.float32(np.nan))


def _mirror(hashes: Hashes) -> Hashes:
    """Difference hashes of the mirrored pictures: each row of 8 bits is reversed, and what rose falls."""
    bits = np.unpackbits(hashes.view(np.uint8).reshape(-1, 8), axis=1)
    turned = 1 - bits.reshape(-1, 8, 8)[:, :, ::-1]
    return np.packbits(turned.reshape(-1, 64), axis=1).view(np.uint64).ravel()


def _near(forms: Hashes, values: Hashes, model: Indices, listing: Indices) -> Iterator[Indices]:
    """Near pairs among neighbours by value, as one number each: pictures, distance, and the form of both."""
    number = len(model)
    order, pairs = neighbours(values)
    hashes, picture, form = forms[order], (order % number).astype(np.int32), (order // number).astype(np.int8)
    del order, values  # all this is there four times a photo
    for here, there in pairs:
        apart = np.bitwise_count(hashes[here] ^ hashes[there])
        near = (apart <= DISTANCE) & ((form[here] < 2) | (form[there] < 2))
        here, there, apart = here[near], there[near], apart[near].astype(np.int64)
        one, other = picture[here], picture[there]
        good = (model[one] == model[other]) & (listing[one] != listing[other])
        here, there, apart = here[good], there[good], apart[good]
        swap = picture[here] > picture[there]
        first, second = np.where(swap, there, here), np.where(swap, here, there)
        pair = picture[first] * np.int64(number) + picture[second]
        yield (pair << 8) | (apart << 4) | (form[first] << np.int64(2)) | form[second]


def _best(found: Indices, number: int) -> Candidates:
    """Of each pair, how it comes nearest."""
    pair = found >> 8
    found = found[np.flatnonzero(np.diff(pair, prepend=-1))]
    one, other = np.divmod(found >> 8, max(number, 1))
    first, second = found >> 2 & 3, found & 3
    share = np.array([1, 1 - 2 * INNER], np.float32)  # of the side
    return Candidates(one, other, share[second & 1] / share[first & 1], (first ^ second) >= 2)
