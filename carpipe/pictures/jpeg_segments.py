"""A JPEG's parts: what belongs to the picture, told from metadata, stray bytes, previews and what comes behind it.

Cameras, editors and transfers put much into a JPEG that is none of the picture's, and get some of it wrong. Here the
picture's own parts are found (ITU-T T.81, annex B) and put together again without the rest.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

START, END = b"\xff\xd8", b"\xff\xd9"
DHT, DQT, DRI, DAC, SOS, EOI, SOI, COM = 0xC4, 0xDB, 0xDD, 0xCC, 0xDA, 0xD9, 0xD8, 0xFE
APP0, APP1, APP2, APP14 = 0xE0, 0xE1, 0xE2, 0xEE
# Frames by Huffman and arithmetic coding; lossless, hierarchical and other kinds are not read.
SEQUENTIAL, PROGRESSIVE, ARITHMETIC = (0xC0, 0xC1, 0xC9), (0xC2, 0xCA), (0xC9, 0xCA)
FRAMES = frozenset((*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)))

_MARKER = re.compile(rb"\xff[^\x00\xff]", re.DOTALL)
_AFTER_DATA = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
_METADATA = frozenset((*range(0xE0, 0xF0), COM))
_JFIF = b"\xff\xe0\x00\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
_ADOBE = b"\xff\xee\x00\x0eAdobe\0\x64\0\0\0\0"
# EXIF up to the value of its only tag, the orientation: a number of 16 bits.
_EXIF_OF_ONE_TAG = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0"
_ICC_PIECE = 65_519  # bytes of a profile that a segment has room for. ICC.1:2022, B.4
_PREVIEWS = 16  # that are looked for; each costs a walk through the file
# Sound files have some dozens, and a megabyte of garbage some thousands. What comes after so many is not looked at,
# those in previews included.
_MARKERS = 100_000
_SEGMENT_COST = 200  # bytes of memory beside the body


class Segment(NamedTuple):
    """A marker's code and what is in its segment. A scan also has entropy-coded data: file[start:stop]."""

    marker: int
    body: bytes
    start: int = 0
    stop: int = 0


@dataclass(frozen=True)
class Stream:
    """The parts of a picture in their order.

    `frame` says how it is coded and how large it is, `scans` hold it; `end` is where its end marker begins. They are
    missing where the file lacks them.
    """

    segments: list[Segment]
    frame: Segment | None
    scans: list[Segment]
    end: int | None = None

    def bodies(self, marker: int) -> list[bytes]:
        """What is in the segments of one kind."""
        return [one.body for one in self.segments if one.marker == marker]

    def coded(self, data: bytes) -> bytes:
        """Tables and entropy-coded data: nothing that was ever text."""
        tables = [one.body for one in self.segments if one.marker in (DHT, DQT)]
        return b"".join([*tables, data[self.scans[0].start : self.scans[-1].stop]]) if self.scans else b""


@dataclass
class _Left:
    """What may still be looked at of a file."""

    previews: int
    markers: int


def parse(data: bytes, *, lengths: bool = True) -> Stream:
    """Find the parts of the picture, up to its own end marker. What makes no sense is stepped over.

    Args:
        data: from a start marker on.
        lengths: whether what metadata says of its own length is believed.
    """
    return _parse(data, len(START), lengths, _Left(_PREVIEWS, _MARKERS))


def _parse(data: bytes, position: int, lengths: bool, left: _Left) -> Stream:
    segments: list[Segment] = []
    scans: list[Segment] = []
    frame: Segment | None = None
    size = len(data)
    # Where lengths are not believed, bodies overlap; a file may not make us keep much more than there is of it.
    room = size + _SEGMENT_COST * 1000
    while left.markers > 0:
        left.markers -= 1
        found = _MARKER.search(data, position)
        if not found:
            break
        position = found.end()
        marker = data[position - 1]
        if marker == EOI and scans:
            return Stream(segments, frame, scans, position - 2)
        if marker == SOI and left.previews > 0:
            left.previews -= 1
            position = _behind_preview(data, position, left)
            continue
        stop = position + (data[position] << 8 | data[position + 1]) if position + 2 <= size else 0
        body = data[position + 2 : stop]
        if not position + 2 <= stop <= size or not _makes_sense(marker, body, frame):
            continue
        if lengths or marker not in _METADATA:
            position = stop
        room -= _SEGMENT_COST + len(body)
        if room < 0 and marker in _METADATA:
            continue
        one = Segment(marker, body)
        if marker == SOS:
            after = _AFTER_DATA.search(data, stop)
            position = after.start() if after else size
            one = Segment(marker, body, stop, _without_fill(data, stop, position))
            scans.append(one)
        elif marker in FRAMES:
            frame = one
        segments.append(one)
    return Stream(segments, frame, scans)


def canonical(data: bytes, stream: Stream, *, stop: int | None = None, padding: int = 0) -> bytes:
    """The picture's parts as a JPEG in which nothing is odd.

    Args:
        data: the file that `stream` was found in.
        stop: entropy-coded data from this place in the file on are left out, and scans behind it.
        padding: so many bytes at the end of the last scan are left out.
    """
    parts = [START, *_colours(stream)]
    last = len(stream.segments) - 1
    for number, one in enumerate(stream.segments):
        if one.marker in _METADATA or (one.marker == SOS and stop is not None and one.start > stop):
            continue
        body = _sequential(one, stream)
        parts.append(_marked(one.marker, body))
        if one.marker == SOS:
            until = one.stop if stop is None else min(stop, one.stop)
            parts.append(data[one.start : until - padding if number == last else until])
    return b"".join([*parts, END])


def header(stream: Stream) -> bytes:
    """A JPEG with frame and first scan, as far as a decoder reads before it decodes. Both must be there."""
    if stream.frame is None or not stream.scans:
        return b""
    parts = (_marked(one.marker, one.body) for one in (stream.frame, stream.scans[0]))
    return b"".join([START, *_colours(stream), *parts])


def mended(parts: bytes, *, orientation: int, profile: bytes) -> bytes:
    """The picture's own parts with what shows them as the file did.

    Args:
        parts: of `canonical`.
        orientation: as of EXIF; of no other metadata anything is left.
        profile: ICC, or empty.
    """
    pieces = [profile[at : at + _ICC_PIECE] for at in range(0, len(profile), _ICC_PIECE)]
    metadata = [_marked(APP1, _EXIF_OF_ONE_TAG + orientation.to_bytes(2, "little") + bytes(6))] * (orientation != 1)
    for number, piece in enumerate(pieces, 1):
        metadata.append(_marked(APP2, b"ICC_PROFILE\0" + bytes((number, len(pieces))) + piece))
    # JFIF's marker stands first where there is one (T.871, 10.1).
    place = len(START) + len(_JFIF) * parts.startswith(_JFIF, len(START))
    return b"".join([parts[:place], *metadata, parts[place:]])


def _marked(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body


def quantisers(body: bytes) -> Iterator[tuple[int, bytes]]:
    """(number, values) of the tables in a DQT segment; values of two bytes if they do not fit one."""
    while body:
        size = 129 if body[0] >> 4 else 65
        yield body[0] & 15, body[1:size]
        body = body[size:]


def huffman_tables(body: bytes) -> Iterator[tuple[tuple[int, int], bytes, bytes]]:
    """((class, number), how many codes have each length, their symbols) of a DHT segment. Class 0 is DC, 1 is AC."""
    while body:
        counts = body[1:17]
        size = 17 + sum(counts)
        yield (body[0] >> 4, body[0] & 15), counts, body[17:size]
        body = body[size:]


def huffman_codes(body: bytes) -> dict[tuple[int, int], dict[int, str]]:
    """Bits by symbol of the tables in a DHT segment, by class and number."""
    return {key: dict(zip(symbols, _codes(counts), strict=True)) for key, counts, symbols in huffman_tables(body)}


def _codes(counts: bytes) -> Iterator[str]:
    code = 0
    for length, count in enumerate(counts, start=1):
        for _ in range(count):
            yield f"{code:0{length}b}"
            code += 1
        code <<= 1


def _without_fill(data: bytes, start: int, stop: int) -> int:
    """Any number of FF may stand before a marker (T.81, B.1.1.2)."""
    return stop if data[stop - 1] != 0xFF else start + len(data[start:stop].rstrip(b"\xff"))


def _makes_sense(marker: int, body: bytes, frame: Segment | None) -> bool:
    if marker in _METADATA:
        return True
    if marker == DHT:
        return _are_codes(body)
    if marker == SOS:
        return frame is not None and _is_scan(body, frame.body)
    if marker == DQT:
        return _are_quantisers(body)
    if marker in FRAMES:
        return frame is None and len(body) >= 9 and len(body) == 6 + 3 * body[5]
    return (marker == DRI and len(body) == 2) or (marker == DAC and len(body) % 2 == 0)


def _are_codes(body: bytes) -> bool:
    """Whether Huffman tables, each with a class and a number that there are, fill the segment."""
    place, size = 0, len(body)
    while place < size and body[place] & 0xEC == 0:
        place += 17 + sum(body[place + 1 : place + 17])
    return 0 < place == size


def _are_quantisers(body: bytes) -> bool:
    place, size = 0, len(body)
    while place < size and body[place] & 0xEC == 0:
        place += 129 if body[place] >> 4 else 65
    return 0 < place == size


def _is_scan(body: bytes, frame: bytes) -> bool:
    return len(body) >= 6 and len(body) == 4 + 2 * body[0] and set(body[1:-3:2]) <= set(frame[6::3])


def _behind_preview(data: bytes, position: int, left: _Left) -> int:
    """Where a picture within the file ends, such as a thumbnail among stray bytes; `position` if it is none."""
    if data[position : position + 1] != b"\xff":
        return position
    inner = _parse(data, position, True, left)
    return inner.end + 2 if inner.end is not None else position


def _colours(stream: Stream) -> Iterator[bytes]:
    """What decoders go by when they guess the colour space, in the words that they all know."""
    components = stream.frame.body[5] if stream.frame else 3
    if any(one.marker == APP0 and one.body.startswith(b"JFIF\0") and len(one.body) >= 14 for one in stream.segments):
        yield _JFIF
    for one in stream.segments:
        if one.marker == APP14 and one.body.startswith(b"Adobe") and len(one.body) >= 12:
            # libjpeg takes a transform that it does not know for the usual one.
            usual = 2 if components == 4 else 1
            yield _ADOBE + bytes([one.body[11] if one.body[11] in (0, usual) else usual])
            return


def _sequential(one: Segment, stream: Stream) -> bytes:
    """The segment's body; in the header of a scan of a sequential picture stands what has to stand there."""
    if one.marker == SOS and stream.frame is not None and stream.frame.marker in SEQUENTIAL:
        return one.body[:-3] + b"\0\x3f\0"
    return one.body
