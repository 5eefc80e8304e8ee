"""What was written over a JPEG's data is found, also where libjpeg says nothing; legal stretches are left alone."""

import io

import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from carpipe.pictures import decode, runs
from carpipe.pictures.jpeg_holes import find_hole
from carpipe.pictures.jpeg_segments import DHT, DQT, END, parse
from tests.pictures.drawn import draw, encode, jpeg

LIMIT = 10_000_000
KINDS = {
    "baseline": {},
    "4:4:4": {"subsampling": 0},
    "optimised": {"optimize": True},
    "grey": {"mode": "L"},
    "restarts": {"restart_marker_blocks": 5},
    "progressive": {"progressive": True},
}


def damage(data):
    try:
        return decode.read(data, max_pixels=LIMIT, max_damage=1.0).damage
    except decode.PhotoError as error:  # where nothing at all can be decoded
        return error.damage


def holes(data, size, fill, count):
    """The file with a stretch written over, at places all over its data, every second one a sector of a disk."""
    scans = parse(data).scans
    rng = np.random.default_rng(size + fill)
    for number, place in enumerate(rng.integers(scans[0].start, scans[-1].stop - size, count).tolist()):
        start = place if number % 2 else max(place // 512 * 512, scans[0].start)
        yield data[:start] + bytes([fill]) * size + data[start + size :]


def is_silent(data):
    try:
        simplejpeg.decode_jpeg(data, strict=True)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fill", [0x00, 0xFF, 0x55, 0xAA, 0x20])
@pytest.mark.parametrize("size", [512, 4096])
def test_a_lost_sector_is_damage(kind, fill, size):
    data = jpeg(**KINDS[kind])

    assert all(damage(broken) > 0 for broken in holes(data, size, fill, 24))


def test_some_of_them_the_decoder_does_not_notice():
    data = jpeg(size=(960, 640))
    silent = [broken for broken in holes(data, 512, 0, 150) if is_silent(broken)]

    assert silent
    assert all(damage(broken) > 0 for broken in silent)


def test_the_damage_begins_at_the_hole():
    data = jpeg()
    scan = parse(data).scans[0]
    middle = (scan.start + scan.stop) // 2

    assert damage(data[:middle] + bytes(600) + data[middle + 600 :]) == pytest.approx(0.5, abs=0.1)


def flat(colour):
    return Image.new("RGB", (640, 480), colour)


def studio(colour):
    """A car before a wall that is lit evenly."""
    image = flat(colour)
    image.paste(draw((320, 160)), (160, 240))
    return image


def gradient(vertical):
    ramp = np.linspace(250, 90, 480 if vertical else 640)
    grey = np.broadcast_to(ramp[:, None] if vertical else ramp, (480, 640))
    image = Image.fromarray(np.stack([grey] * 3, axis=2).astype(np.uint8))
    image.paste(draw((320, 160)), (160, 240))
    return image


def stripes(width):
    dark = np.arange(640) // width % 2 == 0
    return Image.fromarray(np.broadcast_to(np.where(dark, 0, 255).astype(np.uint8)[:, None], (480, 640, 3)).copy())


PICTURES = {
    "white": lambda: flat("white"),
    "black": lambda: flat("black"),
    "a white wall": lambda: studio("white"),
    "a black wall": lambda: studio("black"),
    "a grey wall": lambda: studio("#808080"),
    "a gradient down": lambda: gradient(True),
    "a gradient across": lambda: gradient(False),
    "narrow stripes": lambda: stripes(2),
    "wide stripes": lambda: stripes(8),
}
WAYS = [
    {},
    {"optimize": True},
    {"progressive": True},
    {"progressive": True, "subsampling": 0},
    {"restart_marker_rows": 1},
]


@pytest.mark.parametrize("name", PICTURES)
def test_flat_and_drawn_pictures_are_whole(name):
    image = PICTURES[name]()
    pixels = np.asarray(image)

    files = [encode(image, quality=quality, **way) for quality in (30, 75, 92, 100) for way in WAYS]
    files += [encode(image.convert("L"), quality=quality, **way) for quality in (75, 92) for way in WAYS]
    files += [simplejpeg.encode_jpeg(pixels, quality=90, colorsubsampling=way) for way in ("444", "422", "420", "411")]
    files += [cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()]

    assert [damage(data) for data in files] == [0.0] * len(files)


@pytest.mark.parametrize("marker", [DQT, DHT])
def test_a_table_that_was_written_over_is_damage(marker):
    data = jpeg(restart_marker_rows=2)
    body = next(one.body for one in reversed(parse(data).segments) if one.marker == marker)
    start = data.index(body) + 21

    assert damage(data[:start] + bytes(9) + data[start + 9 :]) > 0


def test_padding_in_metadata_is_none_of_the_picture():
    exif = Image.Exif()
    exif[0x010E] = "x" + "\0" * 5000
    data = jpeg(exif=exif, comment=b" " * 3000)

    assert bytes(2000) in data
    assert damage(data) == 0.0


def test_real_photos_have_no_holes(data):
    """Marketplace photos, most of them progressive, and what other encoders make of them."""
    found = []
    for path in sorted((data / "raw").rglob("*_1_*.jpg"))[:150]:
        photo = path.read_bytes()
        try:
            if damage(photo):
                continue
        except decode.PhotoError:
            continue
        image = Image.open(io.BytesIO(photo)).convert("RGB")
        found += [(path.name, way) for way in WAYS if damage(encode(image, quality=85, **way))]

    assert found == []


def test_the_end_marker_of_the_picture_is_the_first_one():
    assert parse(jpeg() + bytes(60) + END).end == len(jpeg()) - 2


def test_all_of_a_file_is_looked_at_once_however_many_stretches_there_are(monkeypatch):
    data = bytearray(jpeg(size=(960, 640)))
    scan = parse(data).scans[0]
    for place in np.linspace(scan.start + 3000, scan.stop - 20_000, 6).astype(int).tolist():
        data[place : place + 300] = bytes([0x55]) * 300
    data[scan.stop - 4000 : scan.stop - 2800] = bytes([0xC5, 0xC6]) * 600  # a drawn part, which lost sectors are not
    data, looked = bytes(data), []
    has_drawn_part = runs._has_drawn_part
    monkeypatch.setattr(runs, "_has_drawn_part", lambda rest: looked.append(len(rest)) or has_drawn_part(rest))

    assert find_hole(data, parse(data)) is None
    assert len(looked) == 1


def test_of_a_large_file_some_pieces_are_looked_at(monkeypatch):
    data = np.random.default_rng(1).bytes(20_000_000)
    compressed = []
    monkeypatch.setattr(runs.zlib, "compress", lambda piece, level: compressed.append(1) or piece)

    assert not runs._has_drawn_part(data)
    assert len(compressed) < 25_000
