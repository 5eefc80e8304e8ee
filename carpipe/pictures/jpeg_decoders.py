"""Decoders of JPEGs that tell when libjpeg had something to complain of, behind two functions.

simplejpeg (TurboJPEG) stops at the first complaint and says it. It knows the common samplings only; for others
libvips says whether there is something, and Pillow makes the pixels. That is `UNNAMED_DECODES` decodes in place of one.
"""

import io
import re
import threading
import warnings
from typing import cast

import numpy as np
import simplejpeg
from PIL import Image

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]

_COMPLAINTS = threading.Lock()  # libvips collects what its threads complain of in one place
# Any number of FF may stand before a marker (T.81, B.1.1.2), and Pillow reads them one by one.
_FILL = re.compile(rb"\xff{64,}")
_UNNAMED = "determine subsampling"
# Decodes of a picture whose sampling has no name: two that may complain, one for the pixels.
UNNAMED_DECODES = 3
# Pixels. Detectors want a longer side of 640, so more than this helps nobody where the shorter one is not long. What
# is twice as long comes smaller, if it has more pixels than the square of this.
LONG = 4096
_SEQUENTIAL, _APP14, _SOS, _END = (0xC0, 0xC1, 0xC9), 0xEE, 0xDA, b"\xff\xd9"


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


def has_name(header: bytes) -> bool:
    """Whether simplejpeg knows the sampling of a JPEG, of which no more is needed than all up to its first scan."""
    try:
        read_size(header)
    except ValueError as error:
        return _UNNAMED not in str(error)
    return True


def sufficient(size: tuple[int, int], enough: int) -> tuple[int, int] | None:
    """The (width, height) that a picture of that size has to have at least, where half of it or less is enough.

    Args:
        size: (width, height).
        enough: pixels of both sides that suffice; of a banner `LONG` pixels of its length do. 0: all.
    """
    width, height = size
    if enough and min(size) >= 2 * enough:
        return enough, enough
    most = max(LONG, 2 * enough)
    if enough and max(size) >= 2 * most and width * height > most * most:
        return (most, 1) if width > height else (1, most)
    return None


def _scale(data: bytes, enough: int) -> dict[str, int]:
    if not enough:
        return {}
    height, width = read_size(data)
    least = sufficient((width, height), enough)
    return {"min_width": least[0], "min_height": least[1]} if least else {}


def _complain(data: bytes) -> None:
    """Raise ValueError where libjpeg has a complaint, or where data are left over."""
    if said := _complaint(_to_the_end(data)):
        raise ValueError(said)
    # libjpeg reads some bytes ahead, and does not miss them. Some cameras put zeros there.
    coded = data[: -len(_END)]
    if coded[-1:] != b"\0" and not _complaint(coded[:-1].rstrip(b"\xff") + _END):
        raise ValueError("Corrupt JPEG data: 1 extraneous bytes before marker 0xd9")


def _to_the_end(data: bytes) -> bytes:
    """The file as libvips has to read it for libjpeg to come to the end marker, and to say what is left over before it.

    Of a picture in one scan libvips takes the rows, and then no more. So one that is sequential gets a colour more in
    its frame, which no scan has: libjpeg then reads all scans before it makes rows (T.81, B.2.2). Adobe's marker, which
    says what the colours mean, would be wrong about it.
    """
    parts, position = [data[:2]], 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        if data[position + 1] == 0xFF:
            position += 1
            continue
        marker, stop = data[position + 1], position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == _SOS:
            return b"".join([*parts, data[position:]])
        if marker != _APP14:
            parts.append(_with_a_colour_more(data[position:stop]) if marker in _SEQUENTIAL else data[position:stop])
        position = stop
    return data


def _with_a_colour_more(frame: bytes) -> bytes:
    """A frame's marker and segment, with a colour in it that is sampled once."""
    length, count = int.from_bytes(frame[2:4], "big"), frame[9]
    unused = next(name for name in range(256) if name not in frame[10::3])
    colour = bytes((unused, 0x11, frame[12]))
    return frame[:2] + (length + 3).to_bytes(2, "big") + frame[4:9] + bytes([count + 1]) + frame[10:] + colour


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


def _by_pillow(data: bytes, enough: int) -> Pixels:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            opened = Image.open(io.BytesIO(_FILL.sub(b"\xff", data)), formats=("JPEG",))
            if least := sufficient(opened.size, enough):
                opened.draft(None, least)
            return np.array(opened.convert("RGB"))
        except (OSError, SyntaxError, LookupError, TypeError) as error:
            raise ValueError(str(error)) from None
