"""Whether two pictures are one photo: the same everywhere, but for how bright and how colourful they are.

Two cars of one model in one booth differ in their paint only, so means over the picture say little, and grey nothing:
what counts is the place where they differ most.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from carpipe.pictures.hashes import COLOUR_SIDE, SIGNATURE_SIDE

Floats = NDArray[np.float32]

CELLS = 7  # of both sides: a picture is compared in 7 x 7 cells
BORDER = 2  # grey pixels on each side that are not looked at: frames, and what a shift brings in
# The largest differences may be a watermark's: this one, counted from 0, must be small. Three cells are 6 %.
NTH = 2
# Levels. Of real photos, edited and encoded anew, 99 of 100 stay below 11 and 9; a repainted car is beyond, unless old
# and new paint are both nearly grey.
GREY_APART, COLOUR_APART = 14.0, 8.0
GAIN = (0.5, 2.0)  # how much brighter or flatter an edited copy may be
SATURATION = (0.6, 1.6)  # and how much more colourful


@dataclass(frozen=True)
class Agreement:
    """How two pictures agree, an array each over the pairs.

    `correlation` of the grey pixels, -1 to 1. `grey` and `colour`: by how many levels (0 to 255) the cells differ,
    in brightness and in the colour differences Cb and Cr; of the third most different cell. `mean`: grey levels too,
    over all pixels. `one_line`: all places that differ lie in one row of cells, as those under a watermark do.
    """

    correlation: Floats
    mean: Floats
    grey: Floats
    colour: Floats
    one_line: NDArray[np.bool_]

    @property
    def everywhere(self) -> NDArray[np.bool_]:
        """Whether they agree in all places, but for a watermark's."""
        return ((self.grey <= GREY_APART) & (self.colour <= COLOUR_APART)) | self.one_line


def compare(one: NDArray[np.generic], other: NDArray[np.generic]) -> Agreement:
    """Compare pictures pair by pair, apart from brightness, contrast, white balance and saturation.

    Args:
        one: signatures (n, SIGNATURE_BYTES), uint8 or float.
        other: as `one`, in the same place and size.
    """
    grey, other_grey = _grey(one), _grey(other)
    apart = _apart(grey, other_grey)
    greys, colours = _cells(apart), _cells(_colours_apart(one, other)).max(axis=1)
    return Agreement(
        correlation=_correlation(grey, other_grey),
        mean=np.abs(apart).mean(axis=(1, 2)),
        grey=_nth(greys),
        colour=_nth(colours),
        one_line=_in_one_line((greys > GREY_APART) | (colours > COLOUR_APART)),
    )


def _grey(signatures: NDArray[np.generic]) -> Floats:
    pictures = signatures[:, : SIGNATURE_SIDE**2].reshape(-1, SIGNATURE_SIDE, SIGNATURE_SIDE)
    return pictures[:, BORDER:-BORDER, BORDER:-BORDER].astype(np.float32)


def _colours(signatures: NDArray[np.generic]) -> Floats:
    """(n, 2, side, side)"""
    pictures = signatures[:, SIGNATURE_SIDE**2 :].reshape(-1, 2, COLOUR_SIDE, COLOUR_SIDE)
    border = BORDER * COLOUR_SIDE // SIGNATURE_SIDE
    return pictures[:, :, border:-border, border:-border].astype(np.float32)


def _correlation(one: Floats, other: Floats) -> Floats:
    one = one - one.mean(axis=(1, 2), keepdims=True)
    other = other - other.mean(axis=(1, 2), keepdims=True)
    size = np.sqrt((one**2).sum(axis=(1, 2)) * (other**2).sum(axis=(1, 2)))
    result: Floats = (one * other).sum(axis=(1, 2)) / np.maximum(size, 1e-6)
    return result


def _apart(one: Floats, other: Floats) -> Floats:
    spread = one.std(axis=(1, 2), keepdims=True) / np.maximum(other.std(axis=(1, 2), keepdims=True), 1e-6)
    return _centred(one - np.clip(spread, *GAIN) * other)


def _colours_apart(one: NDArray[np.generic], other: NDArray[np.generic]) -> Floats:
    first, second = _colours(one), _colours(other)
    plain, other_plain = _centred(first), _centred(second)
    scale = (plain * other_plain).sum(axis=(1, 2, 3)) / np.maximum((other_plain**2).sum(axis=(1, 2, 3)), 1e-6)
    return _centred(first - np.clip(scale, *SATURATION)[:, None, None, None] * second)


def _centred(pictures: Floats) -> Floats:
    """The median is what most of the picture says, whatever the car's colour."""
    result: Floats = pictures - np.median(pictures, axis=(-2, -1), keepdims=True)
    return result


def _cells(pictures: Floats) -> Floats:
    """Size of the mean of each cell: (..., 7, 7). Edges that do not quite fall together cancel out in it."""
    side = pictures.shape[-1] // CELLS
    result: Floats = np.abs(pictures.reshape(*pictures.shape[:-2], CELLS, side, CELLS, side).mean(axis=(-3, -1)))
    return result


def _in_one_line(different: NDArray[np.bool_]) -> NDArray[np.bool_]:
    by_row = different.sum(axis=2)
    result: NDArray[np.bool_] = by_row.sum(axis=1) == by_row.max(axis=1)
    return result


def _nth(cells: Floats) -> Floats:
    result: Floats = np.partition(cells.reshape(len(cells), CELLS**2), -1 - NTH, axis=1)[:, -1 - NTH]
    return result
