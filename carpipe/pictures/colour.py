"""Colours brought to sRGB: what a picture's ICC profile calls red is not what screens and models take for it."""

import io
import mmap
from functools import lru_cache
from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from carpipe.pictures.jpeg_decoders import Pixels

# Grey levels. Profiles that are sRGB by another name differ by one or two, Display P3 by up to 50.
_VISIBLE = 4
_LATTICE = (0, 64, 128, 192, 255)
# A colour in four bytes, of which the last tells nothing.
_Packed = NDArray[np.uint32]
_RGBX, _COLOURS = np.dtype("<u4"), 1 << 24
# Profiles whose colours are kept, of the first that come: 64 MB each, of which the colours of photos fill about half.
_MAX_TABLES = 2
_BAND = 1 << 18  # pixels that are looked up at a time: what that takes stays in the processor's cache


def to_srgb(pixels: Pixels, profile: bytes) -> Pixels:
    """The picture's colours in sRGB, by the profile that came with them.

    A profile that is broken, or is not one for RGB, or makes no visible difference, changes nothing.

    Args:
        pixels: uint8 (height, width, 3), RGB; they may be overwritten.
        profile: an ICC profile; empty for none.
    """
    transform = _transform(profile) if profile else None
    if transform is None:
        return pixels
    table = _table(profile)
    if table is None:
        return _applied(transform, pixels)
    _look_up(pixels, transform, table)
    return pixels


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
        shown = _applied(transform, lattice)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return transform if np.abs(shown.astype(int) - lattice).max() >= _VISIBLE else None


def _applied(transform: ImageCms.ImageCmsTransform, pixels: Pixels) -> Pixels:
    return np.asarray(transform.apply(Image.fromarray(pixels)))


_tables: dict[bytes, _Packed] = {}


def _table(profile: bytes) -> _Packed | None:
    """What the profile's colours are in sRGB, as far as they were met; 0 for the others. None: there is no room.

    Memory that could be shared is none of what a photo may allocate (`isolation`), so as many photos fit as without.
    """
    if profile not in _tables and len(_tables) < _MAX_TABLES:
        try:
            room = mmap.mmap(-1, _COLOURS * _RGBX.itemsize)
        except OSError:
            return None
        _tables[profile] = np.frombuffer(room, _RGBX)
    return _tables.get(profile)


def _look_up(pixels: Pixels, transform: ImageCms.ImageCmsTransform, table: _Packed) -> None:
    """Put in place what the transform shows. It takes 15 ns for a pixel, whatever it has seen; this takes 4."""
    rows = max(1, _BAND // pixels.shape[1])
    for top in range(0, pixels.shape[0], rows):
        band = pixels[top : top + rows]
        colours = _packed(band) & np.uint32(_COLOURS - 1)
        shown = table.take(colours)
        if not shown.all():
            missing = np.flatnonzero(shown == 0)
            new = np.unique(colours[missing])
            table[new] = _packed(_applied(transform, _unpacked(new)))
            shown[missing] = table[colours[missing]]
        band[:] = _unpacked(shown).reshape(band.shape)


def _packed(pixels: Pixels) -> _Packed:
    """One number for each pixel, row by row; none is 0."""
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2RGBA).view(_RGBX).ravel()


def _unpacked(colours: _Packed) -> Pixels:
    """The pixels (1, n, 3)."""
    return cv2.cvtColor(colours.view(np.uint8).reshape(1, -1, 4), cv2.COLOR_RGBA2RGB).astype(np.uint8, copy=False)
