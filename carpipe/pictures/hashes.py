"""What pictures are recognised by: equal files, and pictures that look alike."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from carpipe.pictures.jpeg_decoders import Pixels

Matrix = NDArray[np.integer[Any] | np.floating[Any]]

SIGNATURE_SIDE = 32  # pixels, of its grey part
COLOUR_SIDE = 16  # pixels, of its two colour parts
SIGNATURE_BYTES = SIGNATURE_SIDE**2 + 2 * COLOUR_SIDE**2
# What the inner hash leaves out on each side, as a share of it. In the middle of what people cut off or put around.
INNER = 0.03


@dataclass(frozen=True)
class Look:
    """What a picture is recognised by.

    `signature` is the picture in 32 x 32 grey pixels, then 16 x 16 each of its colour differences Cb and Cr (as in
    JPEG, ITU-T T.871): SIGNATURE_BYTES of uint8, row by row, each the mean of its area. `dhash` and `dhash_inner` are
    of all of it and of its inner part.
    """

    signature: bytes
    dhash: str
    dhash_inner: str


def look(pixels: Pixels) -> Look:
    """What a picture is recognised by.

    Args:
        pixels: uint8 (height, width, 3) in RGB.
    """
    pixels = _halved(pixels)
    whole = cv2.cvtColor(_mean_of_areas(pixels, SIGNATURE_SIDE), cv2.COLOR_RGB2YCrCb)
    inner = cv2.cvtColor(_mean_of_areas(_inner(pixels), SIGNATURE_SIDE), cv2.COLOR_RGB2GRAY)
    grey, red, blue = cv2.split(whole)
    colours = (_mean_of_areas(colour, COLOUR_SIDE).tobytes() for colour in (blue, red))
    signature = b"".join([grey.tobytes(), *colours])
    return Look(signature, *_dhashes(np.stack([grey, inner])))


def dhash(image: Image.Image) -> str:
    """64-bit difference hash, 16 hex digits.

    Source: N. Krawetz, "Kind of Like That", 2013: grey, 9x8 pixels, each compared with its right neighbour.
    """
    grey = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BILINEAR), dtype=np.int16)
    return np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes().hex()


def _weights(side: int) -> NDArray[np.float64]:
    """Pillow's weights (SIGNATURE_SIDE, side) of a bilinear reduction: whole numbers of 2**-22, so sums are exact."""
    scale = SIGNATURE_SIDE / side
    middles = (np.arange(side) + 0.5) * scale
    distances = np.abs(np.arange(SIGNATURE_SIDE)[:, None] + 0.5 - middles)
    triangles = np.maximum(0, 1 - distances / scale)
    weights: NDArray[np.float64] = np.floor(triangles / triangles.sum(axis=0) * _ONE + 0.5) / _ONE
    return weights


_ONE = 1 << 22
_ACROSS, _DOWN = _weights(9), _weights(8).T


def _dhashes(greys: Pixels) -> Iterator[str]:
    """As `dhash` of each of the pictures (n, SIGNATURE_SIDE, SIGNATURE_SIDE), in a fraction of the time."""
    rows = np.floor(greys @ _ACROSS + 0.5)
    small = np.floor(_DOWN @ rows + 0.5)
    for bits in small[:, :, 1:] > small[:, :, :-1]:
        yield np.packbits(bits).tobytes().hex()


def sha256(data: bytes) -> str:
    """Of the file's bytes, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def _inner(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    top, left = round(height * INNER), round(width * INNER)
    return pixels[top : height - top, left : width - left]


def _halved(pixels: Pixels) -> Pixels:
    """Half the size where that is enough: by a factor of two, means are ten times as fast as by others."""
    height, width = (side // 2 for side in pixels.shape[:2])
    if min(height, width) < 2 * SIGNATURE_SIDE:
        return pixels
    even = pixels[: 2 * height, : 2 * width]
    return cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _mean_of_areas(pixels: Matrix, side: int) -> Pixels:
    return cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
