"""A trained model in the forms that other apps take: OpenVINO IR, and `.h5` for those that still want it."""

import tempfile
from pathlib import Path

from carpipe.telemetry import silence_openvino
from carpipe.training.predict import load_network


def export_portable(file: Path) -> dict[str, bytes]:
    """`model.xml` and `model.bin` of a `.keras` file: float32, runs without TensorFlow and Keras.

    Input `picture` uint8 (n, side, side, 3) in RGB, output float32 (n, classes).
    """
    silence_openvino()
    network = load_network(file)
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
