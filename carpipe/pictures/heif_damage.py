"""HEIFs and AVIFs that lack data, by the table of contents of their container (ISO/IEC 14496-12, 23008-12)."""

import struct
from collections.abc import Iterator

from carpipe.pictures import runs

_CODED = (b"hvc1", b"av01", b"avc1", b"jpeg")


def measure_heif(data: bytes) -> tuple[float, bool]:
    """Share of the coded pictures, 0 to 1, that is not known to be whole, and whether the file ends before they do.

    They are arithmetic coded: no byte repeats for long. Where the table of contents cannot be read, the decoder has
    to tell.
    """
    try:
        places = list(_coded(data))
    except (struct.error, IndexError):
        return 0.0, False
    total = sum(length for _, length in places)
    if not total:
        return 0.0, False
    return 1 - sum(_sound(data, *place) for place in places) / total, any(sum(place) > len(data) for place in places)


def _sound(data: bytes, start: int, length: int) -> int:
    stop = min(start + length, len(data))
    stretches = runs.Stretches(data, start, stop)
    if len(stretches.spans) == 1:
        begin, end = stretches.spans[0]
        if end - begin >= runs.LONG and stretches.is_foreign((begin, end)):
            stop = begin
    return max(stop - start, 0)


def _coded(data: bytes) -> Iterator[tuple[int, int]]:
    """(where, how long) of each piece of coded pictures."""
    meta = next((body for kind, body in _boxes(data) if kind == b"meta"), b"")[4:]
    boxes = dict(_boxes(meta))
    kinds = dict(_kinds(boxes.get(b"iinf", b"")))
    for item, start, length in _places(boxes.get(b"iloc", b"")):
        if kinds.get(item) in _CODED:
            yield start, length


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 0
    while position + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        header = 8
        if size == 1:
            (size,), header = struct.unpack_from(">Q", data, position + 8), 16
        stop = position + size if size else len(data)
        if size and size < header:
            return
        yield kind, data[position + header : stop] if kind != b"mdat" else b""
        position = stop


def _kinds(info: bytes) -> Iterator[tuple[int, bytes]]:
    for kind, body in _boxes(info[6 if info[:1] == b"\0" else 8 :]):
        if kind == b"infe" and body[0] in (2, 3):
            wide = 4 if body[0] == 3 else 2
            yield int.from_bytes(body[4 : 4 + wide], "big"), body[6 + wide : 10 + wide]


def _places(table: bytes) -> Iterator[tuple[int, int, int]]:
    """(item, where in the file, how long) of each piece that lies in the file itself."""
    if not table:
        return
    version, sizes = table[0], (table[4] >> 4, table[4] & 15, table[5] >> 4, table[5] & 15)
    read = _Reader(table, 6)
    wide = 4 if version == 2 else 2
    for _ in range(read.number(wide)):
        item = read.number(wide)
        method = read.number(2) & 15 if version else 0
        read.number(2)
        base = read.number(sizes[2])
        for _ in range(read.number(2)):
            read.number(sizes[3] if version else 0)
            start, length = read.number(sizes[0]), read.number(sizes[1])
            if method == 0:
                yield item, base + start, length


class _Reader:
    """Numbers of given sizes, one after the other."""

    def __init__(self, data: bytes, position: int):
        self._data, self._position = data, position

    def number(self, size: int) -> int:
        """The next number. IndexError: the table ends."""
        if self._position + size > len(self._data):
            raise IndexError("the table ends early")
        self._position += size
        return int.from_bytes(self._data[self._position - size : self._position], "big")
