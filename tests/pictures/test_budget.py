"""What costs a decoder more than a photo may is refused before it is decoded; what programs write is not."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from carpipe.pictures import budget, decode
from carpipe.pictures.av1 import coded_size
from carpipe.pictures.cost import expected_seconds
from tests.pictures import hostile
from tests.pictures.drawn import draw

LIMIT = 1_000_000


def reason(data, *, max_pixels=LIMIT):
    try:
        decode.read(data, max_pixels=max_pixels, max_damage=1.0)
    except decode.PhotoError as error:
        return error.reason
    return None


def behind_start(jpeg, *parts):
    return jpeg[:2] + b"".join(parts) + jpeg[2:]


def before_end(jpeg, *parts):
    return jpeg[:-2] + b"".join(parts) + hostile.EOI


def with_size(picture, width, height):
    """A HEIF or AVIF whose container says another size than its data."""
    changed, place = bytearray(picture), picture.find(b"ispe")
    while place > 0:
        struct.pack_into(">II", changed, place + 8, width, height)
        place = changed.find(b"ispe", place + 4)
    return bytes(changed)


def heif(*boxes):
    return hostile.box(b"ftyp", b"heic\0\0\0\0heic") + hostile.box(b"meta", bytes(4), *boxes)


def grid(*, of, times, size=(512, 512)):
    """The list of parts of a picture that is made of others: {item: parts}, each `times` times, all of one size."""
    references = b"".join(
        hostile.box(b"dimg", struct.pack(f">HH{times * len(parts)}H", item, times * len(parts), *parts * times))
        for item, parts in of.items()
    )
    items = sorted({item for parts in of.values() for item in parts})
    ispe = hostile.box(b"ispe", struct.pack(">III", 0, *size))
    ipma = struct.pack(">II", 0, len(items)) + b"".join(struct.pack(">HBB", item, 1, 1) for item in items)
    return heif(
        hostile.box(b"pitm", struct.pack(">IH", 0, 1)),
        hostile.box(b"iref", bytes(4), references),
        hostile.box(b"iprp", hostile.box(b"ipco", ispe), hostile.box(b"ipma", ipma)),
    )


JPEG = hostile.jpeg()
TABLE = hostile.segment(0xC4, (b"\0" + bytes(16)) * 3800)
BOMBS = {
    "JPEG of 2,647 scans": lambda: hostile.progressive(640, 640, 2647),
    "JPEG of 101 scans": lambda: hostile.progressive(64, 64, 101),
    "JPEG of few scans for its size": lambda: hostile.progressive(900, 900, 30),
    "arithmetic coded JPEG": lambda: hostile.progressive(900, 900, 10).replace(b"\xff\xc2", b"\xff\xca", 1),
    "JPEG of a megabyte of tables": lambda: behind_start(JPEG, TABLE * 16),
    "scans behind an end marker in an unknown segment": lambda: before_end(
        hostile.progressive(64, 64, 90), hostile.segment(0xDC, b"\xff\xda\0\x08" * 60)
    ),
    "PNG of 60,000 chunks": lambda: hostile.png(64, 64, hostile.png_chunk(b"IDAT", b"") * 60_000),
    "PNG that is larger at second sight": lambda: hostile.png(
        64, 64, hostile.png(9000, 9000)[8:33], hostile.png_chunk(b"IDAT", hostile.zeros(64 * 65))
    ),
    "PNG that is larger at first sight": lambda: hostile.png(
        60_000, 60_000, hostile.png(64, 64)[8:33], hostile.png_chunk(b"IDAT", hostile.zeros(64 * 65))
    ),
    "GIF of small blocks of text": lambda: hostile.gif(64, 64, b"\x21\xfe" + b"\1a" * 100_000 + b"\0"),
    "GIF of many texts": lambda: hostile.gif(64, 64, b"\x21\xfe\0" * 50_000),
    "GIF of small blocks": lambda: hostile.gif(640, 480)[:-4] + b"\1\x4c" * 300_000 + b"\0\x3b",
    "GIF of a large canvas": lambda: hostile.gif(60_000, 60_000, pixels=(8, 8)),
    "GIF whose picture is larger than its canvas": lambda: hostile.gif(8, 8, pixels=(60_000, 60_000)),
    "34 bytes of WebP": lambda: hostile.lossless_webp(16383, 16383),
    "WebP of a large canvas": lambda: hostile.riff(
        (b"VP8X", b"\2\0\0\0" + b"\xfe\x3f\0" * 2), (b"ANIM", bytes(6)), (b"ANMF", bytes(16))
    ),
    "WebP of a million chunks": lambda: hostile.riff() + b"ABCD\0\0\0\0" * 100_000,
    "run-length coded BMP": lambda: hostile.bmp_rle(900, 900, b"\1\7" * 2_100_000),
    "BMP upside down": lambda: hostile.bmp_rle(9000, -9000, b"\0\1"),
    "HEIC of empty boxes": lambda: hostile.box(b"ftyp", b"heic\0\0\0\0heic") + hostile.box(b"free") * 20_000,
    "HEIC of empty boxes inside": lambda: heif(hostile.box(b"free") * 20_000),
    "HEIC of one tile 4,000 times": lambda: grid(of={1: [2]}, times=4000, size=(8, 8)),
    "HEIC of grids of grids": lambda: grid(of={1: [2], 2: [3], 3: [4]}, times=100, size=(8, 8)),
    "HEIC of large tiles": lambda: grid(of={1: [2]}, times=20),
    "HEIC that is made of itself": lambda: grid(of={1: [2], 2: [1]}, times=2),
    "AVIF that says it is small": lambda: with_size(
        hostile.encoded(hostile.noise((1200, 900)), "AVIF", speed=10, quality=10), 64, 64
    ),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_what_costs_more_than_a_photo_is_a_bomb(kind):
    assert reason(BOMBS[kind]()) == "bomb"


def test_a_bomb_is_not_decoded(monkeypatch):
    def decoded(*_, **__):
        raise AssertionError("it was decoded")

    monkeypatch.setattr(decode.jpeg_damage, "decode_jpeg", decoded)
    monkeypatch.setattr(decode, "decode_other", decoded)
    for kind, make in BOMBS.items():
        assert reason(make()) == "bomb", kind


def scripted(scans):
    """A progressive JPEG of so many scans, in which nothing is missing: each coefficient in one scan, at once."""
    assert scans == 64
    return hostile.progressive(96, 80, 1, components=1, stop=-1) + b"".join(
        hostile._scan(1, k, 0, 0, blocks=120) for k in range(1, 64)
    )


KEPT = {
    "progressive": lambda: hostile.jpeg((900, 900), progressive=True),
    "progressive 4:4:4": lambda: hostile.jpeg((900, 900), progressive=True, subsampling=0),
    "64 scans": lambda: scripted(64) + hostile.EOI,
    "200 comments": lambda: behind_start(JPEG, b"\xff\xfe\0\3a" * 200),
    "a long profile": lambda: behind_start(
        JPEG, *[hostile.segment(0xE2, b"ICC_PROFILE\0" + bytes((n, 60)) + bytes(60_000)) for n in range(1, 61)]
    ),
    "progressive pictures in its metadata and behind it": lambda: (
        behind_start(
            JPEG, *[hostile.segment(0xE2, b"MPF\0" + hostile.jpeg((64, 48), progressive=True)) for _ in range(20)]
        )
        + hostile.jpeg((320, 240), progressive=True) * 20
    ),
    "a restart marker for each block": lambda: hostile.jpeg((900, 900), restart_marker_blocks=1),
    "interlaced PNG": lambda: hostile.png(
        900, 900, hostile.png_chunk(b"IDAT", hostile.zeros(1_000_000)[:-4]), interlaced=1
    ),
    "PNG in small pieces": lambda: hostile.png(
        300, 300, *[hostile.png_chunk(b"IDAT", hostile.zeros(300 * 301)[i : i + 1]) for i in range(115)]
    ),
    "GIF with text": lambda: hostile.encoded(draw((300, 200)), "GIF", comment=b"a" * 5000),
    "animated GIF": lambda: hostile.encoded(
        hostile.noise((90, 80)), "GIF", save_all=True, append_images=[hostile.noise((90, 80), n) for n in range(30)]
    ),
    "animated WebP": lambda: hostile.encoded(
        hostile.noise((90, 80)), "WEBP", save_all=True, append_images=[hostile.noise((90, 80), n) for n in range(30)]
    ),
    "lossless WebP": lambda: hostile.lossless_webp(900, 900),
    "AVIF with alpha": lambda: hostile.encoded(hostile.noise((900, 600)).convert("RGBA"), "AVIF", speed=10),
    "AVIF of several pictures": lambda: hostile.encoded(
        hostile.noise((90, 80)), "AVIF", save_all=True, append_images=[hostile.noise((90, 80), 1)], speed=10
    ),
    "HEIC of 192 tiles": lambda: grid(of={1: list(range(2, 194))}, times=1, size=(64, 64)),
    "run-length coded BMP": lambda: hostile.bmp_rle(900, 900, b"\xff\7" * 4000 + b"\0\1"),
}


@pytest.mark.parametrize("kind", KEPT)
def test_what_programs_write_is_no_bomb(kind):
    assert reason(KEPT[kind]()) != "bomb"


@pytest.mark.parametrize("kind", ["progressive", "64 scans", "200 comments", "a restart marker for each block"])
def test_odd_jpegs_of_programs_are_whole(kind):
    assert decode.read(KEPT[kind](), max_pixels=LIMIT).damage == 0.0


def test_a_decoder_does_not_come_to_what_was_not_looked_at():
    """Where this code and libjpeg read a file differently: what is behind the end that is found here is cut off."""
    data = KEPT["progressive"]()
    odd = before_end(data, hostile.segment(0xDC, hostile.EOI), data[data.rindex(b"\xff\xda") :])

    assert np.array_equal(
        decode.read(odd, max_pixels=LIMIT, max_damage=1.0).pixels, decode.read(data, max_pixels=LIMIT).pixels
    )


@pytest.mark.parametrize("options", [{}, {"quality": 100, "subsampling": "4:4:4"}, {"save_all": True}])
def test_the_size_of_av1_data_is_that_of_the_picture(options):
    frames = {"append_images": [draw((99, 65), seed=4)]} if "save_all" in options else {}
    data = hostile.encoded(draw((99, 65)), "AVIF", speed=10, **options, **frames)

    assert coded_size(data[data.index(b"mdat") + 4 :][:200]) == (99, 65)


def test_garbage_is_no_sequence_header():
    rng = np.random.default_rng(0)
    for _ in range(300):
        try:
            coded_size(rng.integers(0, 256, 60, np.uint8).tobytes())
        except IndexError:
            continue


def test_what_is_expected_to_cost_grows_with_what_it_does():
    def seconds(data):
        return expected_seconds(data, max_pixels=40_000_000)

    small, large = hostile.jpeg((400, 300)), hostile.jpeg((4000, 3000))
    sink = io.BytesIO()
    Image.open(io.BytesIO(large)).save(sink, "JPEG", progressive=True)

    assert 0 < seconds(small) < seconds(large) < seconds(sink.getvalue())
    assert seconds(large) < 0.3 < seconds(hostile.lossless_webp(6000, 6000))
    assert seconds(b"\x89PNG\r\n\x1a\n") == float("inf")


def test_a_sampling_without_a_name_is_expected_to_cost_its_decodes():
    plain, rare = bytearray(hostile.jpeg((4000, 3000), subsampling=0)), bytearray(hostile.jpeg((4000, 3000)))
    rare[rare.index(b"\xff\xc0") + 11] = 0x14

    assert expected_seconds(rare, max_pixels=40_000_000) > 5 * expected_seconds(plain, max_pixels=40_000_000)
    assert reason(hostile.progressive(900, 900, 12).replace(b"\1\x11\0", b"\1\x14\0", 1)) == "bomb"


@pytest.mark.parametrize(
    "data", [b"", b"<html>", b"II*\0", hostile.progressive(64, 64, 300), hostile.png(30_000, 30_000)]
)
def test_what_is_refused_at_once_costs_nothing(data):
    assert expected_seconds(data, max_pixels=40_000_000) == 0


def test_the_limits_are_as_the_manual_says():
    assert (budget.MAX_SCANS, budget.MAX_BMP_RUN_BYTES) == (100, 4_000_000)
