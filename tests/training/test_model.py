"""The backbones that may be configured, and what is said of those that may not."""

from typing import get_args

import keras
import numpy as np
import pytest

from carpipe.config import Backbone, load_config
from carpipe.errors import ConfigError, InputError
from carpipe.training import model

SMALL = {"classifier.weights": "none", "classifier.image_size": 32}


def test_the_backbones_are_those_of_keras_applications():
    there = {name for name, value in vars(keras.applications).items() if name[0].isupper() and callable(value)}

    assert set(get_args(Backbone)) == there


@pytest.mark.parametrize("backbone", ["MobileNet", "MobileNetV3Small", "EfficientNetB0"])
def test_a_model_takes_bytes_and_gives_probabilities(backbone):
    config = load_config(overrides={**SMALL, "classifier.backbone": backbone}).classifier

    network = model.build(config, classes=3, weights=None)

    probabilities = network(np.full((2, 32, 32, 3), 200, np.uint8)).numpy()
    assert probabilities.shape == (2, 3)
    assert probabilities.sum(axis=1) == pytest.approx(1)


def test_an_unknown_backbone_is_refused_with_the_settings():
    with pytest.raises(ConfigError, match=r"classifier\.backbone = 'EfficientNetB9' is not possible.*'EfficientNetB1'"):
        load_config(overrides={"classifier.backbone": "EfficientNetB9"})


@pytest.mark.parametrize("weights", ["none", "imagenet"])
def test_pictures_too_small_for_the_backbone_are_no_outage(weights):
    small = {**SMALL, "classifier.backbone": "InceptionV3", "classifier.weights": weights}

    with pytest.raises(InputError, match="InceptionV3 at 32 px: Input size must be at least 75x75"):
        model.build(load_config(overrides=small).classifier, classes=3, weights=None)
