"""What a JPEG lacks is measured, and what lacks nothing but its end marker is mended."""

import io
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from carpipe.pictures import decode, jpeg_damage
from carpipe.pictures.jpeg_segments import END, parse
from tests.pictures import rare_jpegs

SIZE = (320, 240)


def jpeg(**options):
    rng = np.random.default_rng(3)
    coarse = Image.fromarray(rng.integers(0, 255, (30, 40, 3), dtype=np.uint8))
    sink = io.BytesIO()
    coarse.resize(SIZE, Image.Resampling.BICUBIC).save(sink, "JPEG", **{"quality": 90, **options})
    return sink.getvalue()


def decode_jpeg(data):
    return jpeg_damage.decode_jpeg(data, jpeg_damage.find_picture(data))


def missing_detail(data):
    return jpeg_damage.missing_detail(parse(data))


def grey_rows(data):
    """Of the picture as Pillow shows it once the end marker is back: share of rows that are flat grey to the end."""
    pixels = np.asarray(Image.open(io.BytesIO(data + END)))
    return float((pixels == 128).all(axis=(1, 2)).mean())


def scan_ends(data):
    """Where each scan of a progressive JPEG ends."""
    starts = [i for i in range(len(data) - 1) if data[i : i + 2] == b"\xff\xda"]
    return [max(data.rfind(b"\xff\xc4", begin, end), begin) for begin, end in pairwise(starts)]


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("tail", [b"", END])
def test_the_measure_of_a_cut_file_is_what_others_see_grey(share, tail):
    data = jpeg()
    cut = data[: int(len(data) * share)]

    found = decode_jpeg(cut + tail)

    assert found.damage == pytest.approx(grey_rows(cut), abs=0.08)
    assert found.damage > 0
    assert found.ends_early == (not tail)
    assert found.repaired is None


def test_a_file_that_lacks_its_last_bytes_is_not_called_whole():
    data = jpeg()

    assert all(decode_jpeg(data[:-lost]).damage > 0 for lost in range(4, 40))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("lost", [1, 2])
def test_a_file_that_lacks_only_its_end_marker_is_mended(options, lost):
    data = jpeg(**options)

    found = decode_jpeg(data[:-lost])

    assert (found.damage, found.ends_early) == (0.0, False)
    assert np.array_equal(found.pixels, Image.open(io.BytesIO(data)))
    assert np.array_equal(Image.open(io.BytesIO(found.repaired)), found.pixels)


def test_padding_in_place_of_the_end_marker_is_cut_off():
    data = jpeg()

    assert decode_jpeg(data[:-2] + bytes(500)).repaired == data


def test_an_overwritten_half_is_measured_although_it_decodes_to_something():
    data = jpeg()
    half = len(data) // 2
    for tail in (bytes(half), bytes(half) + END, b"\x55" * half + END):
        found = decode_jpeg(data[:half] + tail)

        assert found.damage == pytest.approx(grey_rows(data[:half]), abs=0.08)
        assert found.repaired is None
        assert not found.ends_early


def test_a_progressive_file_cut_between_scans_is_found_out():
    data = jpeg(progressive=True)
    ends = scan_ends(data)
    assert len(ends) > 5

    damages = [decode_jpeg(data[:end]).damage for end in ends]

    assert damages[0] == 1.0
    assert damages == sorted(damages, reverse=True)
    assert damages[-1] > 0
    assert [decode_jpeg(data[:end] + END).damage for end in ends] == damages


def test_a_scan_that_is_cut_counts_as_missing():
    data = jpeg(progressive=True)
    last = scan_ends(data)[-1]
    middle = (last + len(data)) // 2

    for tail in (b"", END):
        assert decode_jpeg(data[:middle] + tail).damage == decode_jpeg(data[:last]).damage


def test_a_whole_file_lacks_no_detail():
    assert missing_detail(jpeg()) == missing_detail(jpeg(progressive=True)) == 0.0


def test_a_decoder_that_lost_its_place_vouches_for_nothing():
    data = jpeg()

    found = decode_jpeg(data[:-2] + b"\x12\x34\x56" * 20 + END)

    assert (found.damage, found.repaired) == (1.0, None)


def test_zeros_before_the_end_marker_are_a_camera_s_habit():
    data = jpeg()

    assert decode_jpeg(data[:-2] + bytes(20) + END).damage == 0.0


def test_grey_that_was_photographed_is_no_damage():
    sink = io.BytesIO()
    Image.new("RGB", SIZE, (128, 128, 128)).save(sink, "JPEG")

    assert decode_jpeg(sink.getvalue()).damage == 0.0


def test_a_warning_about_the_header_hides_no_cut():
    data = bytearray(jpeg())
    data[data.index(b"JFIF") + 5] = 9  # the major version; libjpeg tells only its first warning
    half = bytes(data[: len(data) // 2])

    assert decode_jpeg(bytes(data)).damage == 0.0
    assert decode_jpeg(half).damage == pytest.approx(grey_rows(half), abs=0.08)


@pytest.mark.parametrize("whole", [rare_jpegs.ARITHMETIC, rare_jpegs.ARITHMETIC_PROGRESSIVE, rare_jpegs.LUMA_1X4])
def test_rare_codings_are_measured(whole):
    """Where arithmetic-coded data end, libjpeg goes on with zeros and says nothing; 4:4:1 has no name in simplejpeg."""

    def damage(data):
        return decode.read(data, max_pixels=10_000, max_damage=1.0).damage

    assert damage(whole) == 0
    start = whole.rindex(b"\xff\xda") + 12
    for share in (0.3, 0.6, 0.9):
        cut = whole[: start + int((len(whole) - start) * share)]
        assert damage(cut) > 0
        assert damage(cut + b"\xff\xd9") > 0
