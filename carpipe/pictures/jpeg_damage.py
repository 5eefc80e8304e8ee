"""JPEGs decoded with a measure of what they lack, and repaired where nothing is missing.

libjpeg decodes a cut or overwritten file without an error: it says so in a warning, goes on and leaves the
blocks that it has no data for flat grey. So the warning is the hint, and what the picture lacks is then measured.
Not every warning is about the picture: the picture's own parts are decoded again without what surrounds them
(`jpeg_segments.canonical`), and what is still complained of counts.
"""

from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from carpipe.pictures import jpeg_messages as messages
from carpipe.pictures.jpeg_decoders import (
    UNNAMED_DECODES,
    Pixels,
    decode_leniently,
    decode_strictly,
    has_name,
    read_size,
)
from carpipe.pictures.jpeg_holes import find_hole, has_sound_tables
from carpipe.pictures.jpeg_segments import ARITHMETIC, END, PROGRESSIVE, Segment, Stream, canonical, header, parse
from carpipe.pictures.text_mode import is_mangled, may_be_mangled

_SURPLUS = bytes(range(1, 65))
_PADDING = 16  # bytes at the end of a file that are all the same
# Decodes until no zeros are left over: on 10,600 photos with zeros behind them it took up to 3.
_MAX_DECODES = 4
_COEFFICIENTS = 64  # of a block of 8 x 8 pixels
_ALL_COEFFICIENTS = (1 << _COEFFICIENTS) - 1


@dataclass(frozen=True)
class Jpeg:
    """A decoded JPEG: uint8 (height, width, 3) in RGB, as stored (EXIF's turn is not undone).

    `damage` is the share of the picture, 0 to 1, that is not known to be whole. It is 1 where the decoder lost its
    place, as nobody can say how much of what it went on to decode is the photo's. `ends_early` tells a cut file from
    one that was overwritten. `repaired` are the picture's own parts with an end marker, where the file lacked no more.
    """

    pixels: Pixels
    damage: float = 0.0
    ends_early: bool = False
    repaired: bytes | None = None


def find_picture(data: bytes) -> Stream:
    """The parts of a JPEG, which `decode_jpeg` wants."""
    stream = parse(data)
    return stream if stream.scans else parse(data, lengths=False)


def size_of(data: bytes, frame: Segment) -> tuple[int, int]:
    """(width, height), the larger where decoder and frame should not agree."""
    width, height = int.from_bytes(frame.body[3:5], "big"), int.from_bytes(frame.body[1:3], "big")
    try:
        rows, columns = read_size(data)
    except ValueError:
        return width, height
    return max(width, columns), max(height, rows)


def decodes(stream: Stream) -> int:
    """How often a sound picture is decoded."""
    return 1 if has_name(header(stream)) else UNNAMED_DECODES


def pixel_cost(stream: Stream) -> int:
    """Bytes that decoding holds for each pixel: of a picture in several scans all coefficients, of two bytes each."""
    frame = stream.frame
    if frame is None or (frame.marker not in PROGRESSIVE and len(stream.scans) < 2):
        return 0
    sides = [(byte >> 4) * (byte & 15) for byte in frame.body[7::3]]
    # A quarter more, for what else is in the process.
    return -(-5 * sum(sides) // (2 * max(1, *sides)))


def decode_jpeg(data: bytes, stream: Stream, *, enough: int = 0) -> Jpeg:
    """Decode all data of a JPEG.

    Args:
        data: the file.
        stream: its parts.
        enough: pixels of both sides that suffice: a larger picture is decoded at a fraction (n/8) of its size, with
            every coefficient read all the same. 0: at full size.

    Raises:
        ValueError: nothing can be decoded.
        MemoryError: there is not enough memory for it.
    """
    try:
        pixels = decode_strictly(data, enough)
    except ValueError as error:
        return _examine(data, stream, str(error), enough)
    return _look_closer(data, stream, pixels, enough)


def missing_detail(stream: Stream, *, unfinished: bool = False) -> float:
    """Share of the picture's coefficients that no scan of the file holds in full precision.

    A progressive JPEG sends the picture several times, finer each time (ITU-T T.81, annex G). Cut between two scans
    it decodes without a warning and looks washed out.

    Args:
        stream: the parts of a JPEG.
        unfinished: the last scan is known to be incomplete and does not count.
    """
    frame, scans = stream.frame, stream.scans
    if frame is None or (frame.marker not in PROGRESSIVE and len(scans) < 2):
        return 0.0
    exact = dict.fromkeys(frame.body[6::3], 0)  # by component, a bit for each coefficient
    for scan in scans[:-1] if unfinished else scans:
        first, last, precision = scan.body[-3:]
        if frame.marker not in PROGRESSIVE:
            first, last, precision = 0, _COEFFICIENTS - 1, 0
        if precision & 15 == 0:
            for name in scan.body[1:-3:2]:
                exact[name] |= (1 << last + 1) - 1 >> first << first
    known = sum((band & _ALL_COEFFICIENTS).bit_count() for band in exact.values())
    return 1 - known / (len(exact) * _COEFFICIENTS)


def _look_closer(data: bytes, stream: Stream, pixels: Pixels, enough: int) -> Jpeg:
    """What a JPEG lacks that the decoder was content with."""
    if not stream.scans:
        return Jpeg(pixels, 1.0)
    if (hole := find_hole(data, stream)) is not None:
        return _measure(data, stream, messages.STARVED, enough, hole=hole)
    if stream.frame is not None and stream.frame.marker in ARITHMETIC and not _needs_all(data, stream):
        return Jpeg(pixels, 1.0)
    mangled = may_be_mangled(data, stream.scans[0].start, stream.scans[-1].stop) and is_mangled(stream.coded(data))
    if mangled or not has_sound_tables(stream):
        return Jpeg(pixels, 1.0)
    return Jpeg(pixels, missing_detail(stream))


def _needs_all(data: bytes, stream: Stream) -> bool:
    """Whether an arithmetic-coded picture is decoded to its last byte, no farther.

    Where its data end, libjpeg goes on with zeros without a word. So more is put behind them: of a whole picture all of
    it must be left over, but for what the decoder reads ahead.
    """
    try:
        decode_strictly(canonical(data, stream)[: -len(END)] + _SURPLUS + END, 0)
    except ValueError as error:
        return messages.surplus(str(error)) >= len(_SURPLUS) - 4
    return False


def _examine(data: bytes, stream: Stream, said: str, enough: int) -> Jpeg:
    """What a JPEG lacks that the decoder had something to say of."""
    if not stream.scans:
        raise ValueError(said)
    failed = messages.is_loss(said) is None
    try:
        return _decode_parts(data, stream, enough)
    except ValueError as error:
        said = str(error)
    # Metadata that are shorter than they say hide what comes behind them.
    other = parse(data, lengths=False)
    if len(other.segments) > len(stream.segments) and other.scans:
        with suppress(ValueError):
            return _decode_parts(data, other, enough)
    found = _measure(data, stream, said, enough)
    # A table may have been stepped over that no decoder can do without.
    return replace(found, damage=1.0) if failed else found


def _decode_parts(data: bytes, stream: Stream, enough: int) -> Jpeg:
    """The picture's own parts. ValueError: the decoder still has something to say of them."""
    padding = 0 if stream.end is not None else _padding(data, stream)
    parts, pixels = _without_zeros(data, stream, padding, enough)
    found = _look_closer(parts, parse(parts), pixels, enough)
    if stream.end is not None or found.ends_early:
        return found
    if found.damage:
        return replace(found, ends_early=not padding)
    # No warning: every block was decoded, and not a byte was left over.
    return replace(found, repaired=parts)


def _without_zeros(data: bytes, stream: Stream, padding: int, enough: int) -> tuple[bytes, Pixels]:
    """The picture's own parts, decoded. Zeros between picture and end marker are a habit of some cameras.

    The decoder says how many they are, but for those that it has read ahead: these it says the next time, if at all.
    """
    for _ in range(_MAX_DECODES):
        parts = canonical(data, stream, padding=padding)
        try:
            return parts, decode_strictly(parts, enough)
        except ValueError as error:
            said = error
            left, stop = messages.surplus(str(error)), stream.scans[-1].stop - padding
            if not left or any(data[stop - left : stop]):
                break
            padding += left
    raise said


def _padding(data: bytes, stream: Stream) -> int:
    """Equal bytes at the end of a file without end marker: a disk or a server that loses the end may fill it up."""
    last = stream.scans[-1]
    coded = data[last.start :]
    count = len(coded) - len(coded.rstrip(coded[-1:]))
    return count - (len(data) - last.stop) if count >= _PADDING else 0


def _measure(data: bytes, stream: Stream, said: str, enough: int, *, hole: int | None = None) -> Jpeg:
    """How much is missing where the decoder said that something is."""
    loss = messages.is_loss(said)
    if loss is None:
        raise ValueError(said)
    padding = 0 if stream.end is not None else _padding(data, stream)
    if hole is None:
        hole = find_hole(data, stream, certain=True)
    parts = canonical(data, stream, stop=hole, padding=padding if hole is None else 0)
    pixels = decode_leniently(parts, enough)
    if hole is None and messages.STARVED not in said:
        return Jpeg(pixels, 1.0)
    share = max(_grey_share(pixels, stream), missing_detail(parse(parts), unfinished=True))
    return Jpeg(pixels, share, ends_early=stream.end is None and hole is None and not padding)


def _grey_share(pixels: Pixels, stream: Stream) -> float:
    """Share of the blocks that are one flat colour, that of zero coefficients; at least one block.

    Blocks have 8 x 8 pixels, or fewer where the picture is decoded at a fraction of its size. The colour is mid grey,
    RGB (128, 128, 128), but for CMYK files, where the last pixel shows it.
    """
    colour = pixels[-1, -1] if abs(int(pixels[-1, -1].max()) - 128) > 1 else np.full(3, 128)
    height = int.from_bytes(stream.frame.body[1:3], "big") if stream.frame else 0
    side = max(1, round(8 * pixels.shape[0] / max(height, pixels.shape[0])))
    rows, columns = pixels.shape[0] // side, pixels.shape[1] // side
    if not rows or not columns:
        return 1.0
    flat = (pixels[: rows * side, : columns * side] == colour).all(axis=2)
    share = float(flat.reshape(rows, side, columns, side).all(axis=(1, 3)).mean())
    return max(share, 1 / (rows * columns))
