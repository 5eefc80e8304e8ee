"""Sharpness: more detail is sharper, whatever the size of the picture."""

import numpy as np
from PIL import Image, ImageFilter

from carpipe.pictures.sharpness import sharpness


def test_a_blurred_picture_is_less_sharp_at_any_size():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)).resize((480, 360))
    blurred = image.filter(ImageFilter.GaussianBlur(6))
    assert sharpness(image) > 4 * sharpness(blurred) > 0
    assert sharpness(blurred) == sharpness(blurred.copy())
    assert sharpness(image) > sharpness(image.resize((60, 45)))
    assert sharpness(Image.new("RGB", (1, 500))) == 0
