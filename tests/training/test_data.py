"""What training is fed: the same for the same seed and epoch, augmented as the settings say."""

import numpy as np
import pytest

from carpipe.tfrecord import write_shard
from carpipe.training.data import Shards, evaluation_batches, iter_records, thin_out, training_batches
from carpipe.training.fit import class_weights
from tests.training.conftest import CLASSES, draw

STILL = {"flip": False, "rotation": 0.0, "zoom": 0.0, "brightness": 0.0}


def pictures(batches):
    """All pictures and label numbers of an epoch."""
    found = list(batches.as_numpy_iterator())
    return np.concatenate([batch[0] for batch in found]), np.concatenate([batch[1].argmax(axis=1) for batch in found])


def one_epoch(shards, config, *, epoch=0, **changes):
    return pictures(training_batches(shards, list(CLASSES), config=config.model_copy(update=changes), epoch=epoch))


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """A shard with one picture, so that order does not matter."""
    path = tmp_path_factory.mktemp("single") / "train.tfrecord"
    return Shards([path], write_shard(path, [("a/1.jpg", "audi_a3", draw("audi_a3", "train", 0))]))


@pytest.fixture(scope="module")
def plain(single, tiny_config):
    """That picture as it is."""
    return pictures(evaluation_batches(single, list(CLASSES), config=tiny_config))[0][0]


def test_an_epoch_holds_every_photo_once(tiny_shards, tiny_config):
    _, labels = one_epoch(tiny_shards["train"], tiny_config)
    assert np.bincount(labels).tolist() == list(CLASSES.values())


def test_an_epoch_can_be_had_again_and_the_next_is_another(tiny_shards, tiny_config):
    first, labels = one_epoch(tiny_shards["train"], tiny_config, epoch=3)
    again, _ = one_epoch(tiny_shards["train"], tiny_config, epoch=3)
    other, other_labels = one_epoch(tiny_shards["train"], tiny_config, epoch=4)

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(labels, other_labels), "shuffled anew"


def test_evaluation_changes_nothing_and_keeps_the_order(tiny_shards, tiny_config):
    first, labels = pictures(evaluation_batches(tiny_shards["val"], list(CLASSES), config=tiny_config))
    again, _ = pictures(evaluation_batches(tiny_shards["val"], list(CLASSES), config=tiny_config))

    assert np.array_equal(first, again)
    # Bright on the left is audi_a3, bright below is kia_rio: labels belong to their pictures.
    assert ((first[:, :, :16].mean(axis=(1, 2, 3)) > first[:, :, 16:].mean(axis=(1, 2, 3)) + 50) == (labels == 0)).all()


def test_without_augmentation_pictures_come_as_they_are(single, tiny_config, plain):
    found, _ = one_epoch(single, tiny_config, **STILL)
    assert np.array_equal(found[0], plain)


def test_a_flip_mirrors_half_of_the_photos(single, tiny_config, plain):
    found = [one_epoch(single, tiny_config, epoch=epoch, **{**STILL, "flip": True})[0][0] for epoch in range(12)]
    mirrored = [np.array_equal(picture, plain[:, ::-1]) for picture in found]

    assert all(mirror or np.array_equal(picture, plain) for mirror, picture in zip(mirrored, found, strict=True))
    assert 2 <= sum(mirrored) <= 10


def test_a_turn_is_as_far_as_the_setting_allows(single, tiny_config, plain):
    found = [one_epoch(single, tiny_config, epoch=epoch, **{**STILL, "rotation": 8.0})[0][0] for epoch in range(8)]
    angles = [best_turn(plain, picture) for picture in found]

    assert max(angles) > 2
    assert min(angles) < -2
    assert max(map(abs, angles)) <= 9


def best_turn(plain, picture):
    """The whole number of degrees by which OpenCV must turn the first to get the second."""
    import cv2

    def distance(degrees):
        matrix = cv2.getRotationMatrix2D((15.5, 15.5), degrees, 1.0)
        turned = cv2.warpAffine(plain, matrix, (32, 32), borderMode=cv2.BORDER_REPLICATE)
        return np.abs(turned.astype(int) - picture).mean()

    return min(range(-30, 31), key=distance)


def test_brightness_moves_all_pixels_alike(single, tiny_config, plain):
    found, _ = one_epoch(single, tiny_config, epoch=1, **{**STILL, "brightness": 0.1})
    change = (found[0].astype(int) - plain)[(plain > 30) & (plain < 225)]

    assert change.std() < 1
    assert 0 < abs(change.mean()) <= 26


def test_rare_classes_weigh_more_up_to_the_limit():
    # The mean class has 100 photos: one of 50 counts twice, one of 10 as much as the limit allows.
    assert class_weights([240, 50, 10], 3.0) == {0: 1.0, 1: 2.0, 2: 3.0}


def test_all_classes_weigh_alike_by_default():
    assert set(class_weights([240, 50, 10], 1.0).values()) == {1.0}


def test_shards_are_thinned_out_in_their_order(tmp_path):
    records = [(f"{number}.jpg", "audi_a3", bytes([number])) for number in range(20)]
    paths = [tmp_path / f"{name}.tfrecord" for name in "ab"]
    for path, part in zip(paths, (records[:12], records[12:]), strict=True):
        write_shard(path, part)

    assert thin_out(paths, {"3.jpg", "11.jpg", "7.jpg", "not there.jpg"}) == 3

    assert list(iter_records(paths)) == [records[3], records[7], records[11]]
    assert sorted(tmp_path.iterdir()) == paths, "an empty shard is one too"
