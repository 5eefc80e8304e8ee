"""Scaling and encoding: every pixel counts, and nothing of the original comes along."""

import io

import numpy as np
import pytest
from PIL import Image

from carpipe.pictures import decode, encode
from tests.pictures.test_decode import LIMIT, encoded, picture


def test_re_encoding_leaves_no_metadata():
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "N"  # GPS
    image, _ = decode.decode(encoded(picture(), exif=exif), max_pixels=LIMIT)

    again = Image.open(io.BytesIO(encode.encode_jpeg(encode.fit(image, 45), quality=90)))

    assert again.size == (45, 30)
    assert not again.getexif()


@pytest.mark.parametrize("side", [150, 200, 400])
def test_a_thumbnail_keeps_the_mean_of_what_it_shows(side):
    stripes = np.zeros((400, 600, 3), np.uint8)
    stripes[:, ::4] = 255

    small = np.asarray(encode.fit(Image.fromarray(stripes), side))

    assert max(small.shape) == side
    assert abs(small.mean() - 255 / 4) < 3


def test_fit_never_enlarges():
    assert encode.fit(picture(), 500).size == (90, 60)
