"""Hashes: what looks alike has one, what does not has another."""

import numpy as np
from PIL import Image

from carpipe.pictures import decode, hashes
from tests.pictures.test_decode import LIMIT, encoded


def test_a_signature_is_the_mean_of_areas_in_grey_and_colour():
    image = Image.effect_noise((256, 128), 80).convert("RGB")
    image.paste((200, 40, 40), (0, 0, 128, 128))

    look = hashes.look(np.asarray(image))

    assert len(look.signature) == hashes.SIGNATURE_BYTES
    parts = np.frombuffer(look.signature, np.uint8)
    grey = np.asarray(image.convert("L"), float).reshape(32, 4, 32, 8).mean(axis=(1, 3))
    assert np.abs(parts[:1024].reshape(32, 32) - grey).max() <= 1
    colours = np.asarray(image.convert("YCbCr"), float)[..., 1:].reshape(16, 8, 16, 16, 2).mean(axis=(1, 3))
    assert np.abs(parts[1024:].reshape(2, 16, 16) - colours.transpose(2, 0, 1)).max() <= 1


def test_the_inner_hash_is_that_of_the_picture_cut_on_all_sides():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    smooth = Image.fromarray(pixels).resize((400, 300), Image.Resampling.BICUBIC)

    inner = hashes.look(np.asarray(smooth.crop((12, 9, 388, 291))))

    apart = int(hashes.look(np.asarray(smooth)).dhash_inner, 16) ^ int(inner.dhash, 16)
    assert apart.bit_count() <= 1


def test_a_long_strip_has_a_look_too():
    assert len(hashes.look(np.zeros((4, 256, 3), np.uint8)).signature) == hashes.SIGNATURE_BYTES


def test_dhash_survives_recompression_and_tells_pictures_apart():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    noise = Image.fromarray(pixels).resize((300, 200), Image.Resampling.BICUBIC)
    again = decode.decode(encoded(noise, quality=60), max_pixels=LIMIT)[0]

    def distance(a, b):
        return (int(hashes.dhash(a), 16) ^ int(hashes.dhash(b), 16)).bit_count()

    assert distance(noise, again) <= 4
    assert distance(noise, noise.transpose(Image.Transpose.FLIP_TOP_BOTTOM)) > 15


def test_a_look_has_the_hash_that_pillow_makes():
    rng = np.random.default_rng(0)
    for levels in (2, 8, 256):
        for grey in rng.integers(0, levels, (100, 32, 32), np.uint8) * np.uint8(255 // (levels - 1)):
            # Grey, and of the size of the signature: nothing is reduced but for the hash.
            assert hashes.look(np.stack([grey] * 3, axis=2)).dhash == hashes.dhash(Image.fromarray(grey))
