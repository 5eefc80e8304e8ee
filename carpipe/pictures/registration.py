"""Two pictures brought to fall together, where one is the other cut a little, framed, squeezed or mirrored."""

import cv2
import numpy as np
from numpy.typing import NDArray

from carpipe.pictures.hashes import COLOUR_SIDE, SIGNATURE_SIDE

Matrix = NDArray[np.float32]

# How far the corners may move, as a share of the side: 4 % cut off or 2 % put around, and some room.
FAR = 0.06
# Cutting and framing do not turn a picture, other photos of a model may be turned to fit: one degree.
TURNED = 0.02
_STOP = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 40, 1e-4)
_SHAPE = (SIGNATURE_SIDE, SIGNATURE_SIDE)
_EVERYWHERE = np.full(_SHAPE, 255, np.uint8)
_LAST = SIGNATURE_SIDE - 1
_CORNERS = np.array([[0, 0, 1], [_LAST, 0, 1], [0, _LAST, 1], [_LAST, _LAST, 1]], np.float32).T


def align(one: NDArray[np.uint8], other: NDArray[np.uint8], *, scale: float) -> NDArray[np.float32] | None:
    """The signature `other` would have if its picture were cut as that of `one`; None where they do not fit together.

    Args:
        one: a signature.
        other: the signature to be moved.
        scale: where to start: how much of `other`, as a share of its side, `one` shows; the middle of both.

    Source: G. Evangelidis, E. Psarakis, "Parametric Image Alignment Using Enhanced Correlation Coefficient
    Maximization", PAMI 2008, as in OpenCV, with an affine motion; it does not mind brightness and contrast.
    """
    goal, grey = (picture[: SIGNATURE_SIDE**2].reshape(_SHAPE).astype(np.float32) for picture in (one, other))
    motion = _find_motion(goal, grey, scale)
    if motion is None:
        return None
    colours = other[SIGNATURE_SIDE**2 :].reshape(2, COLOUR_SIDE, COLOUR_SIDE).astype(np.float32)
    coarse = _for_colours(motion)
    return np.concatenate([_moved(grey, motion).ravel(), *(_moved(colour, coarse).ravel() for colour in colours)])


def mirrored(signatures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The signatures (n, SIGNATURE_BYTES) of the mirrored pictures."""
    grey = signatures[:, : SIGNATURE_SIDE**2].reshape(-1, SIGNATURE_SIDE, SIGNATURE_SIDE)
    colours = signatures[:, SIGNATURE_SIDE**2 :].reshape(-1, 2, COLOUR_SIDE, COLOUR_SIDE)
    turned = np.empty_like(signatures)
    turned[:, : SIGNATURE_SIDE**2] = grey[..., ::-1].reshape(-1, SIGNATURE_SIDE**2)
    turned[:, SIGNATURE_SIDE**2 :] = colours[..., ::-1].reshape(-1, 2 * COLOUR_SIDE**2)
    return turned


def _find_motion(goal: Matrix, picture: Matrix, scale: float) -> Matrix | None:
    """Where each pixel of `goal` is in `picture`, as an affine map (2, 3); None where that is too far."""
    start = np.array([[scale, 0, (1 - scale) * _LAST / 2], [0, scale, (1 - scale) * _LAST / 2]], np.float32)
    try:
        _, found = cv2.findTransformECC(goal, picture, start, cv2.MOTION_AFFINE, _STOP, _EVERYWHERE, 1)
    except cv2.error:  # they do not converge, or one of them is flat
        return None
    motion = np.asarray(found, np.float32)
    turned = np.abs([motion[0, 1], motion[1, 0]]).max()
    far = np.abs(motion @ _CORNERS - _CORNERS[:2]).max() > FAR * SIGNATURE_SIDE
    return None if far or turned > TURNED else motion


def _moved(picture: Matrix, motion: Matrix) -> Matrix:
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(picture, motion, picture.shape[::-1], flags=how, borderMode=cv2.BORDER_REPLICATE)
    return moved.astype(np.float32, copy=False)


def _for_colours(motion: Matrix) -> Matrix:
    """The same motion in pixels of the colour part; both count from the middle of their first pixel."""
    share = COLOUR_SIDE / SIGNATURE_SIDE
    middle = (1 - share) / 2
    linear = motion[:, :2]
    shift = share * (motion[:, 2] + linear @ np.full(2, middle / share)) - middle
    return np.column_stack([linear, shift]).astype(np.float32)
