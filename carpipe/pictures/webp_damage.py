"""WebPs that lack data: libwebp decodes zeros and line ends of another system without an error."""

from collections.abc import Iterator

import cv2
import numpy as np

from carpipe.pictures import runs
from carpipe.pictures.chunks import riff_places, webp_of
from carpipe.pictures.text_mode import is_mangled

_CODED = (b"VP8 ", b"VP8L", b"ALPH")
_FRAME_HEADER = 16  # bytes of an ANMF chunk before its own chunks
# Bytes. Flat areas make shorter ones, and at high quality longer ones too.
_SHORTEST = 256
# Bytes at the end without which nothing can be decoded; on 700 pictures the fewest are 1 to 4.
_LAST = 8


def measure_webp(data: bytes) -> tuple[float, bool]:
    """Share of the coded picture, 0 to 1, that is not known to be whole, and whether the file ends before it does.

    From a stretch that was written over on nothing is the photo's. Of an animation the first picture is measured.
    """
    places = list(_coded(data))
    total = sum(length for _, _, length in places)
    if not total:
        return 0.0, False
    sound = sum(_sound(data, *place) for place in places)
    cut = any(start + length > len(data) for _, start, length in places)
    if any(is_mangled(data[start : start + length]) for _, start, length in places):
        return 1.0, cut
    return 1 - sound / total, cut


def _sound(data: bytes, kind: bytes, start: int, length: int) -> int:
    """Bytes up to the first that was written over, or to the end."""
    stop = min(start + length, len(data))
    stretches = runs.Stretches(data, start, stop)
    long = [span for span in stretches.spans if span[1] - span[0] >= _SHORTEST]
    if long and not _is_drawn(kind, data[start : stop - _LAST], stretches):
        return max(long[0][0] - start, 0)
    return max(stop - start, 0)


def _is_drawn(kind: bytes, nearly_all: bytes, stretches: runs.Stretches) -> bool:
    """Whether the stretches may come from flat areas: all data were needed, and they are not like one lost sector."""
    if kind != b"ALPH" and _decodes(kind, nearly_all):
        return False
    return len(stretches.spans) > 1 or not stretches.is_foreign(stretches.spans[0])


def _decodes(kind: bytes, coded: bytes) -> bool:
    try:
        return cv2.imdecode(np.frombuffer(webp_of(kind, coded), np.uint8), cv2.IMREAD_COLOR) is not None
    except cv2.error:
        return False


def _coded(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """What the coded data of the first picture are, where they begin, and how long they say they are."""
    for kind, start, length in riff_places(data):
        if kind == b"ANMF":
            for inner, begin, size in riff_places(data, start + _FRAME_HEADER, min(start + length, len(data))):
                if inner in _CODED:
                    yield inner, begin, size
            return
        if kind in _CODED:
            yield kind, start, length
        if kind in _CODED[:2]:
            return  # decoders take no more than one
