"""Decoding: what is a photo comes out upright in RGB, what is not has a reason."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from carpipe import images

LIMIT = 10_000_000


def picture(size=(90, 60), mode="RGB"):
    ramp = np.linspace(0, 255, size[0] * size[1]).reshape(size[1], size[0]).astype(np.uint8)
    return Image.fromarray(ramp).convert(mode)


def encoded(image, name="JPEG", **options):
    sink = io.BytesIO()
    image.save(sink, name, **options)
    return sink.getvalue()


def reason_of(data):
    with pytest.raises(images.PhotoError) as caught:
        images.decode(data, max_pixels=LIMIT)
    return caught.value.reason


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("JPEG", "RGB"),
        ("JPEG", "L"),
        ("JPEG", "CMYK"),
        ("PNG", "RGBA"),
        ("PNG", "P"),
        ("WEBP", "RGB"),
        ("BMP", "RGB"),
        ("GIF", "P"),
    ],
)
def test_every_format_becomes_rgb(name, mode):
    image, found = images.decode(encoded(picture(mode=mode), name), max_pixels=LIMIT)

    assert (image.mode, image.size, found) == ("RGB", (90, 60), name)


def test_sixteen_bits_are_scaled_not_clipped():
    deep = Image.fromarray(np.linspace(0, 65535, 5400).reshape(60, 90).astype(np.uint16))

    image, _ = images.decode(encoded(deep, "PNG"), max_pixels=LIMIT)

    assert 120 < np.asarray(image).mean() < 135


def test_alpha_lies_on_white():
    clear = Image.new("RGBA", (90, 60), (0, 0, 0, 0))

    image, _ = images.decode(encoded(clear, "PNG"), max_pixels=LIMIT)

    assert image.getpixel((5, 5)) == (255, 255, 255)


def test_exif_turns_are_undone():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright

    image, _ = images.decode(encoded(picture(), exif=exif), max_pixels=LIMIT)

    assert image.size == (60, 90)


def test_broken_exif_says_nothing_of_the_picture():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = bytearray(encoded(picture(), exif=exif))
    start = data.index(b"Exif") + 6  # the TIFF header, one entry, the end: 26 bytes
    for position in range(start, start + 26):
        for value in (0, 255):
            broken = bytes(data[:position]) + bytes([value]) + bytes(data[position + 1 :])
            assert images.decode(broken, max_pixels=LIMIT)[0].mode == "RGB"


@pytest.mark.parametrize("share", [0.1, 0.5, 0.97])
def test_a_cut_file_is_truncated(share):
    data = encoded(Image.effect_noise((300, 200), 50).convert("RGB"))

    assert reason_of(data[: int(len(data) * share)]) == "truncated"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<html>404</html>", "not_an_image"),
        (b"\xff\xd8\xff", "not_an_image"),
        (bytes(5000), "not_an_image"),
    ],
)
def test_what_is_no_picture_is_said(data, reason):
    assert reason_of(data) == reason


def test_a_bomb_is_refused_before_a_pixel_is_decoded():
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 1, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")

    assert reason_of(bomb) == "bomb"


def test_re_encoding_leaves_no_metadata():
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "N"  # GPS
    image, _ = images.decode(encoded(picture(), exif=exif), max_pixels=LIMIT)

    again = Image.open(io.BytesIO(images.encode_jpeg(images.fit(image, 45), quality=90)))

    assert again.size == (45, 30)
    assert not again.getexif()


def test_fit_never_enlarges():
    assert images.fit(picture(), 500).size == (90, 60)


def test_dhash_survives_recompression_and_tells_pictures_apart():
    noise = Image.effect_noise((300, 200), 80).convert("RGB")
    again = images.decode(encoded(noise, quality=60), max_pixels=LIMIT)[0]

    def distance(a, b):
        return (int(images.dhash(a), 16) ^ int(images.dhash(b), 16)).bit_count()

    assert distance(noise, again) <= 4
    assert distance(noise, noise.transpose(Image.Transpose.FLIP_TOP_BOTTOM)) > 15
