"""WebPs that lack data: libwebp decodes zeros and line ends of another system without an error."""

from collections.abc import Iterator

from carpipe.pictures import runs
from carpipe.pictures.chunks import riff_places
from carpipe.pictures.text_mode import is_mangled

_CODED = (b"VP8 ", b"VP8L", b"ALPH")
_FRAME_HEADER = 16  # bytes of an ANMF chunk before its own chunks


def measure_webp(data: bytes) -> tuple[float, bool]:
    """Share of the coded picture, 0 to 1, that is not known to be whole, and whether the file ends before it does.

    It is arithmetic or Huffman coded all through: no byte repeats for long. From a stretch that was written over on
    nothing is the photo's. Of an animation the first picture is measured.
    """
    places = list(_coded(data))
    total = sum(length for _, length in places)
    if not total:
        return 0.0, False
    sound = sum(_sound(data, start, length) for start, length in places)
    cut = any(start + length > len(data) for start, length in places)
    if any(is_mangled(data[start : start + length]) for start, length in places):
        return 1.0, cut
    return 1 - sound / total, cut


def _sound(data: bytes, start: int, length: int) -> int:
    """Bytes up to the first that was written over, or to the end."""
    stop = min(start + length, len(data))
    first = next(runs.find_runs(data, start, stop), None)
    return max(0, (max(first[0], start) if first else stop) - start)


def _coded(data: bytes) -> Iterator[tuple[int, int]]:
    """Where the coded data of the first picture begin, and how long they say they are."""
    for kind, start, length in riff_places(data):
        if kind == b"ANMF":
            for inner, begin, size in riff_places(data, start + _FRAME_HEADER, min(start + length, len(data))):
                if inner in _CODED:
                    yield begin, size
            return
        if kind in _CODED:
            yield start, length
