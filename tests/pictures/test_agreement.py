"""Two pictures are one photo where they agree in every place, whatever their brightness and colourfulness."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from carpipe.pictures import agreement, hashes


@pytest.fixture(scope="module")
def photo(world):
    first = next(row for row in world.photos if row.label == "auto" and row.kind == "original")
    return Image.open(world.raw / first.key).convert("RGB")


def signature(image):
    return np.frombuffer(hashes.look(np.asarray(image)).signature, np.uint8)[None]


def compare(one, other):
    return agreement.compare(signature(one), signature(other))


@pytest.mark.parametrize(
    "edit",
    [
        lambda photo: photo,
        lambda photo: ImageEnhance.Brightness(photo).enhance(0.8),
        lambda photo: ImageEnhance.Contrast(photo).enhance(1.2),
        lambda photo: ImageEnhance.Color(photo).enhance(1.4),
        lambda photo: ImageOps.autocontrast(photo, cutoff=1),
    ],
)
def test_a_photo_agrees_with_itself_however_it_was_developed(photo, edit):
    found = compare(photo, edit(photo))

    assert found.correlation[0] > 0.99
    assert found.everywhere.all()


@pytest.mark.parametrize("paint", [(200, 30, 30), (20, 20, 20), (240, 240, 240)])
def test_a_patch_of_another_colour_is_seen_though_all_else_agrees(photo, paint):
    patched = photo.copy()
    patched.paste(paint, (photo.width // 3, photo.height // 3, photo.width * 2 // 3, photo.height * 2 // 3))

    assert not compare(photo, patched).everywhere.any()


def test_paint_of_equal_grey_is_seen_in_the_colours(photo):
    grey = photo.convert("L")
    red = Image.merge("YCbCr", (grey, Image.new("L", grey.size, 110), Image.new("L", grey.size, 165))).convert("RGB")
    box = (photo.width // 4, photo.height // 3, photo.width * 3 // 4, photo.height * 2 // 3)
    painted = photo.copy()
    painted.paste(red.crop(box), box)

    found = compare(photo, painted)

    assert found.grey[0] < agreement.GREY_APART
    assert found.colour[0] > agreement.COLOUR_APART


def test_a_small_watermark_does_not_matter(photo):
    marked = photo.copy()
    marked.paste((250, 40, 40), (photo.width * 3 // 4, 8, photo.width * 7 // 8, 8 + photo.height // 16))

    assert compare(photo, marked).everywhere.all()


def test_a_line_of_text_across_the_picture_does_not_matter(photo):
    marked = photo.copy()
    top = photo.height * 29 // 64
    marked.paste((250, 250, 250), (photo.width // 8, top, photo.width * 7 // 8, top + photo.height // 16))

    assert compare(photo, marked).everywhere.all()


def test_flat_pictures_have_no_correlation():
    flat = Image.new("RGB", (64, 64), (90, 90, 90))

    assert compare(flat, flat).correlation[0] == 0


def test_pairs_are_compared_one_by_one(photo):
    mirror = ImageOps.mirror(photo)
    one, other = np.concatenate([signature(photo)] * 2), np.concatenate([signature(photo), signature(mirror)])

    assert agreement.compare(one, other).everywhere.tolist() == [True, False]
