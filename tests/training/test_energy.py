"""How familiar a photo looks, computed in the pass that answers it."""

import keras
import numpy as np
import pytest
from scipy.special import logsumexp

from carpipe.training.energy import with_energy
from carpipe.training.model import build
from carpipe.training.predict import load_predictor
from tests.training.conftest import draw

PICTURES = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def network(tiny_config):
    keras.utils.set_random_seed(3)
    return build(tiny_config, classes=5, weights=None)


def test_the_energy_is_that_of_the_logits_and_the_answers_stay(network):
    head = network.get_layer("probabilities")
    features = keras.Model(network.input, head.input).predict_on_batch(PICTURES)
    kernel, bias = head.get_weights()

    both = with_energy(network).predict_on_batch(PICTURES)

    assert both.shape == (6, 6)
    np.testing.assert_allclose(both[:, :-1], network.predict_on_batch(PICTURES), atol=1e-7)
    np.testing.assert_allclose(both[:, -1], -logsumexp(features @ kernel + bias, axis=1), rtol=1e-5)


def test_a_network_with_another_end_has_none():
    inputs = keras.Input((32, 32, 3))
    flat = keras.layers.GlobalAveragePooling2D()(inputs)
    network = keras.Model(inputs, keras.layers.Softmax()(keras.layers.Dense(3)(flat)))

    both = with_energy(network).predict_on_batch(PICTURES.astype("float32"))

    np.testing.assert_allclose(both[:, :-1].sum(axis=1), 1, atol=1e-6)
    assert np.isnan(both[:, -1]).all()


def test_a_file_answers_with_one_column_more(network, tmp_path):
    network.save(tmp_path / "model.keras")
    jpegs = [draw("audi_a3", "test", number) for number in range(3)]

    plain = load_predictor(tmp_path / "model.keras")(jpegs)
    both = load_predictor(tmp_path / "model.keras", energy=True)(jpegs)

    assert (plain.shape, both.shape) == ((3, 5), (3, 6))
    np.testing.assert_allclose(both[:, :-1], plain, atol=1e-7)
