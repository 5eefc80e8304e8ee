"""Hashes: what looks alike has one, what does not has another."""

import numpy as np
from PIL import Image

from carpipe.pictures import decode, hashes
from tests.pictures.test_decode import LIMIT, encoded


def test_a_signature_is_the_mean_of_areas():
    image = Image.effect_noise((256, 128), 80).convert("RGB")

    rows = np.frombuffer(hashes.signature(image), np.uint8).reshape(32, 32)

    grey = np.asarray(image.convert("L"), float)
    assert np.abs(rows - grey.reshape(32, 4, 32, 8).mean(axis=(1, 3))).max() <= 1


def test_dhash_survives_recompression_and_tells_pictures_apart():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    noise = Image.fromarray(pixels).resize((300, 200), Image.Resampling.BICUBIC)
    again = decode.decode(encoded(noise, quality=60), max_pixels=LIMIT)[0]

    def distance(a, b):
        return (int(hashes.dhash(a), 16) ^ int(hashes.dhash(b), 16)).bit_count()

    assert distance(noise, again) <= 4
    assert distance(noise, noise.transpose(Image.Transpose.FLIP_TOP_BOTTOM)) > 15
