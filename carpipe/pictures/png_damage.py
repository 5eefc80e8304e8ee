"""PNGs whose compressed data end before their rows do: decoders show the missing rows as black, without an error."""

import struct
import zlib
from collections.abc import Iterator

# By colour type: samples per pixel. PNG specification, 11.2.2.
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Of the seven passes of an interlaced picture: first column and row, steps. PNG specification, 8.2.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_PIECE = 1 << 20  # bytes unpacked at a time


def measure_png(data: bytes) -> float:
    """Share of the rows' bytes, 0 to 1, that the file does not hold; 1 where its checksum says they are wrong.

    Args:
        data: a PNG that a decoder could open. Of an animated one the default picture is measured.
    """
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", data[16:29])
    passes = _PASSES if interlaced else ((0, 0, 1, 1),)
    expected = 0
    for left, top, across, down in passes:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            expected += rows * (1 + -(-columns * _SAMPLES.get(colour, 1) * depth // 8))
    try:
        found = sum(_unpacked(data, expected))
    except zlib.error:
        return 1.0
    return max(0.0, 1 - found / expected)


def _unpacked(data: bytes, enough: int) -> Iterator[int]:
    """Numbers of bytes unpacked, up to `enough` or the end, where the checksum is verified."""
    unpacker, total = zlib.decompressobj(), 0
    for packed in _image_data(data):
        while packed and not unpacker.eof and total <= enough:
            size = len(unpacker.decompress(packed, _PIECE))
            packed = unpacker.unconsumed_tail
            total += size
            yield size


def _image_data(data: bytes) -> Iterator[bytes]:
    position = 8
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        if kind == b"IDAT":
            yield data[position + 8 : position + 8 + length]
        position += 12 + length
