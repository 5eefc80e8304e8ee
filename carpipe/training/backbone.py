"""A backbone of one's own: a `.keras` file that turns pictures into features, checked before anything is trained.

It takes RGB of 0 to 255 and does its own preprocessing. Its name in our models is `backbone`, whatever it was called.
"""

from pathlib import Path
from typing import Any

import keras
import numpy as np

from carpipe.errors import InputError, UnavailableError
from carpipe.machine import looking_at
from carpipe.names import brief
from carpipe.training import keras_file
from carpipe.training.precision import with_policy


def load_backbone(file: Path, *, side: int) -> Any:
    """The network of a `.keras` file: pictures (n, side, side, 3) in, features (n, m) out; not compiled.

    What it answers is pooled over the picture where it is a map of features (n, h, w, m). It computes in the mixed
    precision that training has chosen, if any. All of it can be trained, also what was frozen when it was saved.

    Args:
        side: pixels; the file's own where that is fixed.

    Raises:
        InputError: it is no such file, holds code, or does not fit; says what it takes and gives.
    """
    keras_file.check(file)
    network = _load(file)
    _check_input(file, network, side)
    try:
        backbone = _named(network, side)
    except (ValueError, TypeError) as error:  # a layer does not take what the one before gives at this size
        raise InputError(
            f"{file.name} cannot take pictures of {side} px: {brief(str(error), max_characters=300)}."
        ) from error
    _check_weights(file, backbone)
    _check_answers(file, backbone, side)
    return backbone


def _load(file: Path) -> Any:
    try:
        with looking_at(file.name, file):
            network = keras.saving.load_model(file, compile=False, safe_mode=True)
            return _in_policy(network)
    except UnavailableError:
        raise
    except Exception as error:  # h5py and Keras raise all sorts; what it says of code was found before
        raise InputError(
            f"Keras {keras.__version__} cannot load {file.name}: {brief(str(error), max_characters=300)}. A file that "
            "was saved by a newer Keras needs that one here."
        ) from error


def _in_policy(network: Any) -> Any:
    """A copy in mixed precision, where training has chosen that: a file says what each layer computes in."""
    policy = keras.mixed_precision.global_policy().name
    if policy == "float32":
        return network
    return with_policy(network, policy, replaces=lambda config: config == {"name": "float32"})


def _check_input(file: Path, network: Any, side: int) -> None:
    if getattr(network, "inputs", None) is None:
        raise InputError(
            f"{file.name} does not say what it takes: it was saved before it was built. Begin the network with "
            f"`keras.Input(({side}, {side}, 3))`, or call `build((None, {side}, {side}, 3))` before saving it."
        )
    inputs, outputs = (len(keras.tree.flatten(getattr(network, name))) for name in ("inputs", "outputs"))
    if (inputs, outputs) != (1, 1):
        raise InputError(f"{file.name} has {inputs} inputs and {outputs} outputs, expected one of each.")
    [entry] = network.inputs
    shape, dtype = tuple(entry.shape), str(entry.dtype)
    if len(shape) != 4 or shape[0] is not None or shape[3] != 3 or shape[1] != shape[2]:
        raise InputError(
            f"{file.name} takes {_shown(shape)}, expected (None, side, side, 3): any number of square pictures in RGB."
        )
    if shape[1] not in (None, side):
        raise InputError(
            f"{file.name} takes pictures of {shape[1]} px, and image_size is {side}. Set image_size = {shape[1]}, or "
            "save it with an input of (None, None, 3)."
        )
    if dtype not in ("uint8", "float16", "bfloat16", "float32", "float64"):
        raise InputError(f"{file.name} takes {dtype}, expected float32 or uint8 of 0 to 255.")


def _named(network: Any, side: int) -> Any:
    """The network at one size, with features for each picture, under the name that checkpoints know it by."""
    [entry] = network.inputs
    inputs = keras.Input((side, side, 3), dtype=entry.dtype, name="backbone_input")
    features = network(inputs)
    if len(features.shape) == 4:
        features = keras.layers.GlobalAveragePooling2D(name="backbone_pool")(features)
    backbone = keras.Model(inputs, features, name="backbone")
    thaw(backbone)
    return backbone


def thaw(backbone: Any) -> None:
    """Make every layer one that can be trained, also those that were frozen alone, or in a network inside."""
    for layer in backbone._flatten_layers():
        # Keras passes over an attribute that is set to what it is already, and with it all layers below.
        layer.trainable = False
        layer.trainable = True


def _check_weights(file: Path, backbone: Any) -> None:
    if not backbone.trainable_weights:
        raise InputError(f"{file.name} has nothing that can be trained. Is it the network, or only its preprocessing?")
    odd = [weight.path for weight in backbone.weights if not np.isfinite(keras.ops.convert_to_numpy(weight)).all()]
    if odd:
        raise InputError(
            f"{file.name} holds weights that are no numbers (NaN or infinite), the first in {brief(odd[0])}. It went "
            "astray when it was trained: take an earlier state of it."
        )


def _check_answers(file: Path, backbone: Any, side: int) -> None:
    """Look at what comes out: by its shape, and of a grey picture with noise."""
    [output] = backbone.outputs
    shape = tuple(output.shape)
    if len(shape) != 2 or shape[1] is None or not str(output.dtype).startswith(("float", "bfloat")):
        raise InputError(
            f"{file.name} answers {output.dtype} {_shown(shape)}, expected features: float (None, m), or (None, h, w, "
            "m), which is pooled."
        )
    pictures = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    features = keras.ops.convert_to_numpy(backbone(pictures.astype(backbone.inputs[0].dtype), training=False))
    if not np.isfinite(features.astype(np.float32)).all():
        raise InputError(f"{file.name} answers what is no number (NaN or infinite) to RGB of 0 to 255.")
    if _ends_in_softmax(backbone):
        raise InputError(
            f"{file.name} answers probabilities of {shape[1]} classes, expected features. Save it without its last "
            "layer (`include_top=False`)."
        )


def _ends_in_softmax(backbone: Any) -> bool:
    layer = backbone.outputs[0]._keras_history.operation
    while hasattr(layer, "outputs") and hasattr(layer, "layers"):
        layer = layer.outputs[0]._keras_history.operation
    return isinstance(layer, keras.layers.Softmax) or getattr(layer, "activation", None) is keras.activations.softmax


def _shown(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join(map(str, shape)) + ")"
