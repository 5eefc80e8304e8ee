"""WebP, GIF, BMP, HEIC and AVIF: what is missing or written over is measured."""

import io
import struct
import tracemalloc

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from carpipe.pictures import decode
from carpipe.pictures.chunks import riff_chunks, riff_places
from carpipe.pictures.gif_damage import measure_gif
from carpipe.pictures.heif_damage import measure_heif
from tests.pictures.drawn import draw, encode

LIMIT = 10_000_000


def heic(image, *, exif=b"", **options):
    """What EXIF says of the turn is also said by the container, as phones do."""
    file = pillow_heif.from_bytes(image.mode, image.size, image.tobytes())
    file.info["exif"] = exif or Image.Exif().tobytes()
    sink = io.BytesIO()
    file.save(sink, **options)
    return sink.getvalue()


FILES = {
    "WEBP": lambda image: encode(image, "WEBP", quality=85),
    "WEBP with alpha": lambda image: encode(with_alpha(image), "WEBP", quality=85),
    "lossless WEBP": lambda image: encode(image, "WEBP", lossless=True),
    "animated WEBP": lambda image: encode(
        image, "WEBP", save_all=True, append_images=[draw(image.size, 8)], quality=85
    ),
    "GIF": lambda image: encode(image, "GIF"),
    "BMP": lambda image: encode(image, "BMP"),
    "PNG": lambda image: encode(image, "PNG"),
    "HEIF": lambda image: heic(image, quality=80),
    "AVIF": lambda image: encode(image, "AVIF", quality=80, speed=10),
}


# What the share of damage may differ from the share of bytes, below and above: a PNG's rows and a GIF's pixels are
# counted, and alpha lies before the colours and may be read further than it is sound.
MISSED = {"PNG": (0.15, 0), "GIF": (0.02, 0.03), "WEBP with alpha": (0.25, 0.02)}
FIRST = {"animated WEBP": 0.51}  # share of the file that the first picture is


def with_alpha(image):
    image = image.copy()
    image.putalpha(draw(image.size, 5).convert("L"))
    return image


def damage(data):
    try:
        return decode.read(data, max_pixels=LIMIT, max_damage=1.0).damage
    except decode.PhotoError as error:
        return 1.0 if error.damage is None else error.damage


@pytest.mark.parametrize("kind", FILES)
def test_a_sound_file_has_no_damage(kind):
    assert damage(FILES[kind](draw())) == 0.0


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("share", [0.25, 0.45, 0.7])
def test_a_file_that_was_reserved_and_not_filled_is_damaged(kind, share):
    data = FILES[kind](draw())
    if kind == "animated WEBP":  # of which the first picture counts
        share *= 0.4
    kept = int(len(data) * share) // 8 * 8 + 5

    with pytest.raises(decode.PhotoError) as caught:
        decode.read(data[:kept] + bytes(len(data) - kept), max_pixels=LIMIT)

    assert caught.value.reason == "damaged"
    below, above = MISSED.get(kind, (0.02, 0.02))
    missing = 1 - kept / (len(data) * FIRST.get(kind, 1))
    assert missing - below <= caught.value.damage <= missing + above
    assert decode.read(data, max_pixels=LIMIT).damage == 0.0


@pytest.mark.parametrize("kind", FILES)
def test_half_a_file_is_damaged(kind):
    data = FILES[kind](draw())
    with pytest.raises(decode.PhotoError) as caught:
        decode.read(data[: len(data) // (4 if kind == "animated WEBP" else 2)], max_pixels=LIMIT)

    assert caught.value.reason in ("truncated", "damaged")


@pytest.mark.parametrize("kind", [kind for kind in FILES if kind not in ("BMP", "animated WEBP")])
@pytest.mark.parametrize("fill", [0x00, 0xFF, 0x55])
def test_a_lost_sector_is_damage(kind, fill):
    data = FILES[kind](draw())
    for place in np.linspace(len(data) // 4, len(data) - 1200, 12).astype(int).tolist():
        assert damage(data[:place] + bytes([fill]) * 512 + data[place + 512 :]) > 0, place


@pytest.mark.parametrize("method", [0, 4])
@pytest.mark.parametrize(
    "options", [{"quality": 75}, {"quality": 90}, {"quality": 100}, {"lossless": True, "quality": 0}]
)
@pytest.mark.parametrize("colour", ["white", "black", "#808080"])
def test_flat_webps_are_whole(method, options, colour):
    plain = Image.new("RGB", (800, 600), colour)
    wall = plain.copy()
    wall.paste(draw((320, 160)), (240, 380))
    for image in (plain, wall):
        assert damage(encode(image, "WEBP", method=method, **options)) == 0.0


def test_a_webp_that_lies_about_its_size_is_as_whole_as_it_is():
    data = encode(draw(), "WEBP", quality=85)

    for size in (0, 40, len(data) * 3):
        assert damage(data[:4] + struct.pack("<I", size) + data[8:]) == 0.0


def test_metadata_that_were_cut_are_no_damage_of_a_webp():
    exif = Image.Exif()
    exif[0x010E] = "x" * 9000
    data = encode(draw(), "WEBP", quality=85, exif=exif)
    assert [kind for kind, _ in riff_chunks(data)][-1] == b"EXIF"
    (*_, (_, start, _)) = riff_places(data)

    assert damage(data[: start + 100]) == 0.0


def test_dark_bmps_and_bars_are_whole():
    image = draw()
    bars = Image.new("RGB", (480, 480))
    bars.paste(image, (0, 80))
    night = image.point(lambda level: max(0, level - 120) // 2)
    lamp = Image.new("RGB", (480, 320))
    lamp.paste(draw((64, 64)), (200, 150))
    for picture in (bars, night, lamp, Image.new("RGB", (480, 320)), bars.transpose(Image.Transpose.ROTATE_90)):
        assert damage(encode(picture, "BMP")) == 0.0


def test_a_gif_that_ends_early_lacks_the_pixels_that_others_show_in_one_colour():
    image = draw().quantize(64)
    data = encode(image, "GIF")
    half = len(data) // 2
    # A block of no bytes ends the picture: decoders stop there without a word.
    start = data.index(b"\x2c\0\0\0\0") + 11
    place = start
    while place < half:
        place += 1 + data[place]
    cut = data[:place] + b"\0;"

    with pytest.raises(decode.PhotoError) as caught:
        decode.read(cut, max_pixels=LIMIT)

    assert (caught.value.reason, caught.value.damage) == ("damaged", pytest.approx(0.5, abs=0.1))


@pytest.mark.parametrize("turn", range(1, 9))
def test_heif_and_avif_are_turned_as_they_say(turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    image = Image.new("RGB", (96, 64), "red")
    image.paste("white", (0, 32, 48, 64))

    shown = decode.read(encode(image, "PNG", exif=exif), max_pixels=LIMIT).pixels
    for data in (heic(image, exif=exif.tobytes(), quality=95), encode(image, "AVIF", exif=exif, quality=95)):
        picture = decode.read(data, max_pixels=LIMIT)

        assert picture.size == (shown.shape[1], shown.shape[0])
        assert np.abs(picture.pixels.astype(int) - shown).mean() < 12


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_heif_and_avif_are_refused_where_they_are_too_large(kind):
    with pytest.raises(decode.PhotoError, match="pixels are more than") as caught:
        decode.read(FILES[kind](draw()), max_pixels=100_000)

    assert caught.value.reason == "bomb"


def heic_with_thumbnail():
    """A HEIC, and where its thumbnail lies: behind all, as libheif writes it."""
    file = heic(draw((800, 600)), quality=80)
    with_it = pillow_heif.open_heif(file)
    sink = io.BytesIO()
    with_it[0].info["thumbnails"] = [256]
    with_it.save(sink, quality=80)
    data = sink.getvalue()
    size = len(data) - len(file)
    assert size > 2000
    return data, len(data) - size + 500


def test_a_thumbnail_decides_nothing_about_a_heic():
    data, place = heic_with_thumbnail()
    written_over = data[:place] + bytes(1000) + data[place + 1000 :]

    assert [damage(file) for file in (data, written_over, data[:-50])] == [0.0] * 3
    assert damage(data[: place // 2] + bytes(1000) + data[place // 2 + 1000 :]) > 0


def box(kind, body):
    return struct.pack(">I4s", 8 + len(body), kind) + body


def test_a_table_of_contents_that_lists_nothing_many_times_takes_no_memory():
    """With sizes of 0 an item is six bytes and may have 65,535 pieces."""
    table = bytes(6) + struct.pack(">H", 100) + (struct.pack(">HHH", 1, 0, 65535)) * 100
    kinds = bytes(4) + struct.pack(">H", 1) + box(b"infe", bytes([2, 0, 0, 0]) + b"\0\1\0\0hvc1\0")
    primary = box(b"pitm", bytes(4) + b"\0\1")
    meta = box(b"meta", bytes(4) + primary + box(b"iinf", kinds) + box(b"iloc", table))
    tracemalloc.start()

    assert measure_heif(box(b"ftyp", b"heic\0\0\0\0mif1heic") + meta) == (0.0, False)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("bits", [0, 9, 27, 255])
def test_a_gif_whose_codes_have_no_such_size_is_damage(bits):
    data = bytearray(encode(draw((48, 32)).quantize(64), "GIF"))
    data[data.index(b"\x2c\0\0\0\0") + 10] = bits  # the size of codes follows the descriptor: no table of its own
    tracemalloc.start()

    assert measure_gif(bytes(data)) == 1.0

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000
    assert damage(bytes(data)) == 1.0


@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
def test_line_ends_that_were_rewritten_in_a_heic_are_damage(end):
    sink = io.BytesIO()
    pillow_heif.from_pillow(draw((600, 450), seed=4)).save(sink, quality=90)

    assert measure_heif(sink.getvalue()) == (0.0, False)
    assert measure_heif(sink.getvalue().replace(b"\n", end))[0] == 1.0
