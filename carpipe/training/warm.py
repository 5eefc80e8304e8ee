"""A warm start: a new network begins with what an earlier model has learnt, class by class.

Shrink and perturb: J. Ash and R. Adams, "On Warm-Starting Neural Network Training", NeurIPS 2020.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from carpipe.config import ClassifierConfig
from carpipe.errors import InputError
from carpipe.training import model
from carpipe.training.predict import load_network

# Of a new class's row: noise, as a share of how much the rows of known classes differ from each other.
NEW_NOISE = 0.1
HEAD = "probabilities"


@dataclass(frozen=True)
class Warm:
    """What to start from.

    Attributes:
        model: the earlier model, a `.keras` file.
        classes: its classes, in the order of its output.
        parts: by class of the new network, the earlier classes that it is made of. A class that has none is new.
        chain: warm trainings in a row, this one too.
    """

    model: Path
    classes: Sequence[str]
    parts: Mapping[str, Sequence[str]]
    chain: int = 1


def start_from(network: Any, warm: Warm, *, classes: Sequence[str], config: ClassifierConfig) -> None:
    """Give a network, as `model.build` made it, the weights of an earlier one of the same backbone.

    A merged class has the mean of its parts' rows in the last layer, a new one the mean of all and some noise.

    Raises:
        InputError: the backbones differ, or the model is not one of carpipe's.
    """
    earlier = load_network(warm.model)
    try:
        network.get_layer("backbone").set_weights(earlier.get_layer("backbone").get_weights())
        kernel, bias = earlier.get_layer(HEAD).get_weights()
        if kernel.shape[1] != len(warm.classes):
            raise ValueError(f"its last layer has {kernel.shape[1]} rows for {len(warm.classes)} classes")
    except ValueError as error:
        raise InputError(
            f"A training cannot start warm from {warm.model.name}: {error}. Set `classifier.start` to `cold`."
        ) from error
    network.get_layer(HEAD).set_weights(_head(kernel, bias, warm, classes=classes, seed=config.seed))
    if config.warm_shrink < 1 or config.warm_noise:
        _shrink_and_perturb(network, config, classes=len(classes))


def _head(kernel: Any, bias: Any, warm: Warm, *, classes: Sequence[str], seed: int) -> list[Any]:
    random = np.random.default_rng(seed)
    place = {name: number for number, name in enumerate(warm.classes)}
    rows = [[place[part] for part in warm.parts.get(name, ())] for name in classes]
    noise = NEW_NOISE * kernel.std(axis=1, keepdims=True)[:, 0]
    kernels = [
        kernel[:, own].mean(axis=1) if own else kernel.mean(axis=1) + noise * random.standard_normal(len(kernel))
        for own in rows
    ]
    biases = [bias[own].mean() if own else bias.mean() for own in rows]
    return [np.stack(kernels, axis=1).astype(kernel.dtype), np.array(biases, dtype=bias.dtype)]


def _shrink_and_perturb(network: Any, config: ClassifierConfig, *, classes: int) -> None:
    if config.own_backbone:
        fresh = keras.models.clone_model(network)  # of a file, only the network itself knows how it is built
    else:
        fresh = model.build(config.model_copy(update={"weights": "none"}), classes=classes, weights=None)
    pairs = zip(network.trainable_variables, fresh.trainable_variables, strict=True)
    for ours, theirs in pairs:
        ours.assign(config.warm_shrink * ours.numpy() + config.warm_noise * theirs.numpy())
