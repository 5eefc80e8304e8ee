"""Files that cost far more to decode than they weigh: each turns one knob of its decoder as far as it goes."""

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from tests.pictures.drawn import draw

EOI = b"\xff\xd9"


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def progressive(width: int, height: int, scans: int, *, components: int = 3, stop: int | None = None) -> bytes:
    """A progressive JPEG of one grey, its coefficients sent one by one, bit by bit: up to 896 scans a component."""
    frame = struct.pack(">BHHB", 8, height, width, components)
    frame += b"".join(bytes((number, 0x11, 0)) for number in range(1, components + 1))
    # One code, of one bit: for DC no difference, for AC the end of 2^14 blocks and as many more as 14 bits say.
    tables = bytes((0x00, 1, *bytes(15), 0x00)) + bytes((0x10, 1, *bytes(15), 0xE0))
    parts = [b"\xff\xd8", segment(0xDB, b"\0" + bytes([1] * 64)), segment(0xC2, frame), segment(0xC4, tables)]
    blocks = -(-width // 8) * -(-height // 8)
    plan = _plan(components)
    parts += [_scan(*next(plan), blocks=blocks) for _ in range(scans)]
    return b"".join([*parts, EOI][:stop])


def _plan(components: int) -> Iterator[tuple[int, int, int, int]]:
    """(component, first coefficient, bits before, bits after) of each scan, in an order that is allowed."""
    names = range(1, components + 1)
    for name in names:
        yield name, 0, 0, 0
    for low in range(13, -1, -1):
        for k in range(1, 64):
            for name in names:
                yield name, k, low + 1 if low < 13 else 0, low


def _scan(name: int, k: int, high: int, low: int, *, blocks: int) -> bytes:
    header = bytes((1, name, 0, k, k, high << 4 | low))
    if k == 0:
        coded = bytes(-(-blocks // 8) - 1) + (b"\0" if blocks % 8 == 0 else bytes([(1 << 8 - blocks % 8) - 1]))
    else:
        bits = ""
        while blocks > 0:  # the last run may say more than there is
            run = min(max(blocks, 1 << 14), (1 << 15) - 1)
            bits += f"0{run - (1 << 14):014b}"
            blocks -= run
        bits += "1" * (-len(bits) % 8)
        coded = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    return segment(0xDA, header) + coded


def jpeg(size: tuple[int, int] = (320, 240), **options: Any) -> bytes:
    sink = io.BytesIO()
    draw(size).save(sink, "JPEG", **options)
    return sink.getvalue()


def encoded(image: Image.Image, name: str, **options: Any) -> bytes:
    sink = io.BytesIO()
    image.save(sink, name, **options)
    return sink.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *parts: bytes, depth: int = 8, colour: int = 0, interlaced: int = 0) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(parts) + png_chunk(b"IEND", b"")


def zeros(count: int) -> bytes:
    packer = zlib.compressobj(1)
    pieces = [packer.compress(bytes(min(1 << 20, count - at))) for at in range(0, count, 1 << 20)]
    return b"".join([*pieces, packer.flush()])


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for kind, data in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def lossless_webp(width: int, height: int) -> bytes:
    """34 bytes: one colour, lossless, no matter how large."""
    bits = f"{width - 1:014b}{height - 1:014b}"
    header = int(bits[:14], 2) | int(bits[14:], 2) << 14
    # No alpha, version 0; no transform, no cache, no groups; five codes of one symbol each.
    tail = "0" * 4 + "0" + "0" + "0" + ("1" + "0" + "0" + "0") * 5
    value = header | int(tail[::-1], 2) << 28
    return riff((b"VP8L", b"\x2f" + value.to_bytes(13, "little")))


def gif(width: int, height: int, *parts: bytes, pixels: tuple[int, int] | None = None) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, *(pixels or (width, height)), 0)
    return head + b"".join(parts) + frame + b"\x02\x02\x4c\x01\x00" + b"\x3b"


def box(kind: bytes, *bodies: bytes) -> bytes:
    body = b"".join(bodies)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def bmp_rle(width: int, height: int, coded: bytes) -> bytes:
    table = bytes(range(256)) * 4
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(coded), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 14 + 40 + 1024 + len(coded), 0, 0, 14 + 40 + 1024) + head + table + coded


def noise(size: tuple[int, int], seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8))
