"""How a photo was held and what its colours mean: read from the metadata, which never decides about the picture.

Whatever is wrong with them, or too large: then there are none.
"""

import re
import warnings
import zlib
from collections.abc import Iterator

from PIL import Image

from carpipe.pictures.chunks import png_chunks, riff_chunks
from carpipe.pictures.jpeg_segments import APP1, APP2, Stream

# Bytes. EXIF's first directory is at its beginning; profiles of cameras and printers have up to 3 MB.
EXIF_SIZE, _PROFILE_SIZE = 1 << 16, 4 << 20
# EXIF 2.3, tag 0x0112: how the camera was held, and what turns its picture upright.
_ORIENTATION = 0x0112
_EXIF, _ICC = b"Exif\0\0", b"ICC_PROFILE\0"
_XMP_ORIENTATION = re.compile(rb"tiff:Orientation(?:=\"|>)([1-8])")


def read_orientation(data: bytes, name: str, segments: Stream | None) -> int:
    """The EXIF orientation of a file, 1 to 8; 1, upright, where there is none.

    Args:
        data: the file.
        name: its format.
        segments: the parts of a JPEG.
    """
    block = _exif_of_jpeg(segments) if segments else _EXIF_BLOCKS[name](data) if name in _EXIF_BLOCKS else b""
    # The tag in either byte order; most photos do without, and Pillow need not look.
    if b"\x01\x12" not in block and b"\x12\x01" not in block:
        found = _XMP_ORIENTATION.search(_xmp(data)) if name in ("PNG", "WEBP") else None
        return int(found[1]) if found else 1
    return orientation_of(block)


def orientation_of(block: bytes) -> int:
    """What a block of EXIF says; 1 where it is broken: that says nothing of the picture."""
    exif = Image.Exif()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is odd about EXIF is no news
        try:
            exif.load(block)
            return int(exif.get(_ORIENTATION, 1))
        except Exception:  # Pillow's parser lets many kinds through
            return 1


def read_profile(data: bytes, name: str, segments: Stream | None) -> bytes:
    """The ICC profile of a file; empty where there is none. Arguments as of `read_orientation`."""
    try:
        profile = _profile_of_jpeg(segments) if segments else _PROFILES[name](data) if name in _PROFILES else b""
    except (ValueError, zlib.error):
        return b""
    return profile if len(profile) <= _PROFILE_SIZE else b""


def _exif_of_jpeg(stream: Stream) -> bytes:
    return next((body for body in stream.bodies(APP1) if body.startswith(_EXIF)), b"")


def _exif_of_png(data: bytes) -> bytes:
    return _first(png_chunks(data), b"eXIf")[:EXIF_SIZE] or _exif_as_text(data)


def _exif_as_text(data: bytes) -> bytes:
    """EXIF in hexadecimal digits, as ImageMagick wrote it before PNG had a chunk for it."""
    for kind, body in png_chunks(data):
        keyword, _, text = body.partition(b"\0")
        if kind in (b"tEXt", b"zTXt") and keyword in (b"Raw profile type exif", b"Raw profile type APP1"):
            return _from_digits(text, packed=kind == b"zTXt")
    return b""


def _from_digits(text: bytes, *, packed: bool) -> bytes:
    try:
        text = zlib.decompressobj().decompress(text[1:], 2 * EXIF_SIZE) if packed else text[: 2 * EXIF_SIZE]
        digits = b"".join(text.split()[2:])  # behind the name and the size
        return bytes.fromhex(digits[: len(digits) // 2 * 2].decode("ascii", "replace"))
    except (ValueError, zlib.error):
        return b""


def _exif_of_webp(data: bytes) -> bytes:
    return _first(riff_chunks(data), b"EXIF")[:EXIF_SIZE]


def _xmp(data: bytes) -> bytes:
    if data.startswith(b"RIFF"):
        return _first(riff_chunks(data), b"XMP ")
    return next((body for kind, body in png_chunks(data) if kind == b"iTXt" and body.startswith(b"XML:com.ad")), b"")


def _profile_of_jpeg(stream: Stream) -> bytes:
    """A profile comes in pieces with numbers (ICC.1:2022, B.4)."""
    pieces = [body[len(_ICC) :] for body in stream.bodies(APP2) if body.startswith(_ICC)]
    if not pieces or min(map(len, pieces)) < 2:
        return b""
    pieces.sort()
    if [piece[0] for piece in pieces] != list(range(1, pieces[0][1] + 1)):
        return b""
    return b"".join(piece[2:] for piece in pieces)


def _profile_of_png(data: bytes) -> bytes:
    body = _first(png_chunks(data), b"iCCP")
    _, _, packed = body.partition(b"\0")
    return zlib.decompressobj().decompress(packed[1:], _PROFILE_SIZE + 1)


def _profile_of_webp(data: bytes) -> bytes:
    return _first(riff_chunks(data), b"ICCP")


def _first(chunks: Iterator[tuple[bytes, bytes]], wanted: bytes) -> bytes:
    return next((body for kind, body in chunks if kind == wanted), b"")


_EXIF_BLOCKS = {"PNG": _exif_of_png, "WEBP": _exif_of_webp}
_PROFILES = {"PNG": _profile_of_png, "WEBP": _profile_of_webp}
