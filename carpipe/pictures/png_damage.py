"""PNGs whose compressed data end before their rows do: decoders show the missing rows as black, without an error."""

import struct
import zlib
from collections.abc import Iterator

from carpipe.pictures.chunks import png_chunks

# By colour type: samples per pixel. PNG specification, 11.2.2.
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = (1, 2, 4, 8, 16)  # bits a sample
# Of the seven passes of an interlaced picture: first column and row, steps. PNG specification, 8.2.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_PACKED, _PIECE = 1 << 14, 1 << 20  # bytes that are unpacked at a time, and to how many
_SURPLUS = 1 << 16  # bytes behind the last row that are passed over: some programs write a few


def measure_png(data: bytes) -> float:
    """Share of the rows' bytes, 0 to 1, that the file does not hold; 1 where they are wrong.

    A checksum says whether they are. Data that go on behind the last row never come to it: zeros that were written over
    a file may unpack to one byte without end.

    Args:
        data: a PNG, sound or not, of a size that may be unpacked: it is, row by row, up to that size and no further. Of
            an animated one the default picture is measured.

    Raises:
        ValueError: no PNG has such pixels.
    """
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", data[16:29])
    if colour not in _SAMPLES or depth not in _DEPTHS:
        raise ValueError(f"colour type {colour} with {depth} bits is none of PNG")
    passes = _PASSES if interlaced else ((0, 0, 1, 1),)
    expected = 0
    for left, top, across, down in passes:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            expected += rows * (1 + -(-columns * _SAMPLES[colour] * depth // 8))
    try:
        found, ended = _unpack(data, expected + _SURPLUS)
    except zlib.error:
        return 1.0
    return 1.0 if found > expected and not ended else max(0.0, 1 - found / expected)


def png_size(data: bytes) -> tuple[int, int]:
    """(width, height) as the header says. struct.error: there is none."""
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def _unpack(data: bytes, enough: int) -> tuple[int, bool]:
    """How many bytes are unpacked, up to `enough` or a little more, and whether that is all and the checksum right."""
    unpacker, total = zlib.decompressobj(), 0
    for packed in _image_data(data):
        while packed and not unpacker.eof and total <= enough:
            total += len(unpacker.decompress(packed, _PIECE))
            packed = unpacker.unconsumed_tail
    return total, unpacker.eof


def _image_data(data: bytes) -> Iterator[bytes]:
    """In small pieces: each time that one is unpacked in part, the rest of it is copied."""
    for kind, body in png_chunks(data):
        if kind == b"IDAT":
            yield from (body[at : at + _PACKED] for at in range(0, len(body), _PACKED))
