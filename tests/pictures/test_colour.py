"""Colours of wide-gamut photos come out as sRGB, in every format; other profiles change nothing."""

import io
import struct

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from carpipe.pictures import decode
from carpipe.pictures.colour import to_srgb
from tests.pictures.drawn import draw, encode

# Primaries as XYZ columns, adapted to D50 as profiles hold them. Display P3: ICC registry; Adobe RGB (1998): section
# 4.3.5.3 of its specification, adapted.
P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
# How the corners of sRGB are encoded, rounded: https://www.w3.org/TR/css-color-4, color(display-p3 ...), a98-rgb.
CORNERS = {
    "P3": {(234, 51, 35): (255, 0, 0), (117, 251, 76): (0, 255, 0), (0, 0, 245): (0, 0, 255)},
    "Adobe": {(219, 0, 0): (255, 0, 0), (144, 255, 60): (0, 255, 0), (0, 0, 250): (0, 0, 255)},
}
LIMIT = 1_000_000
GAMMA = {"P3": None, "Adobe": 563 / 256}


def profile(primaries, gamma, *, space=b"RGB ", name=b"a profile"):
    """The smallest ICC profile there is: version 2.4, matrix and curves (ICC.1:2001-04)."""

    def number(value):
        return struct.pack(">i", round(value * 65536))

    def xyz(values):
        return b"XYZ \0\0\0\0" + b"".join(map(number, values))

    curve = b"curv\0\0\0\0" + (struct.pack(">IH", 1, round(gamma * 256)) if gamma else _curve_of_srgb())
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(name) + 1) + name + bytes(79),
        b"wtpt": xyz((0.9642, 1.0, 0.8249)),
        **dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), map(xyz, primaries), strict=True)),
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    table, body, start = b"", b"", 132 + 12 * len(tags)
    for tag, data in tags.items():
        data += bytes(-len(data) % 4)
        table += tag + struct.pack(">II", start + len(body), len(data))
        body += data
    size = start + len(body)
    white = b"".join(map(number, (0.9642, 1.0, 0.8249)))
    header = struct.pack(">I4sI4s4s4s", size, b"test", 0x02400000, b"mntr", space, b"XYZ ") + bytes(12) + b"acsp"
    return header.ljust(68, b"\0") + white + bytes(48) + struct.pack(">I", len(tags)) + table + body


def _curve_of_srgb():
    level = np.linspace(0, 1, 1024)
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    return struct.pack(">I1024H", 1024, *(linear * 65535).round().astype(int).tolist())


WIDE = {"P3": profile(P3, None), "Adobe": profile(ADOBE, 563 / 256)}


def to_linear(level, gamma):
    level = np.asarray(level) / 255
    return level**gamma if gamma else np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)


def computed(colour, primaries, gamma):
    """The same by the matrices, without a profile."""
    linear = np.linalg.inv(np.array(SRGB).T) @ np.array(primaries).T @ to_linear(colour, gamma)
    linear = linear.clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def with_profile(name, colour, icc):
    image = Image.new("RGB", (160, 120), colour)
    if name == "HEIF":
        file = pillow_heif.from_bytes("RGB", image.size, image.tobytes())
        file.info.update(icc_profile=icc, icc_profile_type="prof", exif=Image.Exif().tobytes())
        sink = io.BytesIO()
        file.save(sink, quality=100, chroma=444)
        return sink.getvalue()
    options = {"JPEG": {"quality": 98, "subsampling": 0}, "WEBP": {"lossless": True}, "AVIF": {"quality": 100}}
    return encode(image, name, icc_profile=icc, **options.get(name, {}))


def shown(data):
    return decode.read(data, max_pixels=1_000_000).pixels[60, 80].tolist()


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF"])
@pytest.mark.parametrize(("gamut", "primaries"), [("P3", P3), ("Adobe", ADOBE)])
@pytest.mark.parametrize("colour", [(200, 60, 40), (60, 160, 70), (40, 60, 180), (128, 128, 128), (255, 255, 255)])
def test_a_wide_gamut_photo_shows_the_colours_that_were_meant(name, gamut, primaries, colour):
    data = with_profile(name, colour, WIDE[gamut])

    # Lossy encoders are off by some levels themselves.
    assert shown(data) == pytest.approx(computed(colour, primaries, GAMMA[gamut]).tolist(), abs=6)


@pytest.mark.parametrize("gamut", CORNERS)
def test_corners_of_srgb_are_corners_again(gamut):
    for colour, corner in CORNERS[gamut].items():
        # Near zero one level of linear light is 13 levels of the encoded.
        assert shown(with_profile("PNG", colour, WIDE[gamut])) == pytest.approx(corner, abs=14)


def same(icc):
    plain, colour = with_profile("PNG", (200, 60, 40), None), (200, 60, 40)
    return shown(with_profile("PNG", colour, icc)) == shown(plain)


def test_a_profile_that_is_srgb_by_another_name_changes_nothing():
    assert same(profile(SRGB, None, name=b"Display P3"))
    assert same(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())


@pytest.mark.parametrize(
    "icc",
    [
        b"nonsense",
        WIDE["P3"][:200],
        WIDE["P3"][:140] + b"\xff" * (len(WIDE["P3"]) - 140),
        profile(P3, None, space=b"CMYK"),
        profile(P3, None, space=b"GRAY"),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(),
    ],
)
def test_a_profile_that_is_broken_or_of_another_kind_changes_nothing(icc):
    assert same(icc)


def test_grey_and_cmyk_pictures_keep_their_colours():
    for mode in ("L", "CMYK"):
        image = draw((160, 120)).convert(mode)

        with_it = decode.read(encode(image, icc_profile=WIDE["P3"]), max_pixels=LIMIT).pixels

        assert np.array_equal(with_it, decode.read(encode(image), max_pixels=LIMIT).pixels)


def test_small_and_full_size_have_the_same_colours():
    data = encode(Image.new("RGB", (800, 600), (200, 60, 40)), icc_profile=WIDE["P3"], quality=95)

    small = decode.read(data, max_pixels=LIMIT, enough=100)

    assert small.pixels.shape < (600, 800, 3)
    assert small.pixels[10, 10].tolist() == decode.read(data, max_pixels=LIMIT).pixels[10, 10].tolist()


def by_pillow(pixels, icc):
    source, goal = ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB")
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    return np.asarray(ImageCms.profileToProfile(Image.fromarray(pixels), source, goal, renderingIntent=intent))


def test_colours_are_those_of_the_transform_whether_they_were_met_before_or_not(monkeypatch):
    tables = {}
    monkeypatch.setattr("carpipe.pictures.colour._tables", tables)
    # As many pixels as are looked up at a time, and some; the first pixel is black, which is nothing special.
    first, second = np.random.default_rng(0).integers(0, 256, (2, 300, 1000, 3), np.uint8)
    first[0, 0] = 0

    for icc in (*WIDE.values(), profile(P3, 2.2)):
        for pixels in (first, first, second, second[:, :1], second[:1]):
            assert np.array_equal(to_srgb(pixels.copy(), icc), by_pillow(pixels, icc))
    assert list(tables) == list(WIDE.values())
