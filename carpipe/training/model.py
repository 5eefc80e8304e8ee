"""The networks: a backbone of `keras.applications`, or of one's own, with a softmax on top. Pure Keras 3.

The model takes uint8 RGB and does its backbone's preprocessing itself: a consumer has nothing to get wrong but the
size.
"""

import inspect
from pathlib import Path
from typing import Any

import keras

from carpipe.config import TrainingConfig
from carpipe.errors import InputError, UnavailableError
from carpipe.machine import looking_at
from carpipe.names import brief
from carpipe.training.backbone import load_backbone, thaw

# Momentum of batch norm's running statistics: they follow within some tens of steps, or some hundreds.
FASTEST, SLOWEST = 0.9, 0.99
# Share of fine-tuning's steps within which they follow.
FOLLOWS = 0.05


def build(config: TrainingConfig, *, classes: int, weights: Path | None) -> Any:
    """A compiled-for-nothing model: uint8 (n, side, side, 3) in, float32 probabilities (n, classes) out.

    Args:
        weights: a local file: the backbone itself where the config names one, else its weights; None where the config
            says `imagenet` or `none`.

    Raises:
        InputError: the weights, or the pictures' size, do not fit the backbone; or it is none.
        UnavailableError: ImageNet weights cannot be downloaded.
    """
    side = config.image_size
    inputs = keras.Input((side, side, 3), dtype="uint8", name="picture")
    features = _own_features(config, inputs, weights) if config.own_backbone else _features(config, inputs, weights)
    features = keras.layers.Dropout(config.dropout, seed=config.seed, name="dropout")(features)
    # float32 also under mixed precision: softmax over 512 classes needs the range.
    outputs = keras.layers.Dense(classes, activation="softmax", dtype="float32", name="probabilities")(features)
    return keras.Model(inputs, outputs, name=config.channel.replace("-", "_"))


def freeze_backbone(model: Any, *, frozen: bool, frozen_batch_norm: bool) -> None:
    """Choose what the next phase trains: the head alone, or all; batch norm apart.

    With a small learning rate frozen batch norm keeps what a pretrained backbone knows (Keras guide "Transfer learning
    & fine-tuning"). With one that is large enough to learn fine differences, trained batch norm is what keeps it
    stable; `benchmarks/recipe.py` measures both.
    """
    backbone = model.get_layer("backbone")
    thaw(backbone)
    backbone.trainable = not frozen
    if not frozen and frozen_batch_norm:
        for layer in _batch_norms(backbone):
            layer.trainable = False


def hasten_batch_norm(model: Any, *, steps: int) -> None:
    """Let running statistics of a pretrained backbone follow in a fine-tuning of so many steps.

    The backbones' momentum of 0.99 to 0.999 is made for runs of 100,000 steps: after a short training the statistics,
    and so every prediction, would still be those of the network before.
    """
    _set_momentum(model.get_layer("backbone"), min(SLOWEST, max(FASTEST, 1 - 1 / (FOLLOWS * steps))))


def _features(config: TrainingConfig, inputs: Any, weights: Path | None) -> Any:
    pictures = keras.ops.cast(inputs, "float32")
    backbone = _backbone(config, weights)
    if config.weights == "none":
        _set_momentum(backbone, FASTEST)
    return backbone(_preprocess(config)(pictures))


def _own_features(config: TrainingConfig, inputs: Any, file: Path | None) -> Any:
    if file is None:
        raise InputError(f"There is no file of the backbone {config.backbone}.")
    backbone = load_backbone(file, side=config.image_size)
    return backbone(keras.ops.cast(inputs, backbone.inputs[0].dtype))


def _set_momentum(backbone: Any, momentum: float) -> None:
    for layer in _batch_norms(backbone):
        layer.momentum = min(layer.momentum, momentum)


def _batch_norms(backbone: Any) -> list[Any]:
    """Those of networks inside it too."""
    return [layer for layer in backbone._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]


def _backbone(config: TrainingConfig, weights: Path | None) -> Any:
    make = getattr(keras.applications, config.backbone)
    source = str(weights) if weights else None if config.weights == "none" else "imagenet"
    options = {"alpha": config.alpha} if "alpha" in inspect.signature(make).parameters else {}
    shape = (config.image_size, config.image_size, 3)
    try:
        with looking_at(f"The weights of {config.backbone}", *filter(None, [weights])):
            return make(input_shape=shape, include_top=False, pooling="avg", weights=source, name="backbone", **options)
    except UnavailableError:
        raise
    except Exception as error:  # h5py, urllib and Keras raise all sorts
        why = brief(str(error), max_characters=300)  # Keras names each layer that does not fit
        if source == "imagenet" and "Input size" not in str(error):
            raise UnavailableError(
                f"The ImageNet weights of {config.backbone} cannot be downloaded: {why}. Where there is no way to "
                "the internet, set `weights` to a file."
            ) from error
        raise InputError(
            f"The weights {source!r} cannot be used for {config.backbone} at {config.image_size} px: {why}. "
            "Set `weights` to a file that fits, to `imagenet` where the network allows, or to `none`."
        ) from error


def _preprocess(config: TrainingConfig) -> Any:
    """What the backbone wants done to RGB of 0 to 255: it stands beside it in keras.applications."""
    return inspect.getmodule(getattr(keras.applications, config.backbone)).preprocess_input  # type: ignore[union-attr]
