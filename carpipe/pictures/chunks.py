"""The chunks of PNG and WebP files, and files of the picture's own chunks alone.

Text, history, profiles and EXIF may be of any size and broken in any way; decoders that meet them may refuse the
picture. So they do not get to see them.
"""

import struct
import zlib
from collections.abc import Iterator

PNG = b"\x89PNG\r\n\x1a\n"
_PNG_PICTURE = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
# Bytes of clear colours, by the type of colour. PNG specification, 11.3.2.1.
_CLEAR = {b"\0": range(2, 3), b"\2": range(6, 7), b"\3": range(1, 257)}
_WEBP_PICTURE = (b"ALPH", b"VP8 ", b"VP8L", b"ANIM", b"ANMF")
# Of the flags of an extended WebP those that are about the picture: an alpha channel, an animation.
_VP8X_ALPHA, _VP8X_ANIMATED = 0x10, 0x02


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, body) of each chunk; the last may be cut."""
    return ((kind, data[start + 8 : stop]) for kind, start, stop in _png(data))


def png_picture(data: bytes) -> bytes:
    """A PNG without metadata."""
    return b"".join(
        [PNG, *(data[start : stop + 4] for kind, start, stop in _png(data) if _is_picture(data, start, stop))]
    )


def _is_picture(data: bytes, start: int, stop: int) -> bool:
    """Clear colours belong to the picture, but one without them is better than none."""
    kind = data[start + 4 : start + 8]
    if kind != b"tRNS":
        return kind in _PNG_PICTURE
    sound = zlib.crc32(data[start + 4 : stop]) == int.from_bytes(data[stop : stop + 4], "big")
    return sound and stop - start - 8 in _CLEAR.get(data[25:26], ())


def _png(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(kind, where it begins, where its body ends) of each chunk."""
    position = len(PNG)
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        stop = position + 8 + length
        yield kind, position, stop
        if kind == b"IEND":
            return
        position = stop + 4


def riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, body) of each chunk of a RIFF file, whatever that says of its own size; the last may be cut."""
    return ((kind, data[start : start + length]) for kind, start, length in riff_places(data))


def riff_places(data: bytes, start: int = 12, stop: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """(kind, where its body begins, how long it says it is) of each chunk."""
    position, last = start, len(data) if stop is None else stop
    while position + 8 <= last:
        kind, length = struct.unpack_from("<4sI", data, position)
        yield kind, position + 8, length
        position += 8 + length + length % 2


def webp_picture(data: bytes) -> bytes:
    """A WebP without metadata."""
    parts = []
    for kind, body in riff_chunks(data):
        if kind == b"VP8X" and len(body) >= 10:
            flags = body[0] & (_VP8X_ALPHA | _VP8X_ANIMATED)
            parts.append(_riff_chunk(kind, bytes([flags]) + body[1:10]))
        elif kind in _WEBP_PICTURE:
            parts.append(_riff_chunk(kind, body))
    return _riff(b"".join(parts))


def webp_of(kind: bytes, body: bytes) -> bytes:
    """A WebP of one chunk."""
    return _riff(_riff_chunk(kind, body))


def _riff(chunks: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def _riff_chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)
