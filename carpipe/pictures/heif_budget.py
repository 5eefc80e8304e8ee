"""What a HEIF or AVIF may cost: its picture may be put together of others, which may be put together of others.

The list of parts is a graph that the file draws. One tile may stand in it a thousand times, and each time is decoded.
"""

from contextlib import suppress

from carpipe.pictures.av1 import coded_size
from carpipe.pictures.heif_boxes import (
    MAX_TABLE_BYTES,
    TooManyError,
    item_kinds,
    item_places,
    item_sizes,
    parts_of,
    primary_item,
    read_boxes,
)
from carpipe.pictures.photo_error import PhotoError

# Tiles that are decoded for a picture: one of 48 megapixels has 192, of 512 x 512 pixels each.
MAX_TILES = 2048
# Pixels of all tiles and of alpha, as a multiple of the pixels that the picture may have. Tiles at the edges are cut.
TILES_OF_LARGEST = 3
# How deep pictures may be made of pictures: an overlay of turned grids is 3.
MAX_DEPTH = 8
# Bytes of properties: hold the colour profile, of up to 4 MB.
MAX_PROPERTIES_BYTES = 8 << 20
# Times that all data of a file may belong to several items: tiles that are alike are stored once.
MAX_TIMES_SHARED = 4
_TABLES = {b"iinf": MAX_TABLE_BYTES, b"iloc": MAX_TABLE_BYTES, b"iref": MAX_TABLE_BYTES, b"iprp": MAX_PROPERTIES_BYTES}


def check_heif(data: bytes, *, max_pixels: int) -> tuple[int, int]:
    """(width, height) of the picture, as its container says, or its data, if that is more; zeros where none does.

    Args:
        data: the file.
        max_pixels: that the picture may have.

    Raises:
        PhotoError: `bomb`: there are more parts than a photo has, or they cost more.
        IndexError, struct.error: a box ends early.
    """
    try:
        meta = next((body for kind, body in read_boxes(data) if kind == b"meta"), b"")[4:]
        boxes = dict(read_boxes(meta))
        for kind, most in _TABLES.items():
            if len(boxes.get(kind, b"")) > most:
                raise TooManyError(f"a table of {len(boxes[kind]):,} bytes is larger than {most:,}")
        sizes = item_sizes(boxes.get(b"iprp", b""))
        for item, size in _coded_sizes(data, boxes).items():
            sizes[item] = max(sizes.get(item, size), size, key=lambda one: one[0] * one[1])
        work = _Work(parts_of(boxes), {item: width * height for item, (width, height) in sizes.items()})
        primary = primary_item(boxes)
        tiles, pixels = (0, 0) if primary is None else work.of(primary, 0)
    except TooManyError as error:
        raise PhotoError("bomb", f"The file has more parts than a photo: {error}.") from None
    if tiles > MAX_TILES or pixels > TILES_OF_LARGEST * max_pixels:
        raise PhotoError("bomb", f"{tiles:,} tiles of together {pixels:,} pixels are more than a photo has.")
    return sizes.get(primary, (0, 0)) if primary is not None else (0, 0)


def _coded_sizes(data: bytes, boxes: dict[bytes, bytes]) -> dict[int, tuple[int, int]]:
    """By item: how large AV1 data are that no decoder holds against the size that the container says."""
    kinds = dict(item_kinds(boxes.get(b"iinf", b"")))
    pieces: dict[int, list[bytes]] = {}
    total = 0
    for item, start, length in item_places(boxes.get(b"iloc", b"")):
        if kinds.get(item) == b"av01":
            pieces.setdefault(item, []).append(data[start : start + length] if length else data[start:])
            total += len(pieces[item][-1])
            if total > MAX_TIMES_SHARED * len(data):
                raise TooManyError(f"its items share their data more than {MAX_TIMES_SHARED} times")
    sizes = {}
    for item, parts in pieces.items():
        with suppress(IndexError, ValueError):
            sizes[item] = coded_size(b"".join(parts))
    return sizes


class _Work:
    """How many pictures are decoded for an item, and of how many pixels together; each item is looked at once."""

    def __init__(self, parts: dict[int, list[int]], pixels: dict[int, int]):
        self._parts, self._pixels = parts, pixels
        self._known: dict[int, tuple[int, int]] = {}

    def of(self, item: int, depth: int) -> tuple[int, int]:
        if depth > MAX_DEPTH:  # or in a circle
            raise TooManyError(f"pictures are made of pictures more than {MAX_DEPTH} deep")
        if item not in self._known:
            found = [self.of(part, depth + 1) for part in self._parts.get(item, ())]
            own = self._pixels.get(item, 0)
            self._known[item] = (
                max(1, sum(tiles for tiles, _ in found)),
                max(own, sum(pixels for _, pixels in found)),
            )
        return self._known[item]
