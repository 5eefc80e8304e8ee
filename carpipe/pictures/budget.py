"""What a photo may cost: a file that asks its decoder for more than a photo does is refused before it is decoded.

Every format has a knob that costs the decoder much and the file nothing: a JPEG may be sent in a thousand scans, a
PNG in a million chunks. What a knob may be turned to is a constant here, far beyond what cameras and programs write.
Headers and lists of parts are all that is looked at, and no longer than a second for the largest file.
"""

import re
import struct
from collections.abc import Callable
from itertools import islice

from carpipe.pictures.chunks import png_chunks, riff_places
from carpipe.pictures.heif_budget import check_heif
from carpipe.pictures.jpeg_segments import ARITHMETIC, DAC, DHT, DQT, DRI, Stream
from carpipe.pictures.photo_error import PhotoError

# Scans of a JPEG. Cameras make 1, libjpeg 10, mozjpeg up to some 20; 64 coefficients of 3 colours sent alone and
# in one go are 190, and nobody does that. libjpeg's own example of a script for patient people has some 50.
MAX_SCANS = 100
# Scans times pixels of a JPEG, as a multiple of the pixels it may have: the largest photo may have 20 scans, one of a
# fifth of it 100. A scan visits every block even where it says nothing of it: 0.2 to 0.5 ns a pixel. With 110 million
# pixels that is a second at most, and of a broken file, which is decoded four times, four.
SCANS_OF_LARGEST = 20
# An arithmetic coded scan has a decision for each coefficient, whether there are data or not: eight times as much.
# No camera makes it. A photo of 24 megapixels may have its usual 10 scans.
ARITHMETIC_COST = 8
# Bytes of a JPEG's tables together. A scan brings at most 8, of 289 bytes. They are looked at one by one, at 10 us.
MAX_TABLES_BYTES = 1 << 18
# Chunks of a PNG: 40 MB in pieces of 800 bytes; programs write 8 kB or more in one. Pillow takes 10 us for each.
MAX_PNG_CHUNKS = 50_000
# Chunks of a WebP: one for each frame of an animation, and few else.
MAX_RIFF_CHUNKS = 10_000
# Blocks of up to 255 bytes in a GIF: before its first picture, of text that Pillow puts together anew for each (2 MB),
# and of the picture (40 MB in full blocks are 157,000).
MAX_GIF_TEXT_BLOCKS, MAX_GIF_BLOCKS = 8_000, 200_000
# Bytes of a run-length coded BMP: Pillow unpacks it in Python, at 0.5 us a byte. Photos do not get smaller by it.
MAX_BMP_RUN_BYTES = 4_000_000

# How the header of a scan begins: its marker, and a length that fits one to four colours.
_SCAN = re.compile(rb"\xff\xda\x00[\x06-\x0e]", re.DOTALL)
_VP8X, _VP8L, _VP8 = b"VP8X", b"VP8L", b"VP8 "
_RUN_LENGTH_CODED = (1, 2)  # compressions of a BMP


def check_jpeg(data: bytes, stream: Stream, size: tuple[int, int], *, max_pixels: int, decodes: int = 1) -> int:
    """How many scans a JPEG has, so many as its decoder may find.

    Args:
        data: the file.
        stream: its parts.
        size: (width, height).
        max_pixels: that it may have; the more, the more scans.
        decodes: how often a sound one is decoded; the more, the fewer scans. One whose sampling has no name is more
            often.

    Raises:
        PhotoError: `bomb`.
    """
    tables = sum(len(one.body) for one in stream.segments if one.marker in (DHT, DQT, DAC, DRI))
    _at_most(MAX_TABLES_BYTES, tables, "bytes of tables")
    scans = max(len(stream.scans), count_scans(data, stream))
    _at_most(MAX_SCANS, scans, "scans")
    arithmetic = stream.frame is not None and stream.frame.marker in ARITHMETIC
    work = scans * decodes * size[0] * size[1] * (ARITHMETIC_COST if arithmetic else 1)
    _at_most(SCANS_OF_LARGEST * max_pixels, work, "pixels in all scans together")
    return scans


def count_scans(data: bytes, stream: Stream) -> int:
    """Headers of scans in a JPEG, in its picture or where a decoder may take them for its own; not in its metadata.

    Decoders find their way through odd files each in their own way, and none finds a scan without these bytes.
    """
    stop = len(data) if stream.end is None else stream.end
    # Previews in metadata have scans too, few each; one of a million segments must not be counted to its end.
    most = MAX_SCANS + 64 * len(stream.segments)
    found = sum(1 for _ in islice(_SCAN.finditer(data, 0, stop), most))
    if found <= MAX_SCANS:
        return found
    inside = (one.body for one in stream.segments if one.marker >= 0xE0)
    return found - sum(sum(1 for _ in _SCAN.finditer(body)) for body in inside)


def check_other(data: bytes, name: str, *, max_pixels: int) -> None:
    """Refuse a file of another format that costs more than a photo.

    Args:
        data: the file.
        name: its format, one of `formats.FORMATS` but JPEG.
        max_pixels: that it may have, by its header, whatever its decoder makes of that.

    Raises:
        PhotoError: `bomb`.
    """
    width, height = size_of(data, name, max_pixels=max_pixels)
    if width * height > max_pixels:
        raise PhotoError("bomb", f"{width}x{height} pixels are more than {max_pixels}.")


def size_of(data: bytes, name: str, *, max_pixels: int = 1 << 30) -> tuple[int, int]:
    """(width, height) of a picture that is no JPEG, as its header says; zeros where that ends early.

    Raises:
        PhotoError: `bomb`, as `check_other`.
    """
    try:
        return _CHECKS[name](data) if name in _CHECKS else check_heif(data, max_pixels=max_pixels)
    except (struct.error, IndexError):
        return 0, 0  # the decoder says what is wrong


def _at_most(limit: int, number: int, what: str) -> None:
    if number > limit:
        raise PhotoError("bomb", f"{number:,} {what} are more than {limit:,}.")


def _check_png(data: bytes) -> tuple[int, int]:
    number = 0
    for number, (kind, _) in enumerate(png_chunks(data), 1):
        if number > MAX_PNG_CHUNKS:
            break
        if kind == b"IHDR" and number > 1:
            raise PhotoError("bomb", "The file says twice how large its picture is.")
    _at_most(MAX_PNG_CHUNKS, number, "chunks")
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _check_gif(data: bytes) -> tuple[int, int]:
    """Up to the first picture, which is the one that is decoded."""
    size: tuple[int, int] = struct.unpack_from("<HH", data, 6)
    position, text = 13 + _gif_table(data[10]), 0
    while position + 10 <= len(data) and data[position] in b"\x21\x2c":
        if data[position] == 0x2C:
            left, top, width, height, flags = struct.unpack_from("<HHHHB", data, position + 1)
            _behind_blocks(data, position + 11 + _gif_table(flags), MAX_GIF_BLOCKS)
            return max(size[0], left + width), max(size[1], top + height)
        position, blocks = _behind_blocks(data, position + 2, MAX_GIF_TEXT_BLOCKS)
        text += blocks + 1
        _at_most(MAX_GIF_TEXT_BLOCKS, text, "blocks of text")
    return size


def _gif_table(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _behind_blocks(data: bytes, position: int, limit: int) -> tuple[int, int]:
    """Where blocks end, and how many they are."""
    for number in range(limit + 1):
        if position >= len(data) or not data[position]:
            return position + 1, number
        position += 1 + data[position]
    raise PhotoError("bomb", f"More than {limit:,} blocks are more than a picture has.")


def _check_webp(data: bytes) -> tuple[int, int]:
    """The largest of the sizes that a WebP's parts name: canvas, lossy and lossless picture. RFC 9649."""
    sizes = [(0, 0)]
    number = 0
    for number, (kind, start, _) in enumerate(riff_places(data), 1):
        if number > MAX_RIFF_CHUNKS:
            break
        if kind == _VP8X and start + 10 <= len(data):
            sides = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (start + 4, start + 7))
            sizes.append((next(sides), next(sides)))
        elif kind == _VP8L and start + 5 <= len(data):
            bits = int.from_bytes(data[start + 1 : start + 5], "little")
            sizes.append(((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1))
        elif kind == _VP8 and start + 10 <= len(data):
            width, height = struct.unpack_from("<HH", data, start + 6)
            sizes.append((width & 0x3FFF, height & 0x3FFF))
    _at_most(MAX_RIFF_CHUNKS, number, "chunks")
    return max(sizes, key=lambda size: size[0] * size[1])


def _check_bmp(data: bytes) -> tuple[int, int]:
    (header,) = struct.unpack_from("<I", data, 14)
    if header < 40:
        width, height = struct.unpack_from("<HH", data, 18)
        return width, height
    width, height = struct.unpack_from("<ii", data, 18)
    (compression,) = struct.unpack_from("<I", data, 30)
    if compression in _RUN_LENGTH_CODED:
        _at_most(MAX_BMP_RUN_BYTES, len(data), "bytes of runs")
    return abs(width), abs(height)


_CHECKS: dict[str, Callable[[bytes], tuple[int, int]]] = {
    "PNG": _check_png,
    "GIF": _check_gif,
    "WEBP": _check_webp,
    "BMP": _check_bmp,
}
