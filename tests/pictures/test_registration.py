"""A picture that was cut or framed is brought to fall together with the whole one; others are not."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from carpipe.pictures import agreement, hashes
from carpipe.pictures.registration import align, mirrored


@pytest.fixture(scope="module")
def photos(world):
    rows = [row for row in world.photos if row.label == "auto" and row.kind == "original"]
    return [Image.open(world.raw / row.key).convert("RGB") for row in rows[:40]]


def signature(image):
    return np.frombuffer(hashes.look(np.asarray(image)).signature, np.uint8)


def cut(photo, left, top, right, bottom):
    w, h = photo.size
    return photo.crop((round(left * w), round(top * h), round((1 - right) * w), round((1 - bottom) * h)))


@pytest.mark.parametrize("sides", [(0, 0, 0, 0), (0.04, 0.04, 0.04, 0.04), (0.04, 0, 0, 0), (0, 0.02, 0.02, 0)])
def test_a_cut_picture_falls_together_with_the_whole_one(photos, sides):
    photo = photos[0]

    moved = align(signature(cut(photo, *sides)), signature(photo), scale=1 - sides[0] - sides[2])

    found = agreement.compare(signature(cut(photo, *sides))[None], moved[None])
    assert found.correlation[0] > 0.95
    assert found.everywhere.all()


def test_the_whole_picture_falls_together_with_the_cut_one(photos):
    small = cut(photos[1], 0.03, 0.03, 0.03, 0.03)

    moved = align(signature(photos[1]), signature(small), scale=1 / 0.94)

    assert agreement.compare(signature(photos[1])[None], moved[None]).correlation[0] > 0.95


def test_colours_move_along(photos):
    """Red above, blue below, cut at the top: the border between them moves by a pixel of the colour part and a half."""
    photo = Image.blend(photos[2], Image.new("RGB", photos[2].size, (200, 40, 40)), 0.5)
    photo.paste((40, 40, 200), (0, photo.height // 2, photo.width, photo.height * 5 // 8))

    moved = align(signature(cut(photo, 0, 0.05, 0, 0)), signature(photo), scale=0.975)

    assert agreement.compare(signature(cut(photo, 0, 0.05, 0, 0))[None], moved[None]).colour[0] < 4


@pytest.mark.parametrize("sides", [(0.15, 0, 0, 0), (0.1, 0.1, 0.1, 0.1)])
def test_what_was_cut_by_more_than_a_little_is_left_alone(photos, sides):
    assert align(signature(cut(photos[0], *sides)), signature(photos[0]), scale=1 - sides[0] - sides[2]) is None


def test_a_turned_picture_is_left_alone(photos):
    turned = cut(photos[0].rotate(4, Image.Resampling.BICUBIC), 0.1, 0.1, 0.1, 0.1)

    assert align(signature(cut(photos[0], 0.1, 0.1, 0.1, 0.1)), signature(turned), scale=1.0) is None


def test_flat_pictures_do_not_fit_together():
    flat = signature(Image.new("RGB", (64, 64), (90, 90, 90)))

    assert align(flat, flat, scale=1.0) is None


def test_other_photos_do_not_come_to_agree(photos):
    first = signature(photos[0])
    moved = [align(first, signature(photo), scale=1.0) for photo in photos[1:]]
    fits = [picture for picture in moved if picture is not None]

    assert all(agreement.compare(first[None], picture[None]).correlation[0] < 0.9 for picture in fits)


def test_a_mirrored_signature_is_that_of_the_mirrored_picture(photos):
    plain, turned = signature(photos[0]), signature(ImageOps.mirror(photos[0]))

    assert np.abs(mirrored(plain[None])[0].astype(int) - turned).max() <= 1
    assert mirrored(np.empty((0, hashes.SIGNATURE_BYTES), np.uint8)).shape == (0, hashes.SIGNATURE_BYTES)
