"""Photos as training sees them: flipped, turned, zoomed and lit anew, by one resampling from the decoded crop.

On NumPy, OpenCV and TurboJPEG alone, which let other threads run meanwhile. What is neither turned nor zoomed goes
through `model_input` instead, as it does where a model is judged and used, and is the same to the bit.
"""

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from carpipe.config import TrainingConfig
from carpipe.pictures.jpeg_decoders import decode_strictly
from carpipe.pictures.model_input import Pixels, to_batch

cv2.setNumThreads(1)  # photos are what runs in parallel

Matrix = np.ndarray[Any, np.dtype[np.float64]]
Draw = np.ndarray[Any, np.dtype[np.float64]]
# What three taps can spread at most and stay a low-pass filter: 1/4, 1/2, 1/4.
_SPREAD = 0.5
# Below this a filter changes less than rounding does.
_NEGLIGIBLE = 0.01


def augment(jpegs: Sequence[bytes], draws: Draw, config: TrainingConfig) -> Pixels:
    """The photos stretched to squares and augmented: uint8 (n, side, side, 3). Borders repeat the edge.

    Args:
        draws: (n, 4) from -1 to 1: whether it is mirrored, and how far it is turned, zoomed and lit.

    Raises:
        ValueError: one is no JPEG, or a damaged one.
    """
    side = config.image_size
    pictures = np.empty((len(jpegs), side, side, 3), np.uint8)
    moves = bool(config.rotation or config.zoom)
    for jpeg, draw, target in zip(jpegs, draws, pictures, strict=True):
        if moves:
            _resample(jpeg, draw, config, target)
        else:
            [plain] = to_batch([jpeg], side)
            target[:] = plain[:, ::-1] if _mirrored(draw, config) else plain
        _light(target, round(255 * config.brightness * draw[3]))
    return pictures


def to_crop(draw: Draw, config: TrainingConfig, *, width: int, height: int) -> Matrix:
    """The (2, 3) matrix that takes the centre of a pixel of the input to its place in a crop of that size.

    Flip, turn and zoom are about the centre of the square that the crop is stretched to.
    """
    side = config.image_size
    angle, scale = math.radians(draw[1] * config.rotation), 1 + draw[2] * config.zoom
    cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
    mirror = -1.0 if _mirrored(draw, config) else 1.0
    turn = np.array([[mirror * cos, -mirror * sin], [sin, cos]])
    linear = turn * [[width / side], [height / side]]
    shift = np.array([width - 1, height - 1]) / 2 - linear.sum(axis=1) * (side - 1) / 2
    return np.column_stack([linear, shift])


def _mirrored(draw: Draw, config: TrainingConfig) -> bool:
    return bool(config.flip and draw[0] > 0)


def _resample(jpeg: bytes, draw: Draw, config: TrainingConfig, target: Pixels) -> None:
    side = config.image_size
    crop = decode_strictly(jpeg, enough=0)
    height, width = crop.shape[:2]
    matrix = to_crop(draw, config, width=width, height=height)
    cv2.warpAffine(
        _smooth(crop, matrix),
        matrix,
        (side, side),
        dst=target,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


def _smooth(crop: Pixels, matrix: Matrix) -> Pixels:
    """Take out what the input has too few pixels to show.

    An antialiased resize weighs by a triangle as wide as two pixels of the input, of variance s^2/6 where s pixels of
    the crop become one. Interpolation between neighbours spreads by 1/6 already: the rest is done here.
    """
    spread = np.maximum(0, ((matrix[:, :2] ** 2).sum(axis=1) - 1) / 6)
    if spread.max() < _NEGLIGIBLE:
        return crop
    across, down = (_taps(float(one)) for one in spread)
    return cv2.sepFilter2D(crop, -1, across, down, borderType=cv2.BORDER_REPLICATE)  # type: ignore[return-value]


def _taps(variance: float) -> Matrix:
    """A symmetric filter of that variance, in pixels squared: three taps, or as many times three as it takes."""
    times = max(1, math.ceil(variance / _SPREAD))
    once = np.array([variance / times / 2, 1 - variance / times, variance / times / 2])
    taps = once
    for _ in range(times - 1):
        taps = np.convolve(taps, once)
    return taps


def _light(picture: Pixels, levels: int) -> None:
    """Add grey levels in place, from black to white at most."""
    shift = cv2.add if levels > 0 else cv2.subtract
    if levels:
        shift(picture, (abs(levels),) * 3 + (0,), dst=picture)  # type: ignore[call-overload]  # stubs know no scalars
