"""Decoders of JPEGs that tell when libjpeg had something to complain of, behind two functions.

simplejpeg (TurboJPEG) stops at the first complaint and says it. It knows the common samplings only; for others
libvips says whether there is something, and Pillow makes the pixels.
"""

import io
import re
import threading
import warnings
from bisect import bisect_left
from typing import cast

import numpy as np
import simplejpeg  # type: ignore[import-untyped]  # it comes without types
from PIL import Image

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]

_COMPLAINTS = threading.Lock()  # libvips collects what its threads complain of in one place
# Any number of FF may stand before a marker (T.81, B.1.1.2), and Pillow reads them one by one.
_FILL = re.compile(rb"\xff{64,}")
_UNNAMED = "determine subsampling"


def read_size(data: bytes, **scale: int) -> tuple[int, int]:
    """(height, width) as simplejpeg would decode it. ValueError: it cannot."""
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data, **scale)
    except KeyError:  # a sampling that TurboJPEG has a number for, and simplejpeg no name: 4:4:1
        raise ValueError(f"Could not {_UNNAMED}") from None
    return height, width


def decode_strictly(data: bytes, enough: int) -> Pixels:
    """The picture in RGB, uint8 (height, width, 3).

    Raises:
        ValueError: what libjpeg had to complain of first.
        MemoryError: there is not enough memory for it.
    """
    try:
        return cast(Pixels, simplejpeg.decode_jpeg(data, colorspace="RGB", strict=True, **_scale(data, enough)))
    except KeyError:  # as in `read_size`
        pass
    except ValueError as error:
        if "nsufficient memory" in str(error):
            raise MemoryError(str(error)) from None
        if _UNNAMED not in str(error):
            raise
    _complain(data)
    return _by_pillow(data, enough)


def decode_leniently(data: bytes, enough: int) -> Pixels:
    """As `decode_strictly`, whatever libjpeg complains of. What it has no data for, or never reaches, is grey."""
    try:
        scale = _scale(data, enough)
        height, width = read_size(data, **scale)
        canvas = np.full((height, width, 3), 128, dtype=np.uint8)
        return cast(Pixels, simplejpeg.decode_jpeg(data, colorspace="RGB", strict=False, buffer=canvas, **scale))
    except ValueError as error:
        if _UNNAMED not in str(error):
            raise
    return _by_pillow(data, enough)


def _scale(data: bytes, enough: int) -> dict[str, int]:
    if not enough:
        return {}
    height, width = read_size(data)
    return {"min_height": enough, "min_width": enough} if min(height, width) >= 2 * enough else {}


def _complain(data: bytes) -> None:
    """Raise ValueError where libjpeg has a complaint, or where data are left over, which libvips does not tell."""
    if said := _complaint(data):
        raise ValueError(said)
    if left := _left_over(data):
        raise ValueError(f"Corrupt JPEG data: {left} extraneous bytes before marker 0xd9")


def _complaint(data: bytes) -> str:
    import pyvips  # type: ignore[import-untyped]  # for few photos, and slow to load

    with _COMPLAINTS:
        pyvips.vips_lib.vips_error_clear()
        try:
            pyvips.Image.jpegload_buffer(data, fail_on="warning", access="sequential").avg()
        except pyvips.Error as error:
            return str(error)
        # What is wrong in the last rows comes too late for an error, but it is said.
        return str(pyvips.ffi.string(pyvips.vips_lib.vips_error_buffer()).decode(errors="replace"))


def _left_over(data: bytes) -> int:
    """How many bytes before the end marker nothing misses: all that are zeros, else the last."""
    coded, end = data[:-2], data[-2:]

    def missed(count: int) -> bool:
        return bool(_complaint(coded[: len(coded) - count].rstrip(b"\xff") + end))

    most = max(1, len(coded) - len(coded.rstrip(b"\0")))
    return bisect_left(range(1, most + 1), True, key=missed)


def _by_pillow(data: bytes, enough: int) -> Pixels:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            opened = Image.open(io.BytesIO(_FILL.sub(b"\xff", data)), formats=("JPEG",))
            if enough and min(opened.size) >= 2 * enough:
                opened.draft(None, (enough, enough))
            return np.array(opened.convert("RGB"))
        except (OSError, SyntaxError, LookupError, TypeError) as error:
            raise ValueError(str(error)) from None
