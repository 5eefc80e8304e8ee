"""A PNG whose data end early is found out, although decoders show it without an error."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from carpipe.pictures import decode, other_formats, png_damage
from carpipe.pictures.png_damage import measure_png
from tests.pictures.drawn import draw, encode


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(rows, *, width=40, height=50, split=1):
    """A grey PNG that holds so many of its rows, in so many pieces."""
    packed = zlib.compress(np.random.default_rng(1).integers(0, 255, (rows, 1 + width), np.uint8).tobytes())
    step = -(-len(packed) // split)
    pieces = b"".join(chunk(b"IDAT", packed[at : at + step]) for at in range(0, len(packed), step))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + pieces + chunk(b"IEND", b"")


@pytest.mark.parametrize("rows", [0, 10, 49, 50])
@pytest.mark.parametrize("split", [1, 3])
def test_missing_rows_are_counted(rows, split):
    assert measure_png(png(rows, split=split)) == pytest.approx(1 - rows / 50)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (7, 9), (641, 480)])
def test_a_whole_png_lacks_nothing(mode, size):
    sink = io.BytesIO()
    (Image.new(mode, size) if mode == "I;16" else Image.effect_noise(size, 60).convert(mode)).save(sink, "PNG")

    assert measure_png(sink.getvalue()) == 0.0


def test_an_interlaced_png_is_counted_by_its_passes():
    # 5 x 3 grey pixels: passes of 1x1, 1x1, 0, 2x1 (pass 4: columns 2), 3x1, 2x2 and 5x1 pixels, a filter byte a row.
    sizes = [(1, 1), (1, 1), (0, 0), (1, 1), (3, 1), (2, 2), (5, 1)]
    raw = bytes(sum(rows * (1 + columns) for columns, rows in sizes))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 5, 3, 8, 0, 0, 0, 1))
    whole, cut = (
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
        for data in (raw, raw[:-6])
    )

    assert measure_png(whole) == 0.0
    assert measure_png(cut) == pytest.approx(6 / len(raw))
    Image.open(io.BytesIO(whole)).load()


def test_a_wrong_checksum_vouches_for_nothing():
    data = bytearray(png(50))
    at = data.rindex(b"IEND") - 4 - 4 - 1  # the last byte of the stream's Adler-32
    data[at] ^= 1

    assert measure_png(bytes(data)) == 1.0


def test_zeros_that_unpack_to_more_than_there_are_rows_are_damage():
    """With one code of a single zero bit, zeros over the end of the stream unpack to one byte many times."""
    rows = np.zeros((50, 41), np.uint8)
    rows[:, ::3] = np.random.default_rng(1).integers(0, 2, (50, 14)) * 7
    packed = zlib.compressobj(strategy=zlib.Z_HUFFMAN_ONLY)
    stream = packed.compress(rows.tobytes()) + packed.flush()
    header = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 40, 50, 8, 0, 0, 0, 0))

    def measure(pixels):
        return measure_png(header + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))

    assert measure(stream) == 0.0
    assert measure(stream[: len(stream) * 3 // 4] + bytes(len(stream))) == 1.0
    assert measure(stream + b"some programs write more") == 0.0


def broken_header(width, height, body):
    """A PNG that decoders refuse: the checksum of its header is wrong."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))[:-1] + b"?"
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_a_png_that_cannot_be_opened_is_unpacked_only_where_its_size_is_allowed(monkeypatch):
    unpacked = []
    unpack = png_damage._unpack
    monkeypatch.setattr(png_damage, "_unpack", lambda *args: unpacked.append(1) or unpack(*args))
    body = zlib.compress(bytes(100_000))

    for width, height, reason in ((60_000, 60_000, "bomb"), (400, 300, "damaged")):
        with pytest.raises(decode.PhotoError) as caught:
            decode.read(broken_header(width, height, body), max_pixels=1_000_000)
        assert (caught.value.reason, len(unpacked)) == (reason, int(reason == "damaged"))


def test_what_is_unpacked_in_part_is_not_copied_again_and_again(monkeypatch):
    stream, fed = zlib.compress(bytes(64_000_000)), []

    class Counted:
        def __init__(self):
            self._unpacker = decompressobj()

        def decompress(self, packed, most):
            fed.append(len(packed))
            return self._unpacker.decompress(packed, most)

        def __getattr__(self, name):
            return getattr(self._unpacker, name)

    decompressobj = zlib.decompressobj
    monkeypatch.setattr(png_damage.zlib, "decompressobj", Counted)

    assert measure_png(broken_header(7999, 8000, stream)) == 0.0
    assert sum(fed) < 16 * len(stream)


@pytest.mark.parametrize("error", [OverflowError, TypeError, AttributeError, zlib.error, struct.error])
def test_a_picture_that_cannot_be_measured_is_not_blamed(error, monkeypatch):
    def measure(data):
        raise error("hostile")

    monkeypatch.setattr(other_formats, "measure_png", measure)

    assert decode.read(encode(draw((48, 32)), "PNG"), max_pixels=1_000_000).damage == 0.0


def test_memory_that_ran_out_is_no_measure(monkeypatch):
    def measure(data):
        raise MemoryError

    monkeypatch.setattr(other_formats, "measure_png", measure)

    with pytest.raises(MemoryError):
        decode.read(encode(draw((48, 32)), "PNG"), max_pixels=1_000_000)
