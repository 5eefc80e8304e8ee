"""HEIFs and AVIFs that lack data, by the table of contents of their container (ISO/IEC 14496-12, 23008-12)."""

import struct
from collections.abc import Iterator

from carpipe.pictures import runs
from carpipe.pictures.text_mode import is_mangled

_CODED = (b"hvc1", b"av01", b"avc1", b"jpeg")
# How the types of auxiliary pictures that are alpha begin; others are depth and gain maps.
_ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1\0")
# What tables may hold: an item is a tile, mostly of 512 x 512 pixels, and libheif reads 32 pieces of each.
_MOST_BYTES, _MOST_ITEMS, _MOST_PIECES = 1 << 20, 4096, 32


def measure_heif(data: bytes) -> tuple[float, bool]:
    """Share of the coded picture, 0 to 1, that is not known to be whole, and whether the file ends before it does.

    It is arithmetic coded: no byte repeats for long, and line ends are as chance has it. Thumbnails and maps beside it
    do not count. Where the table of contents cannot be read, or says that the picture is more than the file, the
    decoder has to tell.
    """
    # First, as the table of contents is rewritten too.
    if is_mangled(data[data.find(b"mdat") + 4 :]):
        return 1.0, False
    try:
        places = _coded(data)
    except (struct.error, IndexError):
        return 0.0, False
    total = sum(length for _, length in places)
    there = sum(max(min(length, len(data) - start), 0) for start, length in places)
    if not total or there > len(data):
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


def _coded(data: bytes) -> list[tuple[int, int]]:
    """(where, how long) of each piece of the picture. IndexError: a table is too large, or ends early."""
    meta = next((body for kind, body in _boxes(data) if kind == b"meta"), b"")[4:]
    boxes = dict(_boxes(meta))
    if any(len(boxes.get(kind, b"")) > _MOST_BYTES for kind in (b"iinf", b"iloc", b"iref", b"iprp")):
        raise IndexError("a table is larger than that of any photo")
    kinds, items = dict(_kinds(boxes.get(b"iinf", b""))), _picture_items(boxes)
    places = _places(boxes.get(b"iloc", b""))
    found = ((start, length) for item, start, length in places if item in items and kinds.get(item) in _CODED)
    return list(dict.fromkeys(found))  # pieces that are alike are stored once


def _picture_items(boxes: dict[bytes, bytes]) -> set[int]:
    """The primary item, those it is derived from (tiles of a grid), and their alpha."""
    primary = boxes.get(b"pitm", b"")
    todo, parts = [int.from_bytes(primary[4:], "big")] if primary else [], _parts(boxes)
    found: set[int] = set()
    while todo:
        item = todo.pop()
        if item not in found:
            found.add(item)
            todo += parts.get(item, ())
    return found


def _parts(boxes: dict[bytes, bytes]) -> dict[int, list[int]]:
    """By item: what it is derived from, and its alpha."""
    references, alphas = boxes.get(b"iref", b""), _alphas(boxes.get(b"iprp", b""))
    wide = 4 if references[:1] == b"\1" else 2
    parts: dict[int, list[int]] = {}
    for kind, body in _boxes(references[4:]):
        read = _Reader(body, 0)
        item = read.number(wide)
        others = [read.number(wide) for _ in range(read.number(2))]
        if kind == b"dimg":
            parts.setdefault(item, []).extend(others)
        elif kind == b"auxl" and item in alphas:
            for other in others:
                parts.setdefault(other, []).append(item)
    return parts


def _alphas(properties: bytes) -> set[int]:
    """Items that say that they are alpha."""
    boxes = list(_boxes(properties))
    kinds = [own for kind, body in boxes if kind == b"ipco" for own in _boxes(body)]
    alpha = {i for i, (kind, body) in enumerate(kinds, 1) if kind == b"auxC" and body[4:].startswith(_ALPHA)}
    found = set()
    for body in (body for kind, body in boxes if kind == b"ipma" and alpha):
        read, size = _Reader(body, 4), 2 if body[3] & 1 else 1
        for _ in range(read.number(4)):
            item = read.number(4 if body[0] else 2)
            numbers = [read.number(size) & (0x7FFF if size == 2 else 0x7F) for _ in range(read.number(1))]
            if not alpha.isdisjoint(numbers):
                found.add(item)
    return found


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
    """(item, where in the file, how long) of each piece that lies in the file itself. IndexError: too many."""
    if not table:
        return
    version, sizes = table[0], (table[4] >> 4, table[4] & 15, table[5] >> 4, table[5] & 15)
    read = _Reader(table, 6)
    wide = 4 if version == 2 else 2
    for _ in range(_at_most(_MOST_ITEMS, read.number(wide))):
        item = read.number(wide)
        method = read.number(2) & 15 if version else 0
        read.number(2)
        base = read.number(sizes[2])
        for _ in range(_at_most(_MOST_PIECES, read.number(2))):
            read.number(sizes[3] if version else 0)
            start, length = read.number(sizes[0]), read.number(sizes[1])
            if method == 0:
                yield item, base + start, length


def _at_most(limit: int, number: int) -> int:
    if number > limit:
        raise IndexError(f"{number} are more than {limit}")
    return number


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
