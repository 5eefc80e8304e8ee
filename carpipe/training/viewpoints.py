"""A second output of the car filter: from where a photo shows a car, by the backbone's features where they lie.

Pooled over the whole picture, features do not say whether the front is left or right. So they are pooled over each
quarter of it, and a linear head on these tells the views. The network itself stays what it is.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from carpipe.pictures.model_input import to_batch
from carpipe.training.predict import BATCH, load_network

Features = np.ndarray[Any, np.dtype[np.float32]]
# JPEGs in, and whether they are mirrored first; features (n, 4 * channels) out.
See = Callable[[Sequence[bytes], bool], Features]

# Pictures that are decoded at a time: 224 px take 40 MB.
DECODED = 8 * BATCH


def load_grid(file: Path) -> See | None:
    """Features of JPEGs by a `.keras` file of our own, pooled over each quarter of the picture.

    Returns:
        None where the backbone has no features that lie somewhere: it does not end in global average pooling.
    """
    network = load_network(file)
    answers = _with_grid(network)
    if answers is None:
        return None
    grid = keras.Model(network.inputs, answers[1])
    side = network.input_shape[1]

    def see(jpegs: Sequence[bytes], mirrored: bool) -> Features:
        found = [np.zeros((0, grid.output_shape[1]), np.float32)]
        for pictures in _decoded(jpegs, side):
            turned = np.ascontiguousarray(pictures[:, :, ::-1]) if mirrored else pictures
            found.append(np.asarray(grid.predict(turned, batch_size=BATCH, verbose=0), np.float32))
        return np.concatenate(found)

    return see


def with_views(network: Any, kernel: Features, bias: Features) -> Any:
    """The network with a second output `views`, float32 (n, views), after its probabilities: a softmax.

    Args:
        kernel: (4 * channels, views), for the features that `load_grid` gives.
        bias: (views,).

    Raises:
        ValueError: the network has no such features.
    """
    answers = _with_grid(network)
    if answers is None or answers[1].shape[-1] != len(kernel):
        raise ValueError(f"{network.name} has no features (n, {len(kernel)}) of the quarters of a picture")
    head = keras.layers.Dense(len(bias), activation="softmax", name="views", dtype="float32")
    views = head(answers[1])
    head.set_weights([kernel, bias])
    return keras.Model(network.inputs, [answers[0], views], name=f"{network.name}_with_views")


def _decoded(jpegs: Sequence[bytes], side: int) -> Iterator[Any]:
    for start in range(0, len(jpegs), DECODED):
        yield to_batch(jpegs[start : start + DECODED], side)


def _with_grid(network: Any) -> tuple[Any, Any] | None:
    """Probabilities and features of the quarters, as outputs of the network's own inputs.

    The backbone is called once for both: the head goes on from the same map of features.
    """
    head = network.layers[-1]
    dropout = network.layers[-2]
    if not isinstance(head, keras.layers.Dense) or not isinstance(dropout, keras.layers.Dropout):
        return None
    history = dropout.input._keras_history
    both = _with_map(history.operation)
    if both is None:
        return None
    [entry] = history.operation._inbound_nodes[history.node_index].input_tensors
    features, found = both(entry)
    return head(features), _quarters(found)


def _with_map(backbone: Any) -> Any | None:
    """The backbone with what it pools as a second output: (n, h, w, channels)."""
    if not hasattr(backbone, "layers") or len(backbone.outputs) != 1:
        return None
    last = backbone.outputs[0]._keras_history.operation
    if isinstance(last, keras.layers.GlobalAveragePooling2D) and last.data_format == "channels_last":
        return keras.Model(backbone.inputs, [backbone.output, last.input], name=f"{backbone.name}_with_map")
    if len(backbone.layers) == 2:  # one of somebody's own: an input, and the network of the file
        inside = _with_map(last)
        return inside and keras.Model(backbone.inputs, inside(backbone.inputs[0]), name=f"{backbone.name}_with_map")
    return None


def _quarters(found: Any) -> Any:
    """Means over the quarters of a map, (n, 4 * channels). Of an odd number of rows, the middle one is in both."""
    sides = [side or 1 for side in found.shape[1:3]]
    pool = tuple(math.ceil(side / 2) for side in sides)
    strides = tuple(max(1, side - half) for side, half in zip(sides, pool, strict=True))
    pooled = keras.layers.AveragePooling2D(pool, strides, name="quarters")(found)
    return keras.layers.Flatten(name="quarters_in_a_row")(pooled)
