"""Small pictures to train on: two classes that a small network can tell apart."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from carpipe.config import load_config
from carpipe.pictures.encode import encode_jpeg
from carpipe.tfrecord import write_shard
from carpipe.training.data import Shards
from tests.conftest import SAMPLE
from tests.training.backbones import saved, small

CLASSES = {"audi_a3": 40, "kia_rio": 24}
# All of a training of seconds but its backbone.
TINY = {
    "classifier.image_size": 32,
    "classifier.head_epochs": 4,
    "classifier.finetune_epochs": 3,
    "classifier.schedule": "cosine",
    "classifier.warmup": 0.2,
    "classifier.batch": 16,
    "classifier.deterministic": True,
    "classifier.plateau_patience": 1,
    "classifier.head_learning_rate": 0.3,
}
NAMED = {"classifier.backbone": "MobileNet", "classifier.alpha": 0.25, "classifier.weights": "none"}
# Of one's own: TensorFlow takes seconds to compile one with a name.
OWN = {"classifier.alpha": 1.0, "classifier.weights": "imagenet", "classifier.batch_norm": "trained"}


@pytest.fixture(scope="session")
def tiny_config():
    """A training of half a minute."""
    return load_config(SAMPLE, {**TINY, **NAMED}).classifier


@pytest.fixture(scope="session")
def own_backbone(tmp_path_factory):
    """Its file."""
    return saved(small(dropout=0.1), tmp_path_factory.mktemp("backbone"))


@pytest.fixture(scope="session")
def own_config(own_backbone):
    """A training of seconds."""
    return load_config(SAMPLE, {**TINY, **OWN, "classifier.backbone": str(own_backbone)}).classifier


@pytest.fixture(scope="session")
def tiny_shards(tmp_path_factory):
    """Shards by split: pictures with a bright left or a bright lower half, under noise."""
    folder = tmp_path_factory.mktemp("shards")
    shards = {}
    for split in ("train", "val"):
        path = folder / f"{split}.tfrecord"
        records = sorted(
            ((f"{name}_2001/{split}{number}.jpg", name, draw(name, split, number))
             for name, count in CLASSES.items() for number in range(count)),
            key=lambda record: hashlib.sha256(record[0].encode()).digest(),
        )  # fmt: skip
        shards[split] = Shards([path], write_shard(path, records))
    return shards


def draw(name, split, number):
    pixels = np.random.default_rng([len(name), len(split), number]).integers(0, 120, (48, 64, 3), np.uint8)
    if name == "audi_a3":
        pixels[:, :32] += 100
    else:
        pixels[24:] += 100
    return encode_jpeg(Image.fromarray(pixels), quality=90)
