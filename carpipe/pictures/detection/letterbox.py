"""Pictures as detectors want them: of one size, with a border where their form is another."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# The grey of the border, as YOLO models have learnt it.
_BORDER = 114


class Placed(NamedTuple):
    """Where a picture lies in the network's input: scale across and down, pixels on its left and above it."""

    across: float
    down: float
    left: int
    top: int

    def undo(self, boxes: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
        """Boxes (n, 4) x0 y0 x1 y1 of the input in pixels of the picture of (width, height), within it."""
        moved = (boxes - [self.left, self.top, self.left, self.top]) / [self.across, self.down, self.across, self.down]
        return np.clip(moved, 0, [*size, *size]).astype(np.float32)


def smallest_input(size: tuple[int, int], *, side: int, stride: int) -> tuple[int, int]:
    """Height and width of the smallest input that a picture of (width, height) fits into, scaled to `side`."""
    scale = side / max(size)
    across, down = (max(round(length * scale), 1) for length in size)
    return side - (side - down) // stride * stride, side - (side - across) // stride * stride


def letterbox(picture: Image.Image, shape: tuple[int, int]) -> tuple[NDArray[np.uint8], Placed]:
    """A picture in the middle of an input of (height, width), as large as it fits; RGB (height, width, 3)."""
    import cv2

    height, width = shape
    scale = min(height / picture.height, width / picture.width)
    across, down = max(round(picture.width * scale), 1), max(round(picture.height * scale), 1)
    # Half a pixel goes to the right and below.
    left, top = (round((room - length) / 2 - 0.1) for room, length in ((width, across), (height, down)))
    whole = np.full((height, width, 3), _BORDER, np.uint8)
    pixels: Any = np.asarray(picture)
    if picture.size != (across, down):
        pixels = cv2.resize(pixels, (across, down), interpolation=cv2.INTER_LINEAR)
    whole[top : top + down, left : left + across] = pixels
    return whole, Placed(scale, scale, left, top)


def stretch(picture: Image.Image, shape: tuple[int, int]) -> tuple[NDArray[np.uint8], Placed]:
    """A picture stretched to an input of (height, width), as DETR models have learnt it; RGB (height, width, 3)."""
    import cv2

    height, width = shape
    pixels: Any = cv2.resize(np.asarray(picture), (width, height), interpolation=cv2.INTER_LINEAR)
    return pixels, Placed(width / picture.width, height / picture.height, 0, 0)
