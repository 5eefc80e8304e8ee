"""Whatever is within `max_pixels` is decoded in less than 800 MB, measured in the process that does it."""

import io
import struct
import zlib

import pillow_heif
import pytest
from PIL import Image

from carpipe.config import CleanConfig
from carpipe.stages.clean import clean

pytestmark = [pytest.mark.slow]

# Pixels: of greedy formats, of phones with 50 megapixels, of phones with 108.
SIZE, PHONE, LARGEST = (8000, 5000), (8160, 6120), (12000, 9000)
LIMIT_KB = 800_000

JUDGE = """
from pathlib import Path
from carpipe.stages.clean_photo import clean_photo

def judge(data, settings):
    facts, *_ = clean_photo(data, settings)
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return facts, peak.split()[1].encode(), b"", b""
"""


@pytest.fixture
def measure(tmp_path, monkeypatch):
    """Clean one file in a process of its own: (its row, peak memory in kB)."""
    (tmp_path / "measuring.py").write_text(JUDGE)
    monkeypatch.syspath_prepend(tmp_path)

    def run(data, **settings):
        cleaned = clean([("a.jpg", data)], config=CleanConfig(**settings), judge="measuring:judge")
        return cleaned.results.iloc[0], int(cleaned.thumbnails.get("a.jpg", b"0"))

    return run


def sideways():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def encoded(mode, name, size=SIZE, **options):
    sink = io.BytesIO()
    Image.new(mode, size).save(sink, name, exif=sideways(), **options)
    return sink.getvalue()


def heic():
    file = pillow_heif.from_bytes("RGB", PHONE, bytes(3 * PHONE[0] * PHONE[1]))
    file.info["exif"] = Image.Exif().tobytes()
    sink = io.BytesIO()
    file.save(sink, quality=30)
    return sink.getvalue()


def raw_png(depth, colour, size, row):
    """A PNG of equal rows, of kinds that Pillow does not write."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(b"\0" + row) for _ in range(size[1])) + packer.flush()
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


CASES = {
    "progressive CMYK JPEG": lambda: encoded("CMYK", "JPEG", progressive=True, subsampling=0),
    "progressive JPEG": lambda: encoded("RGB", "JPEG", progressive=True, subsampling=0),
    "RGBA PNG": lambda: encoded("RGBA", "PNG", compress_level=1),
    "grey PNG with alpha": lambda: encoded("LA", "PNG", compress_level=1),
    "palette PNG with a clear colour": lambda: encoded("P", "PNG", compress_level=1, transparency=0),
    "16-bit grey PNG": lambda: encoded("I;16", "PNG", compress_level=1),
    "16-bit RGBA PNG": lambda: raw_png(16, 6, SIZE, bytes(8 * SIZE[0])),
    "lossless WebP with alpha": lambda: encoded("RGBA", "WEBP", lossless=True, method=0, quality=0),
    "WebP": lambda: encoded("RGB", "WEBP", method=0),
    "RGBA PNG of a phone's size": lambda: encoded("RGBA", "PNG", PHONE, compress_level=1),
    "AVIF of a phone's size": lambda: encoded("RGB", "AVIF", PHONE, speed=10),
    "HEIC of a phone's size": heic,
    "JPEG of the largest size": lambda: encoded("RGB", "JPEG", LARGEST),
    "progressive JPEG of the largest size": lambda: encoded("RGB", "JPEG", LARGEST, progressive=True, subsampling=0),
}


@pytest.mark.parametrize("case", CASES)
def test_the_largest_picture_stays_below_800_mb(measure, case):
    row, peak = measure(CASES[case](), max_bytes=200_000_000)

    assert row.isna()["reason"], row["reason"]
    assert {row["width"], row["height"]} in (set(SIZE), set(PHONE), set(LARGEST))
    assert peak < LIMIT_KB


def test_a_repair_stays_below_800_mb_too(measure):
    row, peak = measure(CASES["progressive CMYK JPEG"]()[:-2])

    assert row["repaired"] == "end_marker"
    assert peak < LIMIT_KB


def test_an_animation_of_that_size_is_a_bomb(measure):
    sink = io.BytesIO()
    frames = [Image.new("RGB", SIZE, colour) for colour in ("red", "blue")]
    frames[0].save(sink, "WEBP", save_all=True, append_images=frames[1:], method=0)

    assert measure(sink.getvalue())[0]["reason"] == "bomb"


@pytest.mark.parametrize("case", ["progressive CMYK JPEG", "RGBA PNG"])
def test_what_needs_more_memory_than_allowed_is_poison(case):
    config = CleanConfig().model_copy(update={"memory_mb": 256})

    assert clean([("a.jpg", CASES[case]())], config=config).results["reason"].tolist() == ["poison"]


def test_a_bomb_costs_no_memory(measure, tmp_path):
    """900 megapixels in a small file."""
    bomb = raw_png(1, 0, (30_000, 30_000), bytes(30_000 // 8))
    # The peak comes back as the thumbnail of a kept photo, so the judge calls it kept.
    (tmp_path / "measuring.py").write_text(
        JUDGE.replace("return facts,", 'return b\'{"format": "%s"}\' % facts[12:16],')
    )

    row, peak = measure(bomb)

    assert row["format"] == "bomb"
    assert 0 < peak < 100_000


@pytest.mark.parametrize(
    "data",
    [
        lambda: encoded("CMYK", "JPEG", LARGEST, progressive=True, subsampling=0),
        lambda: encoded("RGB", "WEBP", PHONE, method=0),
        lambda: encoded("L", "PNG", LARGEST, compress_level=1),
    ],
)
def test_formats_that_take_more_memory_may_have_fewer_pixels(data):
    assert clean([("a.jpg", data())], config=CleanConfig()).results["reason"].tolist() == ["bomb"]
