"""Colours brought to sRGB: what a picture's ICC profile calls red is not what screens and models take for it."""

import io
from functools import lru_cache
from itertools import product

import numpy as np
from PIL import Image, ImageCms

from carpipe.pictures.jpeg_decoders import Pixels

# Grey levels. Profiles that are sRGB by another name differ by one or two, Display P3 by up to 50.
_VISIBLE = 4
_LATTICE = (0, 64, 128, 192, 255)


def to_srgb(pixels: Pixels, profile: bytes) -> Pixels:
    """The picture's colours in sRGB, by the profile that came with them.

    A profile that is broken, or is not one for RGB, or makes no visible difference, changes nothing.

    Args:
        pixels: uint8 (height, width, 3), RGB.
        profile: an ICC profile; empty for none.
    """
    transform = _transform(profile) if profile else None
    if transform is None:
        return pixels
    return np.asarray(transform.apply(Image.fromarray(pixels)))


@lru_cache(maxsize=32)
def _transform(profile: bytes) -> ImageCms.ImageCmsTransform | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != "RGB":
            return None
        transform = ImageCms.buildTransform(
            source, ImageCms.createProfile("sRGB"), "RGB", "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC
        )
        lattice = np.array([list(product(_LATTICE, repeat=3))], np.uint8)
        shown = np.asarray(transform.apply(Image.fromarray(lattice)))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return transform if np.abs(shown.astype(int) - lattice).max() >= _VISIBLE else None
