"""The boxes of a HEIF or AVIF: which items there are, what they are made of, and where they lie (ISO/IEC 23008-12)."""

import struct
from collections.abc import Iterator

# How the types of auxiliary pictures that are alpha begin; others are depth and gain maps.
_ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1\0")
# What tables may hold: an item is a tile, mostly of 512 x 512 pixels, and libheif reads 32 pieces of each.
MAX_TABLE_BYTES, MAX_ITEMS, MAX_PIECES = 1 << 20, 4096, 32
# Boxes side by side: those about items are at most a few for each.
MAX_BOXES = 4 * MAX_ITEMS


class TooManyError(IndexError):
    """There is more of something than any photo has."""


def primary_item(boxes: dict[bytes, bytes]) -> int | None:
    """The item that is the picture, of the boxes in `meta`."""
    primary = boxes.get(b"pitm", b"")
    return int.from_bytes(primary[4:], "big") if primary else None


def picture_items(boxes: dict[bytes, bytes]) -> set[int]:
    """The primary item, those it is derived from (tiles of a grid), and their alpha; of the boxes in `meta`."""
    primary = primary_item(boxes)
    todo, parts = [] if primary is None else [primary], parts_of(boxes)
    found: set[int] = set()
    while todo:
        item = todo.pop()
        if item not in found:
            found.add(item)
            todo += parts.get(item, ())
    return found


def parts_of(boxes: dict[bytes, bytes]) -> dict[int, list[int]]:
    """By item: what it is derived from, as often as it is, and its alpha."""
    references, alphas = boxes.get(b"iref", b""), _alphas(boxes.get(b"iprp", b""))
    wide = 4 if references[:1] == b"\1" else 2
    parts: dict[int, list[int]] = {}
    for kind, body in read_boxes(references[4:]):
        read = Reader(body, 0)
        item = read.number(wide)
        others = [read.number(wide) for _ in range(read.number(2))]
        if kind == b"dimg":
            parts.setdefault(item, []).extend(others)
        elif kind == b"auxl" and item in alphas:
            for other in others:
                parts.setdefault(other, []).append(item)
    return parts


def item_sizes(properties: bytes) -> dict[int, tuple[int, int]]:
    """(width, height) by item, of the box `iprp`: what `ispe` says, which the coded data may belie."""
    kinds = dict(enumerate(_properties(properties), 1))
    sizes: dict[int, tuple[int, int]] = {}
    for item, numbers in _associations(properties):
        for kind, body in (kinds[number] for number in numbers if number in kinds):
            if kind == b"ispe" and len(body) >= 12:
                size = int.from_bytes(body[4:8], "big"), int.from_bytes(body[8:12], "big")
                sizes[item] = max(sizes.get(item, size), size, key=lambda one: one[0] * one[1])
    return sizes


def _alphas(properties: bytes) -> set[int]:
    """Items that say that they are alpha."""
    kinds = enumerate(_properties(properties), 1)
    alpha = {i for i, (kind, body) in kinds if kind == b"auxC" and body[4:].startswith(_ALPHA)}
    return {item for item, numbers in _associations(properties) if alpha and not alpha.isdisjoint(numbers)}


def _properties(properties: bytes) -> list[tuple[bytes, bytes]]:
    return [own for kind, body in read_boxes(properties) if kind == b"ipco" for own in read_boxes(body)]


def _associations(properties: bytes) -> Iterator[tuple[int, list[int]]]:
    """(item, numbers of its properties, which count from 1)."""
    for kind, body in read_boxes(properties):
        if kind != b"ipma":
            continue
        read, size = Reader(body, 4), 2 if body[3] & 1 else 1
        for _ in range(read.number(4)):
            item = read.number(4 if body[0] else 2)
            yield item, [read.number(size) & (0x7FFF if size == 2 else 0x7F) for _ in range(read.number(1))]


def read_boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, body) of each box in the data, of `mdat` without its body. TooManyError: there are too many."""
    position = 0
    for _ in range(MAX_BOXES):
        if position + 8 > len(data):
            return
        size, kind = struct.unpack_from(">I4s", data, position)
        header = 8
        if size == 1:
            (size,), header = struct.unpack_from(">Q", data, position + 8), 16
        stop = position + size if size else len(data)
        if size and size < header:
            return
        yield kind, data[position + header : stop] if kind != b"mdat" else b""
        position = stop
    raise TooManyError(f"there are more than {MAX_BOXES} boxes in one place")


def item_kinds(info: bytes) -> Iterator[tuple[int, bytes]]:
    """(item, its type), of the box `iinf`."""
    for kind, body in read_boxes(info[6 if info[:1] == b"\0" else 8 :]):
        if kind == b"infe" and body[0] in (2, 3):
            wide = 4 if body[0] == 3 else 2
            yield int.from_bytes(body[4 : 4 + wide], "big"), body[6 + wide : 10 + wide]


def item_places(table: bytes) -> Iterator[tuple[int, int, int]]:
    """(item, where in the file, how long) of each piece that lies in the file itself, of the box `iloc`.

    TooManyError: there are too many.
    """
    if not table:
        return
    version, sizes = table[0], (table[4] >> 4, table[4] & 15, table[5] >> 4, table[5] & 15)
    read = Reader(table, 6)
    wide = 4 if version == 2 else 2
    for _ in range(_at_most(MAX_ITEMS, read.number(wide))):
        item = read.number(wide)
        method = read.number(2) & 15 if version else 0
        read.number(2)
        base = read.number(sizes[2])
        for _ in range(_at_most(MAX_PIECES, read.number(2))):
            read.number(sizes[3] if version else 0)
            start, length = read.number(sizes[0]), read.number(sizes[1])
            if method == 0:
                yield item, base + start, length


def _at_most(limit: int, number: int) -> int:
    if number > limit:
        raise TooManyError(f"{number} are more than {limit}")
    return number


class Reader:
    """Numbers of given sizes, one after the other."""

    def __init__(self, data: bytes, position: int):
        self._data, self._position = data, position

    def number(self, size: int) -> int:
        """The next number. IndexError: the table ends."""
        if self._position + size > len(self._data):
            raise IndexError("the table ends early")
        self._position += size
        return int.from_bytes(self._data[self._position - size : self._position], "big")
