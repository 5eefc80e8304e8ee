"""Predict with a trained model."""

import contextlib
import io
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import keras
import numpy as np

from carpipe.errors import InputError
from carpipe.machine import looking_at
from carpipe.pictures.model_input import to_batch
from carpipe.training.energy import with_energy
from carpipe.training.likeness import features_of
from carpipe.training.precision import with_policy

# Photos per forward pass.
BATCH = 32

Predict = Callable[[list[bytes]], "np.ndarray[Any, np.dtype[np.float32]]"]


def load_predictor(file: Path, *, energy: bool = False, features: bool = False) -> Predict:
    """JPEGs in, probabilities (n, classes) out, of a `.keras` file. Code hidden in it is refused.

    Args:
        energy: one column more, as `with_energy` says.
        features: then as many more as the network has features, as `features_of` says: none where it has none.

    Raises:
        InputError: the file is no Keras model.
    """
    _share_gpu()
    network = _with_columns(load_network(file), energy=energy, features=features)
    side = network.input_shape[1]

    def predict(jpegs: list[bytes]) -> "np.ndarray[Any, np.dtype[np.float32]]":
        pictures = to_batch(jpegs, side)
        chunks = [pictures[start : start + BATCH] for start in range(0, len(pictures), BATCH)]
        return np.concatenate([_predict_chunk(network, chunk) for chunk in chunks])

    return predict


def _with_columns(network: Any, *, energy: bool, features: bool) -> Any:
    seen = features_of(network) if features else None
    wider = with_energy(network) if energy else network
    if seen is None:
        return wider
    # A layer with a name of its own: operations could have names that the network's have.
    columns = keras.layers.Concatenate(axis=1, name="with_features")([wider.output, seen])
    return keras.Model(wider.inputs, columns, name=f"{wider.name}_with_features")


def _share_gpu() -> None:
    """Take no more of a GPU's memory than is needed: this process may start a training next, which has its own."""
    from tensorflow import config

    for gpu in config.list_physical_devices("GPU"):
        with contextlib.suppress(RuntimeError):  # in use already
            config.experimental.set_memory_growth(gpu, True)


def load_network(file: Path) -> Any:
    """A `.keras` file, not compiled, in float32: judged, exported and served alike. Code hidden in it is refused.

    Raises:
        InputError: the file is no Keras model.
    """
    try:
        with looking_at(file.name, file):
            return _in_float32(keras.models.load_model(file, compile=False, safe_mode=True))
    except (ValueError, OSError, TypeError, KeyError) as error:
        raise InputError(f"{file.name} is no Keras model: {error}.") from error


def predict_records(
    records: Iterable[tuple[str, str, bytes]], *, predict: Predict
) -> tuple[list[str], "np.ndarray[Any, np.dtype[np.float32]]"]:
    """Photo keys, and the probabilities (photos, classes) for each, in the order of the records.

    Raises:
        InputError: there are none.
    """
    keys: list[str] = []
    found = []
    iterator = iter(records)
    while chunk := list(islice(iterator, BATCH)):
        keys += [key for key, _, _ in chunk]
        found.append(predict([jpeg for _, _, jpeg in chunk]))
    if not keys:
        raise InputError("A split that is to be judged on is empty; the dataset needs more vehicles.")
    return keys, np.concatenate(found)


def golden(jpegs: list[bytes], *, side: int, **answers: Any) -> bytes:
    """A few pictures as the model gets them, and its answers, as .npz: `pictures`, `probabilities` and others."""
    sink = io.BytesIO()
    np.savez_compressed(sink, pictures=to_batch(jpegs, side), **answers)
    return sink.getvalue()


def _predict_chunk(network: Any, chunk: Any) -> Any:
    """Always the same shape: a new one would trace the network again, which takes seconds."""
    missing = BATCH - len(chunk)
    full = np.concatenate([chunk, np.zeros((missing, *chunk.shape[1:]), chunk.dtype)]) if missing else chunk
    return np.asarray(network.predict_on_batch(full), dtype=np.float32)[: len(chunk)]


def _in_float32(network: Any) -> Any:
    """A copy that computes in float32, where it was trained in mixed precision: not every processor has halves."""
    if network.compute_dtype == "float32" and all(layer.compute_dtype == "float32" for layer in _layers(network)):
        return network
    return with_policy(network, "float32", replaces=lambda config: "float16" in str(config))


def _layers(network: Any) -> list[Any]:
    return [layer for layer in network._flatten_layers() if hasattr(layer, "compute_dtype")]  # nested models too
