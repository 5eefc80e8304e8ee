"""A trained model in the forms that other apps take: OpenVINO IR, and `.h5` for those that still want it."""

import tempfile
from pathlib import Path
from typing import Any

from carpipe.telemetry import silence_openvino
from carpipe.training.predict import load_network


def export_portable(file: Path) -> dict[str, bytes]:
    """`model.xml` and `model.bin` of a `.keras` file: float32, runs without TensorFlow and Keras.

    Input `picture` uint8 (n, side, side, 3) in RGB, output float32 (n, classes).
    """
    silence_openvino()
    network = _in_float32(load_network(file))
    with tempfile.TemporaryDirectory(prefix="carpipe-export-") as folder:
        path = Path(folder) / "model.xml"
        network.export(str(path), format="openvino", verbose=False)
        return {name: (path.parent / name).read_bytes() for name in ("model.xml", "model.bin")}


def export_h5(file: Path) -> bytes:
    """The `.keras` file as HDF5. carpipe itself never loads one."""
    with tempfile.TemporaryDirectory(prefix="carpipe-export-") as folder:
        path = Path(folder) / "model.h5"
        load_network(file).save(str(path))
        return path.read_bytes()


def _in_float32(network: Any) -> Any:
    """A copy that computes in float32, where it was trained in mixed precision: not every processor has halves."""
    if network.compute_dtype == "float32" and all(layer.compute_dtype == "float32" for layer in _layers(network)):
        return network
    import keras

    config = _with_dtype(network.get_config())
    copy = keras.Model.from_config(config)
    copy.set_weights(network.get_weights())
    return copy


def _layers(network: Any) -> list[Any]:
    return [layer for layer in network._flatten_layers() if hasattr(layer, "compute_dtype")]  # nested models too


def _with_dtype(value: Any) -> Any:
    """The configuration with every mixed-precision policy replaced by float32."""
    if isinstance(value, dict):
        if value.get("class_name") == "DTypePolicy" and "float16" in str(value.get("config")):
            return {**value, "config": {"name": "float32"}}
        return {name: _with_dtype(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_dtype(item) for item in value]
    return value
