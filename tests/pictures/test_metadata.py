"""Metadata of any size and any brokenness never decide about a picture."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from carpipe.pictures import decode
from tests.pictures.drawn import draw, encode, jpeg

LIMIT = 10_000_000
IMAGE = draw((320, 240))


def read(data):
    return decode.read(data, max_pixels=LIMIT)


def png(*chunks):
    """A PNG with chunks before its data."""
    data = encode(IMAGE, "PNG")
    extra = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    place = data.index(b"IDAT") - 4
    return data[:place] + extra + data[place:]


def riff(data, kind, body):
    return data + kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def segments(marker, head, body):
    pieces = [body[i : i + 60_000] for i in range(0, len(body), 60_000)]
    return b"".join(
        bytes((0xFF, marker)) + struct.pack(">H", 2 + len(head) + len(piece)) + head + piece for piece in pieces
    )


def with_segments(extra):
    data = jpeg(size=IMAGE.size)
    return data[:2] + extra + data[2:]


TEXT = b"history of edits " * 500_000  # 8 MB
EXTENDED = encode(IMAGE, "WEBP", exif=Image.Exif())
ODD = {
    "compressed text": lambda: png((b"zTXt", b"history\0\0" + zlib.compress(TEXT))),
    "text": lambda: png((b"tEXt", b"history\0" + TEXT)),
    "international text": lambda: png((b"iTXt", b"history\0\1\0\0\0" + zlib.compress(TEXT))),
    "much text": lambda: png(*[(b"zTXt", b"history\0\0" + zlib.compress(TEXT[:900_000]))] * 80),
    "a profile as large as text": lambda: png((b"iCCP", b"p\0\0" + zlib.compress(TEXT))),
    "a profile that does not unpack": lambda: png((b"iCCP", b"p\0\0nonsense")),
    "a profile without a name": lambda: png((b"iCCP", b"")),
    "broken EXIF in a PNG": lambda: png((b"eXIf", b"MM\0*\xff\xff\xff\xff\x01\x12")),
    "large EXIF in a PNG": lambda: png((b"eXIf", b"MM\0*\0\0\0\x08" + TEXT)),
    "an animation's chunks": lambda: png((b"acTL", b"\xff" * 8), (b"fcTL", b"")),
    "a clear colour that is none": lambda: png((b"tRNS", b"\1")),
    "a time that is none": lambda: png((b"tIME", b""), (b"pHYs", b"\0"), (b"gAMA", b""), (b"cHRM", b"x")),
    "broken EXIF in a JPEG": lambda: with_segments(segments(0xE1, b"Exif\0\0", b"MM\0*\xff\xff\xff\xff\x01\x12" * 999)),
    "large XMP in a JPEG": lambda: with_segments(segments(0xE1, b"http://ns.adobe.com/xap/1.0/\0", TEXT)),
    "a profile in a JPEG that is none": lambda: with_segments(segments(0xE2, b"ICC_PROFILE\0\1\1", TEXT[:50_000])),
    "a large profile in a JPEG": lambda: with_segments(segments(0xE2, b"ICC_PROFILE\0\1\xff", TEXT)),
    "a gain map's header": lambda: with_segments(segments(0xE2, b"MPF\0", b"MM\0*" + b"\xff" * 900)),
    "Photoshop's resources": lambda: with_segments(segments(0xED, b"Photoshop 3.0\0", TEXT)),
    "large EXIF in a WebP": lambda: riff(EXTENDED, b"EXIF", TEXT),
    "broken EXIF in a WebP": lambda: riff(EXTENDED, b"EXIF", b"MM\0*\xff\xff\xff\xff\x01\x12"),
    "large XMP in a WebP": lambda: riff(EXTENDED, b"XMP ", TEXT),
    "a profile in a WebP that is none": lambda: riff(EXTENDED, b"ICCP", TEXT),
}


@pytest.mark.parametrize("kind", ODD)
def test_metadata_never_decide_about_a_picture(kind):
    data = ODD[kind]()
    name = "PNG" if data[:1] == b"\x89" else "WEBP" if data[:1] == b"R" else "JPEG"
    plain = read({"PNG": png(), "WEBP": EXTENDED, "JPEG": jpeg(size=IMAGE.size)}[name])

    picture = read(data)

    assert (picture.format, picture.damage) == (name, 0.0)
    assert np.array_equal(picture.pixels, plain.pixels)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
def test_the_turn_is_found_among_large_metadata(name):
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"PNG": {"pnginfo": PngImagePlugin.PngInfo()}}.get(name, {})
    if options:
        options["pnginfo"].add_text("history", "edit " * 400_000, zip=True)

    assert read(encode(IMAGE, name, exif=exif, **options)).size == (240, 320)


def test_a_turn_that_only_xmp_tells_is_undone():
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", '<rdf:Description tiff:Orientation="6"/>')

    assert read(encode(IMAGE, "PNG", pnginfo=info)).size == (240, 320)


def test_a_jpeg_in_many_pictures_is_its_first():
    data = encode(IMAGE, "MPO", save_all=True, append_images=[draw((96, 64))])
    assert Image.open(io.BytesIO(data)).format == "MPO"

    assert (read(data).format, read(data).size) == ("JPEG", (320, 240))


@pytest.mark.parametrize("packed", [False, True])
def test_a_png_may_have_its_turn_in_text(packed):
    """As ImageMagick wrote EXIF before PNG had a chunk for it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    block = b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0")
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n{block.hex()}\n", zip=packed)
    sink = io.BytesIO()
    Image.new("RGB", (30, 20)).save(sink, "PNG", pnginfo=info)

    assert decode.read(sink.getvalue(), max_pixels=10_000).size == (20, 30)
