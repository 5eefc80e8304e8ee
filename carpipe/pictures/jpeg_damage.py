"""JPEGs decoded with a measure of what they lack, and repaired where nothing is missing.

libjpeg decodes a cut or overwritten file without an error: it says so in a warning, goes on and leaves the
blocks that it has no data for flat grey. So the warning is the hint, and what the picture lacks is then measured.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import simplejpeg  # type: ignore[import-untyped]  # it comes without types

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]

END = b"\xff\xd9"
# What libjpeg says (jerror.h) when it goes on decoding although data is missing or wrong. Other messages end the
# decoding, or are about headers and hide what comes after them: only the first is told.
_NO_END = "Premature end of JPEG file"
_STARVED = "Corrupt JPEG data: premature end of data segment"
_CORRUPT = "Corrupt JPEG data"
# Entropy-coded data hardly repeats one byte this often; an overwritten part of a file does.
_OVERWRITTEN = re.compile(rb"(.)\1{63}", re.DOTALL)
_PADDING = 16  # bytes at the end of a file that are all the same
_NEXT_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])", re.DOTALL)
_COEFFICIENTS = 64  # of a block of 8 x 8 pixels
_ALL_COEFFICIENTS = (1 << _COEFFICIENTS) - 1


@dataclass(frozen=True)
class Jpeg:
    """A decoded JPEG: uint8 (height, width, 3) in RGB, as stored (EXIF's turn is not undone).

    `damage` is the share of the picture, 0 to 1, that is not known to be whole. It is 1 where the decoder lost its
    place, as nobody can say how much of what it went on to decode is the photo's. `ends_early` tells a cut file from
    one that was overwritten. `repaired` is the file with its end marker put back, where that was all it lacked.
    """

    pixels: Pixels
    damage: float = 0.0
    ends_early: bool = False
    repaired: bytes | None = None


def decode_jpeg(data: bytes, *, enough: int = 0) -> Jpeg:
    """Decode all data of a JPEG.

    Args:
        data: the file; `simplejpeg.decode_jpeg_header` must have understood it.
        enough: pixels of both sides that suffice: a larger picture is decoded at a fraction (n/8) of its size, with
            every coefficient read all the same. 0: at full size.

    Raises:
        ValueError: nothing can be decoded.
        MemoryError: there is not enough memory for it.
    """
    try:
        pixels = _decode(data, enough)
    except ValueError as error:
        if "nsufficient memory" in str(error):
            raise MemoryError(str(error)) from None
        return _examine(data, str(error), enough)
    return Jpeg(pixels, missing_detail(data))


def missing_detail(data: bytes, *, unfinished: bool = False) -> float:
    """Share of the picture's coefficients that no scan of the file holds in full precision.

    A progressive JPEG sends the picture several times, finer each time (ITU-T T.81, annex G). Cut between two scans
    it decodes without a warning and looks washed out.

    Args:
        data: a JPEG.
        unfinished: the last scan is known to be incomplete and does not count.
    """
    if b"\xff\xc2" not in data and data.count(b"\xff\xda") < 2:
        return 0.0
    exact: dict[int, int] = {}  # by component, a bit for each coefficient
    scans: list[tuple[bytes, int]] = []
    for marker, body in _segments(data):
        if 0xC0 <= marker <= 0xC2:
            exact = dict.fromkeys(body[6::3], 0)
        elif marker == 0xDA and len(body) >= 6:
            *_, first, last, precision = body
            band = ((1 << last + 1) - 1) >> first << first if precision & 15 == 0 else 0
            scans.append((body[1:-3:2], band))
    for names, band in scans[:-1] if unfinished else scans:
        exact.update((name, exact[name] | band) for name in names if name in exact)
    known = sum((band & _ALL_COEFFICIENTS).bit_count() for band in exact.values())
    return 1 - known / (len(exact) * _COEFFICIENTS) if exact else 0.0


def find_exif(data: bytes) -> bytes:
    """The EXIF block of a JPEG, from its `Exif` on; empty where there is none."""
    if b"Exif\0\0" not in data:
        return b""
    return next((body for marker, body in _segments(data) if marker == 0xE1 and body.startswith(b"Exif\0\0")), b"")


def _decode(data: bytes, enough: int, *, lenient: bool = False) -> Pixels:
    """Of what a lenient decoder never reaches the pixels stay grey, like those it has no data for."""
    height, width, *_ = simplejpeg.decode_jpeg_header(data)
    least = enough if enough and min(height, width) >= 2 * enough else 0
    scale = {"min_height": least, "min_width": least}
    if not lenient:
        return cast(Pixels, simplejpeg.decode_jpeg(data, colorspace="RGB", strict=True, **scale))
    height, width, *_ = simplejpeg.decode_jpeg_header(data, **scale)
    canvas = np.full((height, width, 3), 128, dtype=np.uint8)
    return cast(Pixels, simplejpeg.decode_jpeg(data, colorspace="RGB", strict=False, buffer=canvas, **scale))


def _examine(data: bytes, warning: str, enough: int) -> Jpeg:
    """Tell what a JPEG lacks that libjpeg warned of; put its end marker back if it has none."""
    if warning != _NO_END:
        return _measure(data, warning, enough)
    # A disk or a server that loses the end of a file may pad it.
    bare = data.rstrip(data[-1:])
    sound = bare if len(data) - len(bare) >= _PADDING else data
    repaired = sound + END
    try:
        pixels = _decode(repaired, enough)
    except ValueError as error:
        return _measure(repaired, str(error), enough, ends_early=sound == data)
    # No warning: every block was decoded, and not a byte was left over.
    if not (missing := missing_detail(repaired)):
        return Jpeg(pixels, repaired=repaired)
    return Jpeg(pixels, missing, ends_early=True)


def _measure(data: bytes, warning: str, enough: int, *, ends_early: bool = False) -> Jpeg:
    if warning.startswith(_CORRUPT) and (overwritten := _OVERWRITTEN.search(data, _start_of_scan(data))):
        data, warning = data[: overwritten.start()] + END, _STARVED
    if not warning.startswith(_CORRUPT):
        raise ValueError(warning)
    pixels = _decode(data, enough, lenient=True)
    if warning == _STARVED:
        return Jpeg(pixels, max(_grey_share(pixels), missing_detail(data, unfinished=True)), ends_early)
    padding = re.fullmatch(rf"{_CORRUPT}: (\d+) extraneous bytes before marker 0xd9", warning)
    if padding and _is_padded(data, int(padding[1])):
        return Jpeg(pixels, missing_detail(data))
    return Jpeg(pixels, 1.0)


def _is_padded(data: bytes, count: int) -> bool:
    """Whether the bytes between picture and end marker are zeros, as some cameras write them."""
    end = data.rfind(END)
    return count <= end and not any(data[end - count : end])


def _start_of_scan(data: bytes) -> int:
    """Where the first entropy-coded data begin; headers may well repeat a byte."""
    return next((end for marker, _, end in _walk(data) if marker == 0xDA), len(data))


def _grey_share(pixels: Pixels) -> float:
    """Share of the 8 x 8 blocks that are one flat colour, that of zero coefficients; at least one block.

    It is mid grey, RGB (128, 128, 128), but for CMYK files, where the last pixel shows it.
    """
    colour = pixels[-1, -1] if abs(int(pixels[-1, -1].max()) - 128) > 1 else np.full(3, 128)
    rows, columns = pixels.shape[0] // 8, pixels.shape[1] // 8
    if not rows or not columns:
        return 1.0
    flat = (pixels[: rows * 8, : columns * 8] == colour).all(axis=2)
    share = float(flat.reshape(rows, 8, columns, 8).all(axis=(1, 3)).mean())
    return max(share, 1 / (rows * columns))


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    return ((marker, body) for marker, body, _ in _walk(data))


def _walk(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """(marker, body, where it ends) of each segment; entropy-coded data between segments is passed over."""
    position = 2
    while found := _NEXT_MARKER.search(data, position):
        marker, position = found[1][0], found.end()
        if marker == 0xD9:
            return
        length = int.from_bytes(data[position : position + 2], "big")
        body = data[position + 2 : position + length]
        position += length
        yield marker, body, position
