"""How large an AV1 picture is by its own sequence headers (AV1 specification, 5.3 to 5.5), whatever its container says.

libavif decodes what the data say and then brings it to the size that the container says.
"""

from collections.abc import Iterator

from carpipe.pictures.varint import read_varint

_SEQUENCE_HEADER = 1
_MAX_UNITS = 10_000  # a picture has a dozen, and one for each tile


def coded_size(data: bytes) -> tuple[int, int]:
    """(width, height) at most, of the frames in the data of an item; zeros where there is no sequence header.

    IndexError, ValueError: a header ends early, or there are more units than a picture has.
    """
    sizes = [_size(body) for kind, body in _units(data) if kind == _SEQUENCE_HEADER]
    return max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))


def _units(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, first bytes) of each OBU."""
    position = 0
    for _ in range(_MAX_UNITS):
        if position >= len(data):
            return
        first = data[position]
        position += 2 if first & 4 else 1
        size, position = read_varint(data, position) if first & 2 else (len(data) - position, position)
        yield first >> 3 & 15, data[position : position + min(size, 256)]
        position += size
    raise IndexError(f"there are more than {_MAX_UNITS} units")


def _size(body: bytes) -> tuple[int, int]:
    bits = _Bits(body)
    bits.read(4)  # profile, still picture
    if bits.read(1):  # a header that is reduced to what a still picture needs
        bits.read(5)
    else:
        _skip_operating_points(bits)
    across, down = bits.read(4) + 1, bits.read(4) + 1
    return bits.read(across) + 1, bits.read(down) + 1


def _skip_operating_points(bits: "_Bits") -> None:
    delay_bits = 0
    if bits.read(1):  # timing
        bits.read(64)
        if bits.read(1):
            bits.uvlc()
        if bits.read(1):  # decoder model
            delay_bits = bits.read(5) + 1
            bits.read(42)
    has_display_delay = bits.read(1)
    for _ in range(bits.read(5) + 1):
        bits.read(12)
        if bits.read(5) > 7:
            bits.read(1)
        if delay_bits and bits.read(1):
            bits.read(2 * delay_bits + 1)
        if has_display_delay and bits.read(1):
            bits.read(4)


class _Bits:
    """Numbers of so many bits, one after the other."""

    def __init__(self, data: bytes):
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def read(self, count: int) -> int:
        """The next number. IndexError: the data end."""
        self._left -= count
        if self._left < 0:
            raise IndexError("the header ends early")
        return self._value >> self._left & (1 << count) - 1

    def uvlc(self) -> None:
        """A number that says by zeros how long it is."""
        zeros = 0
        while not self.read(1):
            zeros += 1
        self.read(min(zeros, 32))
