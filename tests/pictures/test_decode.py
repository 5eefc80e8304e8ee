"""Decoding: what is a photo comes out upright in RGB, what is not has a reason."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from carpipe.pictures import decode

LIMIT = 10_000_000


def picture(size=(90, 60), mode="RGB"):
    ramp = np.linspace(0, 255, size[0] * size[1]).reshape(size[1], size[0]).astype(np.uint8)
    return Image.fromarray(ramp).convert(mode)


def encoded(image, name="JPEG", **options):
    sink = io.BytesIO()
    image.save(sink, name, **options)
    return sink.getvalue()


def quarters(size=(96, 64)):
    """Four colours, so that every turn shows."""
    image = Image.new("RGB", size, "red")
    image.paste("blue", (size[0] // 2, 0, *size))
    image.paste("white", (0, size[1] // 2, size[0] // 2, size[1]))
    return image


def little_endian(tag, value):
    return b"II\x2a\x00" + struct.pack("<IHHHIHHI", 8, 1, tag, 3, 1, value, 0, 0)


def reason_of(data):
    with pytest.raises(decode.PhotoError) as caught:
        decode.decode(data, max_pixels=LIMIT)
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
    image, found = decode.decode(encoded(picture(mode=mode), name), max_pixels=LIMIT)

    assert (image.mode, image.size, found) == ("RGB", (90, 60), name)


def test_sixteen_bits_are_scaled_not_clipped():
    deep = Image.fromarray(np.linspace(0, 65535, 5400).reshape(60, 90).astype(np.uint16))

    image, _ = decode.decode(encoded(deep, "PNG"), max_pixels=LIMIT)

    assert 120 < np.asarray(image).mean() < 135


def test_alpha_lies_on_white():
    clear = Image.new("RGBA", (90, 60), (0, 0, 0, 0))

    image, _ = decode.decode(encoded(clear, "PNG"), max_pixels=LIMIT)

    assert image.getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_are_undone(name, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(quarters(), name, exif=exif)

    image, _ = decode.decode(data, max_pixels=LIMIT)

    # Pillow's own turn is the truth here.
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    assert image.size == upright.size
    assert np.abs(np.asarray(image).astype(int) - np.asarray(upright)).max() <= 1


def test_an_exif_of_the_other_byte_order_turns_too():
    exif = Image.Exif()
    exif[0x0112] = 6
    written, other = exif.tobytes()[6:], little_endian(0x0112, 6)
    data = encoded(picture(), exif=exif).replace(written, other)

    assert other in data
    assert decode.decode(data, max_pixels=LIMIT)[0].size == (60, 90)


def test_broken_exif_says_nothing_of_the_picture():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = bytearray(encoded(picture(), exif=exif))
    start = data.index(b"Exif") + 6  # the TIFF header, one entry, the end: 26 bytes
    for position in range(start, start + 26):
        for value in (0, 255):
            broken = bytes(data[:position]) + bytes([value]) + bytes(data[position + 1 :])
            assert decode.decode(broken, max_pixels=LIMIT)[0].mode == "RGB"


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


@pytest.mark.parametrize("name", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_picture_counts(name):
    frames = [Image.new("RGB", (90, 60), colour) for colour in ("red", "blue", "white")]
    data = encoded(frames[0], name, save_all=True, append_images=frames[1:])

    image, found = decode.decode(data, max_pixels=LIMIT)

    assert found == name
    red, green, blue = image.getpixel((40, 30))
    assert red > 240
    assert max(green, blue) < 15


def test_bytes_behind_the_picture_change_nothing():
    data = encoded(picture())

    image, _ = decode.decode(data + b"\xff\xda" + bytes(range(256)) * 9, max_pixels=LIMIT)

    assert np.array_equal(image, decode.decode(data, max_pixels=LIMIT)[0])


@pytest.mark.parametrize("options", [{"quality": 75}, {"quality": 95, "subsampling": 0}, {"progressive": True}])
def test_jpegs_have_the_pixels_that_pillow_sees(options):
    noise = Image.effect_noise((301, 203), 60).convert("RGB")
    data = encoded(Image.blend(noise, quarters(noise.size), 0.6), **options)

    image, _ = decode.decode(data, max_pixels=LIMIT)

    assert np.array_equal(image, Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_webps_have_the_pixels_that_pillow_sees(mode):
    data = encoded(quarters().convert(mode), "WEBP", quality=60)

    image, _ = decode.decode(data, max_pixels=LIMIT)

    assert np.array_equal(image, Image.open(io.BytesIO(data)).convert("RGB"))


def test_a_jpeg_without_its_end_marker_is_read_as_if_it_had_it():
    data = encoded(quarters())

    picture = decode.read(data[:-2], max_pixels=LIMIT)

    assert (picture.repaired, picture.repair, picture.damage) == (data, "end_marker", 0.0)
    assert np.array_equal(picture.pixels, decode.read(data, max_pixels=LIMIT).pixels)


def test_damage_is_refused_beyond_what_is_allowed():
    data = encoded(Image.effect_noise((320, 320), 50).convert("RGB"))
    cut = data[: len(data) * 9 // 10]

    with pytest.raises(decode.PhotoError) as caught:
        decode.read(cut, max_pixels=LIMIT, max_damage=0.05)

    assert (caught.value.reason, round(caught.value.damage, 1)) == ("truncated", 0.1)
    assert decode.read(cut, max_pixels=LIMIT, max_damage=0.2).damage == caught.value.damage


def test_half_a_picture_of_each_format_is_refused():
    noise = Image.effect_noise((200, 200), 50).convert("RGB")
    for name in ("JPEG", "PNG", "WEBP", "BMP", "GIF"):
        data = encoded(noise, name)
        assert reason_of(data[: len(data) // 2]) in ("truncated", "damaged", "not_an_image"), name


def test_a_large_picture_comes_smaller_where_that_is_enough_and_says_its_size():
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("JPEG", "PNG"):
        data = encoded(quarters((960, 640)), name, exif=exif)

        small = decode.read(data, max_pixels=LIMIT, enough=100)

        assert small.size == (640, 960)
        assert 100 <= small.pixels.shape[1] < 320
        assert small.pixels[5, 5].tolist() == pytest.approx([255, 255, 255], abs=3)  # it was the lower left


def test_a_png_that_ends_early_is_refused_although_decoders_show_it():
    whole = encoded(Image.effect_noise((90, 60), 50), "PNG")
    packed = zlib.compress(zlib.decompress(whole[whole.index(b"IDAT") + 4 : -16])[: 40 * 91])
    start = whole.index(b"IDAT") - 4
    body = b"IDAT" + packed
    cut = whole[:start] + struct.pack(">I", len(packed)) + body + struct.pack(">I", zlib.crc32(body)) + whole[-12:]
    Image.open(io.BytesIO(cut)).load()

    with pytest.raises(decode.PhotoError) as caught:
        decode.decode(cut, max_pixels=LIMIT)

    assert (caught.value.reason, caught.value.damage) == ("damaged", pytest.approx(1 / 3))


@pytest.mark.parametrize("size", [(2000, 9000), (9000, 2000)])
@pytest.mark.parametrize("name", ["PNG", "JPEG"])
def test_a_banner_comes_smaller_where_that_is_enough(name, size):
    data = encoded(Image.new("RGB", size, (200, 30, 60)), name)

    found = decode.read(data, max_pixels=20_000_000, enough=decode.DETAIL)

    assert found.size == size
    assert 4096 <= max(found.pixels.shape) <= 4500
    assert max(found.pixels.shape) / min(found.pixels.shape[:2]) == pytest.approx(4.5, rel=0.01)
    assert abs(found.pixels.astype(int) - (200, 30, 60)).max() < 4


@pytest.mark.parametrize("size", [(1800, 8000), (8160, 2040), (300, 9000)])
def test_a_panorama_of_a_phone_does_not(size):
    found = decode.read(encoded(Image.new("L", size)), max_pixels=20_000_000, enough=decode.DETAIL)

    assert found.pixels.shape[:2] == size[::-1]
