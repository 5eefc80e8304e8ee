"""Judged, exported and served alike, whatever it was trained in."""

import logging

import keras
import numpy as np
import openvino
import pytest

from carpipe.errors import InputError
from carpipe.training import export
from carpipe.training.export import export_portable
from carpipe.training.predict import load_network
from carpipe.weights.runtime import Network


@pytest.fixture
def half(tmp_path):
    """A small network of mixed precision, with one nested in it as backbones are."""
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        inside = keras.Sequential(
            [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.GlobalAveragePooling2D()], name="backbone"
        )
        inputs = keras.Input((8, 8, 3), dtype="uint8", name="picture")
        features = inside(keras.ops.cast(inputs, "float32"))
        outputs = keras.layers.Dense(3, activation="softmax", dtype="float32")(features)
        network = keras.Model(inputs, outputs)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    path = tmp_path / "model.keras"
    network.save(path)
    return network, path


PICTURES = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)


def test_what_was_trained_in_half_precision_is_judged_in_single(half):
    network, path = half
    loaded = load_network(path)

    assert {layer.compute_dtype for layer in loaded._flatten_layers()} == {"float32"}
    assert network.get_layer("backbone").compute_dtype == "float16"
    for ours, theirs in zip(loaded.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_export_answers_as_what_was_judged(half, tmp_path):
    for name, data in export_portable(half[1]).items():
        (tmp_path / name).write_bytes(data)

    exported = Network(tmp_path / "model.xml").predict(PICTURES)

    np.testing.assert_allclose(exported, load_network(half[1]).predict_on_batch(PICTURES), atol=1e-5)


def test_what_is_no_model_is_said(tmp_path):
    (tmp_path / "model.keras").write_bytes(b"oops")

    with pytest.raises(InputError, match=r"model\.keras is no Keras model"):
        load_network(tmp_path / "model.keras")


def test_a_network_that_cannot_be_converted_leaves_the_log_as_it_is(tmp_path):
    root = logging.getLogger()
    before = root.level, [*root.filters]
    with pytest.raises(Exception, match="is not existing"), export._root_log_as_it_is():
        openvino.convert_model(tmp_path / "none.onnx")
    assert (root.level, root.filters) == before
