"""GIFs whose codes end before the picture is full: decoders show the rest in the first colour, without an error."""

from collections.abc import Iterator

from carpipe.pictures import runs

_MAX_CODE_BYTES = 8 << 20  # bytes of codes that are counted: three seconds
_LAST_CODE = 4096
_CODE_SIZES = range(1, 9)  # bits; GIF89a, appendix F, has 2 to 8, and decoders take 1


def measure_gif(data: bytes) -> float:
    """Share of the first picture's pixels, 0 to 1, that the file has no codes for, or that were written over."""
    place, pixels = _first_picture(data)
    if not pixels or data[place] not in _CODE_SIZES:
        return 1.0
    coded = b"".join(_blocks(data, place + 1))
    hole = next(runs.find_runs(coded), None)
    if len(coded) > _MAX_CODE_BYTES:
        return 1 - hole[0] / len(coded) if hole else 0.0
    filled = _count(coded[: hole[0]] if hole else coded, data[place], pixels)
    return max(0.0, 1 - filled / pixels)


def _first_picture(data: bytes) -> tuple[int, int]:
    """Where its codes begin, with their size, and how many pixels it has; 0 where there is none. GIF89a, 18 to 22."""
    position = 13 + _table(data[10])
    while position + 11 <= len(data):
        if data[position] == 0x2C:
            width, height = (int.from_bytes(data[position + i : position + i + 2], "little") for i in (5, 7))
            return position + 10 + _table(data[position + 9]), width * height
        if data[position] != 0x21:
            break
        position = _end_of_blocks(data, position + 2)
    return 0, 0


def _table(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _end_of_blocks(data: bytes, position: int) -> int:
    while position < len(data) and data[position]:
        position += 1 + data[position]
    return position + 1


def _blocks(data: bytes, position: int) -> Iterator[bytes]:
    while position < len(data) and data[position]:
        yield data[position + 1 : position + 1 + data[position]]
        position += 1 + data[position]


def _count(coded: bytes, bits: int, enough: int) -> int:
    """Pixels that LZW codes stand for: only the lengths of their strings are kept. GIF89a, appendix F."""
    clear = 1 << bits
    lengths, width, previous, pixels = [1] * (clear + 2), bits + 1, 0, 0
    buffer = held = 0
    for byte in coded:
        buffer |= byte << held
        held += 8
        while held >= width:
            code = buffer & (1 << width) - 1
            buffer >>= width
            held -= width
            if code == clear:
                del lengths[clear + 2 :]
                width, previous = bits + 1, 0
                continue
            if code == clear + 1 or pixels >= enough or code > len(lengths):
                return pixels
            if previous and len(lengths) < _LAST_CODE:
                lengths.append(previous + 1)
                if len(lengths) == 1 << width and width < 12:
                    width += 1
            if code >= len(lengths):
                return pixels
            previous = lengths[code]
            pixels += previous
    return pixels
