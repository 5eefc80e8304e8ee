"""What is odd about a JPEG but not about its picture makes no damage, and hides none."""

import io

import numpy as np
import pytest
from PIL import Image

from carpipe.pictures import decode, jpeg_decoders
from carpipe.pictures.jpeg_segments import END, parse
from tests.pictures.drawn import draw, encode, jpeg
from tests.pictures.test_colour import P3, profile

LIMIT = 10_000_000


def read(data, **options):
    return decode.read(data, max_pixels=LIMIT, max_damage=1.0, **options)


def place_of(data, marker):
    return data.index(bytes((0xFF, marker)))


def insert(data, marker, extra):
    place = place_of(data, marker)
    return data[:place] + extra + data[place:]


def frame_of(data):
    return 0xC2 if b"\xff\xc2" in data else 0xC0


def overwrite(data, place, new):
    return data[:place] + new + data[place + len(new) :]


def scan_header(data, new):
    """The last three bytes of the scan's header: where the band begins and ends, precision."""
    header = place_of(data, 0xDA)
    end = header + 2 + int.from_bytes(data[header + 2 : header + 4], "big")
    return overwrite(data, end - 3, new)


def adobe(version=100, transform=1):
    return b"\xff\xee\x00\x0eAdobe" + version.to_bytes(2, "big") + bytes(4) + bytes([transform])


PREVIEW = encode(draw((96, 64), seed=9))
ODD = {
    "zeros before the tables": lambda data: insert(data, 0xDB, b"\0\0"),
    "zeros before the frame": lambda data: insert(data, frame_of(data), b"\0\0\0"),
    "stray bytes before the codes": lambda data: insert(data, 0xC4, b"\x12\x34\x56"),
    "stray bytes before the scan": lambda data: insert(data, 0xDA, b"stray"),
    "stray bytes with a marker that there is not": lambda data: insert(data, 0xDB, b"\0\xff\x33\0\xff\xc8\x01"),
    "stray bytes that look like a table": lambda data: insert(data, 0xDB, b"\xff\xdb\0\x05ab\xff\xc4\0\4\0\0"),
    "restart markers and TEM outside of scans": lambda data: insert(data, 0xDB, b"\xff\xd3\xff\x01"),
    "fill bytes": lambda data: insert(data, 0xC4, b"\xff" * 70),
    "a preview before the tables": lambda data: insert(data, 0xDB, b"\0\0" + PREVIEW),
    "JFIF of a later day": lambda data: overwrite(data, data.index(b"JFIF") + 5, b"\x09\x77"),
    "an Adobe transform that there is not": lambda data: insert(data, 0xDB, adobe(transform=7)),
    "a profile in pieces that do not fit": lambda data: insert(data, 0xDB, b"\xff\xe2\0\x14ICC_PROFILE\0\x05\x02abcd"),
    "EXIF longer than it says": lambda data: insert(data, 0xDB, b"\xff\xe1\0\x10Exif\0\0MM\0*" + b"\x02\x11" * 50),
    "EXIF longer than it says, with a preview": lambda data: insert(
        data, 0xDB, b"\xff\xe1\0\x0cExif\0\0MM\0*" + PREVIEW
    ),
    "EXIF shorter than it says": lambda data: insert(data, 0xDB, b"\xff\xe1\x01\x10Exif\0\0MM\0*"),
    "text shorter than it says": lambda data: insert(data, frame_of(data), b"\xff\xfe\x00\x99short"),
    "a table twice": lambda data: insert(
        data, frame_of(data), data[place_of(data, 0xDB) : place_of(data, frame_of(data))]
    ),
    "a scan header as some phones write it": lambda data: scan_header(data, b"\0\0\0"),
    "a scan header of zeros and ones": lambda data: scan_header(data, b"\1\x3e\x10"),
    "zeros before the end": lambda data: data[:-2] + bytes(24) + END,
    "zeros before the end, and a preview behind": lambda data: data[:-2] + bytes(24) + END + bytes(99) + PREVIEW,
    "a gain map behind": lambda data: data + PREVIEW + b"\0\0" + PREVIEW,
    "a video behind": lambda data: data[:-2] + bytes(3) + END + b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 50,
}
HEADERS = [kind for kind in ODD if "end" not in kind and "behind" not in kind]


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize(
    "options", [{}, {"subsampling": 0, "optimize": True}, {"restart_marker_rows": 1}, {"progressive": True}]
)
def test_an_odd_file_with_a_whole_picture_is_whole(kind, options):
    if options.get("progressive") and "scan header" in kind:
        pytest.skip("there it means something")
    data = jpeg(**options)

    picture = read(ODD[kind](data))

    assert (picture.damage, picture.repaired) == (0.0, None)
    assert np.array_equal(picture.pixels, Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("kind", HEADERS)
@pytest.mark.parametrize("tail", [b"", END, bytes(3000), bytes(3000) + END])
def test_an_odd_file_with_half_a_picture_is_damaged(kind, tail):
    data = ODD[kind](jpeg())

    found = read(data[: (place_of(data, 0xDA) + len(data)) // 2] + tail)

    # Where the header cannot be decoded as it stands, a table may be what is missing: nobody vouches for the rest.
    assert found.damage == 1.0 or found.damage == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("kind", HEADERS)
def test_an_odd_file_is_scaled_and_turned_like_any(kind):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = ODD[kind](jpeg(size=(960, 640), exif=exif))

    picture = read(data, enough=100)

    assert (picture.size, picture.damage) == ((640, 960), 0.0)
    assert picture.pixels.shape[1] < 640


def test_the_end_marker_of_an_odd_file_is_put_back():
    data = insert(jpeg(), 0xDB, b"\0\0")

    assert read(data[:-2]).repaired == jpeg()


def test_a_progressive_file_with_an_odd_header_is_measured_scan_by_scan():
    data = insert(jpeg(progressive=True), 0xDB, b"\0\0")
    scans = parse(data).scans

    assert read(data).damage == 0.0
    assert 0 < read(data[: scans[-1].stop - 200] + END).damage < 1
    assert 0 < read(data[: scans[-2].stop] + END).damage < 1


@pytest.mark.parametrize("bulk", [0xFE, 0xE1, 0xE2, 0xED, 0xEF])
@pytest.mark.parametrize("options", [{}, {"mode": "CMYK", "subsampling": 2}, {"mode": "L"}, {"progressive": True}])
def test_a_mended_file_shows_the_same_and_holds_no_bulk(bulk, options):
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a secret place"
    icc = profile(P3, None) + bytes(70_000)
    data = jpeg(exif=exif, icc_profile=icc if options.get("mode", "RGB") == "RGB" else None, **options)
    segment = bytes((0xFF, bulk)) + b"\xff\xff" + b"A" * 65_533
    picture = read((data[:2] + segment * 40 + data[2:])[:-2])

    mended = read(picture.repaired)

    assert (picture.repair, mended.repair, mended.damage) == ("end_marker", None, 0.0)
    assert (mended.size, mended.format) == (picture.size, "JPEG")
    assert np.array_equal(mended.pixels, picture.pixels)
    assert np.array_equal(picture.pixels, read(data).pixels)
    assert np.array_equal(
        np.asarray(Image.open(io.BytesIO(picture.repaired))), np.asarray(Image.open(io.BytesIO(data)))
    )
    assert Image.open(io.BytesIO(picture.repaired)).getexif() == {0x0112: 6}
    assert len(picture.repaired) <= len(data) + 50
    assert b"a secret place" not in picture.repaired


SAMPLINGS = {
    "CMYK 4:2:0": {"mode": "CMYK", "subsampling": 2},
    "CMYK 4:2:2": {"mode": "CMYK", "subsampling": 1},
    "CMYK 4:2:0, progressive": {"mode": "CMYK", "subsampling": 2, "progressive": True},
}


@pytest.mark.parametrize("kind", SAMPLINGS)
def test_a_rare_sampling_is_measured_like_any(kind):
    data = jpeg(**SAMPLINGS[kind])
    last = parse(data).scans[-1]
    middle = (last.start + last.stop) // 2

    assert read(data).damage == 0.0
    assert read(data[:-2] + bytes(20) + END).damage == 0.0
    assert read(insert(data, 0xDB, b"\0\0")).damage == 0.0
    assert read(data[:-2]).repaired == data
    for lacking in (
        data[:middle] + END,
        data[:middle],
        data[:middle] + bytes(512) + data[middle + 512 :],
        data[:middle] + data[middle + 90 :],
        data[:middle] + data[middle - 90 :],
    ):
        assert read(lacking).damage > 0


def test_no_sea_of_markers_takes_long():
    """Start markers without end: each could be a preview to look into."""
    with pytest.raises(decode.PhotoError):
        read(b"\xff\xd8\xff" * 300_000)


def test_a_file_of_markers_makes_no_more_memory_than_itself():
    """Where no length is believed, each marker might keep 64 kB of what is behind it."""
    import tracemalloc

    data = b"\xff\xd8" + b"\xff\xe0" * 60_000
    tracemalloc.start()
    for lengths in (True, False):
        parse(data, lengths=lengths)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 20 * len(data)


def test_tables_that_no_component_uses_do_not_count():
    data = jpeg()
    spare = b"\xff\xdb\x00\x43\x03" + bytes(64)
    twice = b"\xff\xc4\x00\x15\x13" + b"\x02" + bytes(15) + b"\x01\x01"

    assert read(insert(data, frame_of(data), spare)).damage == 0
    assert read(insert(data, frame_of(data), twice)).damage == 0


@pytest.mark.parametrize("enough", [128, 300])
def test_the_damage_of_a_large_picture_does_not_depend_on_the_size_that_is_asked_for(enough):
    data = encode(draw((2400, 1800), seed=3))
    cut = data[: len(data) * 9 // 10] + END

    assert read(cut, enough=enough).damage == pytest.approx(read(cut).damage, rel=0.05)


@pytest.mark.parametrize("transform", [0, 1, 2, 3, 9])
def test_a_colour_transform_of_adobes_that_is_not_for_so_many_components_is_the_usual_one(transform):
    data = jpeg()
    usual = read(data).pixels
    marked = data[:2] + adobe(transform=transform) + data[2:]

    picture = read(marked)

    assert picture.damage == 0
    assert transform == 0 or np.abs(picture.pixels.astype(int) - usual).max() <= 2


def test_a_rare_sampling_costs_few_decodes(monkeypatch):
    """However many bytes are left over."""
    number = 0

    def counted(decoder):
        def run(*arguments):
            nonlocal number
            number += 1
            return decoder(*arguments)

        return run

    monkeypatch.setattr(jpeg_decoders, "_complaint", counted(jpeg_decoders._complaint))
    monkeypatch.setattr(jpeg_decoders, "_by_pillow", counted(jpeg_decoders._by_pillow))
    data = jpeg(**SAMPLINGS["CMYK 4:2:0"])
    most = {b"": 3, b"\0": 3, bytes(20): 8, bytes(100_000): 8, b"0123456789" * 1000: 8, b"a": 8}
    for extra, decodes in most.items():
        number = 0
        found = read(data[:-2] + extra + END)
        assert number <= decodes, extra[:20]
        assert (found.damage > 0) == any(extra)
