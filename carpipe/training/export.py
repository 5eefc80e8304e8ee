"""A trained model in the forms that other apps take: OpenVINO IR, and `.h5` for those that still want it."""

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from carpipe.no_telemetry import silence_openvino
from carpipe.training.likeness import with_heads
from carpipe.training.predict import load_network
from carpipe.training.viewpoints import with_views


def export_portable(
    file: Path,
    *,
    means: tuple[Any, Any] | None = None,
    newer: tuple[Any, Any] | None = None,
    views: tuple[Any, Any] | None = None,
) -> dict[str, bytes]:
    """`model.xml` and `model.bin` of a `.keras` file: float32, runs without TensorFlow and Keras.

    Input `picture` uint8 (n, side, side, 3) in RGB, output float32 (n, classes). The graph is traced once and handed
    to OpenVINO: Keras' own `export` traces the network three times.

    Args:
        means, newer: see `with_heads`: outputs more, named `likeness` and `year`. The probabilities stay the first:
            clients of carpipe 0.1 take that one, whatever it is called.
        views: `kernel` and `bias` of `with_views`: an output named `views`; not together with the others.
    """
    silence_openvino()
    import openvino
    import tensorflow as tf

    network = load_network(file)
    names = [name for name, head in (("likeness", means), ("year", newer)) if head]
    if names:
        network = with_heads(network, means=means, newer=newer)
    if views:
        network, names = with_views(network, *views), ["views"]
    [entry] = network.inputs
    picture = tf.TensorSpec(entry.shape, entry.dtype, name="picture")
    traced = tf.function(lambda picture: network(picture, training=False), autograph=False, input_signature=[picture])
    with _root_log_as_it_is():
        converted = openvino.convert_model(traced.get_concrete_function())
    converted.input().tensor.set_names({"picture"})
    for number, name in enumerate(names, start=1):
        converted.output(number).tensor.set_names({name})
    with tempfile.TemporaryDirectory(prefix="carpipe-export-") as folder:
        path = Path(folder) / "model.xml"
        openvino.save_model(converted, path, compress_to_fp16=False)
        return {name: (path.parent / name).read_bytes() for name in ("model.xml", "model.bin")}


@contextlib.contextmanager
def _root_log_as_it_is() -> Iterator[None]:
    """OpenVINO silences all but errors while it converts, and for good where it cannot (`tools/ovc/convert.py`)."""
    root = logging.getLogger()
    level, filters = root.level, [*root.filters]
    try:
        yield
    finally:
        root.setLevel(level)
        root.filters = filters


def export_h5(file: Path) -> bytes:
    """The `.keras` file as HDF5. carpipe itself never loads one."""
    with tempfile.TemporaryDirectory(prefix="carpipe-export-") as folder:
        path = Path(folder) / "model.h5"
        load_network(file).save(str(path))
        return path.read_bytes()
