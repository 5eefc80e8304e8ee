"""Photos are resampled once, and as well as by tools that take their time; what is not moved is as everywhere else."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from carpipe.config import load_config
from carpipe.pictures.encode import encode_jpeg
from carpipe.pictures.model_input import to_batch
from carpipe.tfrecord import write_shard
from carpipe.training.augment import augment
from carpipe.training.data import Shards, evaluation_batches, training_batches
from tests.conftest import SAMPLE

# Wide and upright crops. 48 px is smaller than both, 96 px between their sides, 240 px larger.
SIZES = {"wide": (160, 90), "upright": (70, 130)}
SIDES = [48, 96, 240]
STILL = {"flip": False, "rotation": 0.0, "zoom": 0.0, "brightness": 0.0}


def config_of(side, **changes):
    return load_config(SAMPLE, {"classifier.image_size": side}).classifier.model_copy(update=changes)


def draw(size, number=0):
    """Something with edges, thin lines and areas."""
    random = np.random.default_rng([number, *size])
    image = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    for _ in range(12):
        corners = random.uniform(0, 1, (2, 2)) * size
        colour = tuple(int(one) for one in random.integers(0, 256, 3))
        pen.line([tuple(corner) for corner in corners], fill=colour, width=2)
        pen.ellipse([*corners.min(axis=0), *corners.max(axis=0)], outline=colour)
    return encode_jpeg(image, quality=90)


CROPS = {name: [draw(size, number) for number in range(4)] for name, size in SIZES.items()}


def psnr(first, second):
    return 10 * np.log10(255**2 / np.mean((first.astype(float) - second) ** 2))


def by_pillow(jpeg, side, *, mirrored, degrees, zoom, fine=8):
    """The same with much more work: turned and zoomed many times as large as the input, then averaged."""
    image = Image.open(io.BytesIO(jpeg)).convert("RGB").resize((side * fine,) * 2, Image.Resampling.BICUBIC)
    image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else image
    image = image.rotate(degrees, Image.Resampling.BICUBIC)
    margin = side * fine * (1 - zoom) / 2
    extent = (margin, margin, side * fine - margin, side * fine - margin)
    image = image.transform(image.size, Image.Transform.EXTENT, extent, Image.Resampling.BICUBIC)
    return np.asarray(image.resize((side, side), Image.Resampling.BOX))


def inner(picture):
    """Without the edges: Pillow leaves black what it has no picture for."""
    margin = len(picture) // 6
    return picture[margin:-margin, margin:-margin]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("crops", SIZES)
@pytest.mark.parametrize("draws", [(1, 1, -1, 0), (-1, -0.6, 1, 0)], ids=["mirrored-enlarged", "shrunk"])
def test_a_moved_picture_is_what_pillow_makes_of_it(side, crops, draws):
    config = config_of(side)
    turn, zoom = draws[1] * config.rotation, 1 + draws[2] * config.zoom
    found = augment(CROPS[crops], np.array([draws] * 4), config)
    for jpeg, picture in zip(CROPS[crops], found, strict=True):
        fine = by_pillow(jpeg, side, mirrored=draws[0] > 0, degrees=turn, zoom=zoom)
        coarse = by_pillow(jpeg, side, mirrored=draws[0] > 0, degrees=-turn, zoom=zoom)
        assert psnr(inner(picture), inner(fine)) > 30 > psnr(inner(picture), inner(coarse))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("crops", SIZES)
def test_a_picture_on_its_way_through_the_transform_is_as_sharp_as_a_judged_one(side, crops):
    """Training and evaluation take two ways, which must not look different to a network."""
    moved = augment(CROPS[crops], np.zeros((4, 4)), config_of(side))
    for one, other in zip(moved, to_batch(CROPS[crops], side), strict=True):
        assert psnr(one, other) > 38


def test_real_crops_are_as_sharp_too(data):
    jpegs = [path.read_bytes() for path in sorted((data / "models196").glob("*/*.jpg"))[::200]]
    for side in (96, 224):
        moved = augment(jpegs, np.zeros((len(jpegs), 4)), config_of(side))
        assert min(psnr(one, other) for one, other in zip(moved, to_batch(jpegs, side), strict=True)) > 38


@pytest.mark.parametrize("side", SIDES)
def test_evaluation_and_training_that_changes_nothing_see_what_apps_see(side, tmp_path):
    jpegs = CROPS["wide"] + CROPS["upright"]
    path = tmp_path / "photos.tfrecord"
    shards = Shards([path], write_shard(path, [(f"{number}.jpg", "a", jpeg) for number, jpeg in enumerate(jpegs)]))
    config = config_of(side, batch=3)
    expected = to_batch(jpegs, side)

    judged = pictures(evaluation_batches(shards, ["a"], config=config))
    trained = pictures(training_batches(shards, ["a"], config=config.model_copy(update=STILL), epoch=0))

    assert np.array_equal(judged, expected)
    assert {one.tobytes() for one in trained} == {one.tobytes() for one in expected}


def pictures(batches):
    return np.concatenate([batch for batch, _ in batches.as_numpy_iterator()])


@pytest.mark.parametrize("light", [-1.0, -0.3, 0.3, 1.0])
def test_light_moves_every_pixel_and_stops_at_black_and_white(light):
    still = {**STILL, "brightness": 0.2}
    plain = to_batch(CROPS["wide"], 64).astype(int)
    found = augment(CROPS["wide"], np.array([[0, 0, 0, light]] * 4), config_of(64, **still))
    assert np.array_equal(found, np.clip(plain + round(255 * 0.2 * light), 0, 255))


def test_what_lies_beyond_the_edge_repeats_it():
    jpeg = encode_jpeg(Image.new("RGB", (64, 48), (200, 180, 160)), quality=90)
    [found] = augment([jpeg], np.array([[0, 1, 1, 0]]), config_of(64, rotation=45.0, zoom=0.5))
    assert np.abs(found.astype(int) - (200, 180, 160)).max() <= 2


def test_a_damaged_photo_is_refused():
    with pytest.raises(ValueError, match=r"[Pp]remature|[Cc]orrupt|JPEG"):
        augment([CROPS["wide"][0][:-300]], np.zeros((1, 4)), config_of(64))
