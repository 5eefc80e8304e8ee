"""What pictures are recognised by: equal files, and pictures that look alike."""

import hashlib

import numpy as np
from PIL import Image

SIGNATURE_SIDE = 32  # pixels


def dhash(image: Image.Image) -> str:
    """64-bit difference hash, 16 hex digits.

    Source: N. Krawetz, "Kind of Like That", 2013: grey, 9x8 pixels, each compared with its right neighbour.
    """
    grey = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BILINEAR), dtype=np.int16)
    return np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes().hex()


def signature(image: Image.Image) -> bytes:
    """The picture in 32 x 32 grey pixels, each the mean of its area: uint8, row by row, 1,024 bytes."""
    return image.convert("L").resize((SIGNATURE_SIDE, SIGNATURE_SIDE), Image.Resampling.BOX).tobytes()


def sha256(data: bytes) -> str:
    """Of the file's bytes, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()
