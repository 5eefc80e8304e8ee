"""Stretches of a JPEG that something has written over: a disk's empty sector, a transfer's filler.

libjpeg notices most of them, but not all: a few hundred zero bytes may happen to decode to as many blocks as they
replaced, and then only the colours of all below are wrong. Entropy-coded data hardly repeat one byte for long. They
do where the picture is flat and the tables were made for it, and which byte that is the tables tell.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from math import inf

from carpipe.pictures import runs
from carpipe.pictures.jpeg_segments import (
    DHT,
    DQT,
    PROGRESSIVE,
    SOS,
    Segment,
    Stream,
    huffman_codes,
    huffman_tables,
    quantisers,
)

# Bytes. On 10,600 photos the longest legal run is 7 in sequential data and 37 in progressive data, where a soft
# gradient repeats one coefficient.
_SHORTEST = {False: runs.SHORTEST, True: runs.LONG}
_END_OF_BLOCK = 0  # as a DC symbol: no difference to the block before. T.81, F.1.2

# By class: DC differences have up to 11 bits, AC coefficients up to 10.
_ALPHABETS = (bytes(range(12)), bytes(symbol for symbol in range(256) if symbol & 15 <= 10))

_Tables = dict[tuple[int, int], dict[int, str]]


def find_hole(data: bytes, stream: Stream, *, certain: bool = False) -> int | None:
    """Where in the file the first stretch of entropy-coded data begins that was written over.

    Args:
        data: the file.
        stream: its parts.
        certain: something was written over, so a shorter stretch is enough to say where.
    """
    scans, frame = stream.scans, stream.frame
    if not scans or frame is None:
        return None
    stretches = runs.Stretches(data, scans[0].start, scans[-1].stop)
    if not stretches.spans:
        return None
    least = runs.SHORTEST if certain else _SHORTEST[frame.marker in PROGRESSIVE]
    flat: float = 0
    for scan, allowed in _scans(stream, frame):
        refines = _refines_dc(scan.body, frame)
        for start, stop in _within(stretches.spans, scan):
            legal = data[start] in allowed if not refines else data[start] == 0 and stop - start <= 2 * flat
            long = stop - start >= least and not legal
            # Drawn pictures, too, have no zeros in sequential data.
            zeros = frame.marker not in PROGRESSIVE and data[start] == 0
            if long and (zeros or stretches.is_foreign((start, stop))):
                return start
            if certain and stop - start >= least:
                return start
            if not refines and legal:
                flat = max(flat, stop - start)
        if scan.body[-3] == 0 and not refines and not allowed:
            flat = inf  # flat blocks show as something else than a byte many times over
    return None


def _within(spans: list[tuple[int, int]], scan: Segment) -> Iterator[tuple[int, int]]:
    first = bisect_right(spans, scan.start, key=lambda span: span[1])
    last = bisect_left(spans, scan.stop, key=lambda span: span[0])
    for start, stop in spans[first:last]:
        yield max(start, scan.start), min(stop, scan.stop)


def _refines_dc(scan: bytes, frame: Segment) -> bool:
    """Whether the scan holds a bit for each block, not coded at all: zeros where the picture is flat and even."""
    return frame.marker in PROGRESSIVE and scan[-3] == 0 and scan[-1] >> 4 > 0


def has_sound_tables(stream: Stream) -> bool:
    """Whether the tables that count hold what tables can hold; where they were written over they rarely do."""
    frame = stream.frame.body if stream.frame else b""
    codes = {(kind, number >> 4 if kind == 0 else number & 15) for scan in stream.scans
             for number in scan.body[2:-3:2] for kind in (0, 1)}  # fmt: skip
    steps = [one for body in stream.bodies(DQT) for one in quantisers(body) if one[0] in frame[8::3]]
    tables = [one for body in stream.bodies(DHT) for one in huffman_tables(body) if one[0] in codes]
    return not any(_has_zero(values) for _, values in steps) and all(
        _is_alphabet(kind[0], symbols) for kind, _, symbols in tables
    )


def _is_alphabet(kind: int, symbols: bytes) -> bool:
    """No symbol twice, and none for more bits than coefficients of eight-bit samples have (T.81, F.1.2)."""
    return len(set(symbols)) == len(symbols) and not symbols.translate(None, _ALPHABETS[kind])


def _has_zero(values: bytes) -> bool:
    return 0 in values if len(values) == 64 else b"\0\0" in {values[i : i + 2] for i in range(0, 128, 2)}


def _scans(stream: Stream, frame: Segment) -> Iterator[tuple[Segment, set[int]]]:
    """Each scan, and the bytes of which it may legally hold many in a row."""
    tables: _Tables = {}
    for one in stream.segments:
        if one.marker == DHT:
            tables.update(huffman_codes(one.body))
        elif one.marker == SOS:
            yield one, _repeatable(one.body, frame, tables)


def _repeatable(scan: bytes, frame: Segment, tables: _Tables) -> set[int]:
    """The bytes that are nothing but flat blocks."""
    first, progressive = scan[-3], frame.marker in PROGRESSIVE
    sides = {frame.body[i]: (frame.body[i + 1] >> 4) * (frame.body[i + 1] & 15) for i in range(6, len(frame.body), 3)}
    bits = ""
    for name, numbers in zip(scan[1:-3:2], scan[2:-3:2], strict=True):
        block = ""
        if not progressive or first == 0:
            block += tables.get((0, numbers >> 4), {}).get(_END_OF_BLOCK, "?")
        if not progressive or first > 0:
            block += tables.get((1, numbers & 15), {}).get(_END_OF_BLOCK, "?")
        bits += block * (sides[name] if scan[0] > 1 else 1)
    return _bytes_of(bits)


def _bytes_of(bits: str) -> set[int]:
    """The bytes that the bits, over and over, consist of if that is one and the same; in all its eight shifts."""
    octet = (bits * 8)[:8]
    if "?" in bits or bits * 8 != octet * len(bits):
        return set()
    return {int(octet[shift:] + octet[:shift], 2) for shift in range(8)}
