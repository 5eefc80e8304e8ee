"""BMPs that lack rows. Pixels stand there as they are, so zeros may be missing data or black paint."""

import struct

_PLAIN = (0, 3)  # compressions without any: RGB, bit fields


def measure_bmp(data: bytes) -> tuple[float, bool]:
    """Share of the rows' bytes, 0 to 1, that are not known to be whole, and whether the file ends before them.

    Zeros up to the end that begin in the midst of a row, where the row before goes on and nothing led to black, are a
    file that was reserved and not filled. What was written over elsewhere is not seen.
    """
    if len(data) < 54:
        return 0.0, False
    start, header = struct.unpack_from("<I", data, 10)[0], struct.unpack_from("<I", data, 14)[0]
    if header < 40:
        return 0.0, False
    width, height, _, depth, compression = struct.unpack_from("<iiHHI", data, 18)
    row = (abs(width) * depth + 31) // 32 * 4
    size = row * abs(height)
    if compression not in _PLAIN or not size:
        return 0.0, False
    if start + size > len(data):
        return 1 - max(0, len(data) - start) / size, True
    return _reserved(data[start : start + size], row) / size, False


def _reserved(rows: bytes, row: int) -> int:
    """How many zeros at the end no picture ends with."""
    begin = len(rows.rstrip(b"\0"))
    left = begin % row
    before, beside = rows[begin - left - row : begin - left], rows[begin - left : begin]
    if len(rows) - begin < row or left < row // 16 or len(before) < row:
        return 0
    # A shadow or a frame would have darkened the row before, too, and what is beside the first zero.
    lit = (before[left:], beside, beside[-12:])
    return len(rows) - begin if all(sum(part) > 32 * len(part) for part in lit if part) else 0
