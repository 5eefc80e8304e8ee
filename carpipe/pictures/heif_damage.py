"""HEIFs and AVIFs that lack data, by the table of contents of their container (ISO/IEC 14496-12, 23008-12)."""

import struct

from carpipe.pictures import runs
from carpipe.pictures.heif_boxes import MAX_TABLE_BYTES, item_kinds, item_places, picture_items, read_boxes
from carpipe.pictures.text_mode import is_mangled

_CODED = (b"hvc1", b"av01", b"avc1", b"jpeg")


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
    meta = next((body for kind, body in read_boxes(data) if kind == b"meta"), b"")[4:]
    boxes = dict(read_boxes(meta))
    if any(len(boxes.get(kind, b"")) > MAX_TABLE_BYTES for kind in (b"iinf", b"iloc", b"iref", b"iprp")):
        raise IndexError("a table is larger than that of any photo")
    kinds, items = dict(item_kinds(boxes.get(b"iinf", b""))), picture_items(boxes)
    places = item_places(boxes.get(b"iloc", b""))
    found = ((start, length) for item, start, length in places if item in items and kinds.get(item) in _CODED)
    return list(dict.fromkeys(found))  # pieces that are alike are stored once
