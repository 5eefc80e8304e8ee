"""The second output of a network: how like its classes a photo looks, in the pass that answers it."""

import subprocess
import sys

import keras
import numpy as np
import openvino
import pytest

from carpipe.evaluation.likeness import Means
from carpipe.evaluation.years import Head
from carpipe.training.export import export_portable
from carpipe.training.likeness import features_of, with_heads
from carpipe.training.model import build
from carpipe.training.predict import load_network, load_predictor
from carpipe.weights.runtime import Network
from tests.training.conftest import draw

JPEGS = [draw("audi_a3", "test", number) for number in range(3)]
PICTURES = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def file(tiny_config, tmp_path_factory):
    keras.utils.set_random_seed(3)
    path = tmp_path_factory.mktemp("likeness") / "model.keras"
    build(tiny_config, classes=5, weights=None).save(path)
    return path


@pytest.fixture(scope="module")
def means(file):
    rng = np.random.default_rng(1)
    size = features_of(load_network(file)).shape[-1]
    directions = rng.normal(0, 1, (5, size)).astype(np.float32)
    return Means(rng.normal(0, 0.1, size).astype(np.float32), directions / np.linalg.norm(directions, axis=1)[:, None])


def test_a_file_answers_with_features_too(file, means):
    plain = load_predictor(file, energy=True)(JPEGS)
    wide = load_predictor(file, energy=True, features=True)(JPEGS)

    assert wide.shape == (3, 6 + len(means.middle))
    np.testing.assert_allclose(wide[:, :6], plain, atol=1e-6)
    assert load_predictor(file, features=True)(JPEGS).shape == (3, 5 + len(means.middle))


def test_a_file_is_read_in_a_process_that_has_made_no_network_before(file, tmp_path):
    """Keras numbers the names of operations by process, and a loaded network brings its own."""
    (tmp_path / "photo.jpg").write_bytes(JPEGS[0])
    code = """
import sys
from pathlib import Path
import numpy as np
from carpipe.training.export import export_portable
from carpipe.training.predict import load_predictor
file, photo = map(Path, sys.argv[1:])
size = load_predictor(file, energy=True, features=True)([photo.read_bytes()]).shape[1] - 6
export_portable(file, means=(np.zeros(size, np.float32), np.eye(5, size, dtype=np.float32)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, file, tmp_path / "photo.jpg"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_network_with_another_end_has_no_features(tmp_path):
    inputs = keras.Input((32, 32, 3), dtype="uint8")
    flat = keras.layers.GlobalAveragePooling2D()(keras.ops.cast(inputs, "float32"))
    network = keras.Model(inputs, keras.layers.Softmax()(keras.layers.Dense(3)(flat)))
    network.save(tmp_path / "model.keras")

    assert load_predictor(tmp_path / "model.keras", features=True)(JPEGS).shape == (3, 3)
    with pytest.raises(ValueError, match="has no features"):
        with_heads(network, means=(np.zeros(3, np.float32), np.eye(3, dtype=np.float32)))


def test_the_export_says_what_was_judged_and_its_first_output_stays(file, means, tmp_path):
    for name, data in export_portable(file, means=(means.middle, means.directions)).items():
        (tmp_path / name).write_bytes(data)
    network = load_network(file)
    features = keras.Model(network.inputs, features_of(network)).predict_on_batch(PICTURES)

    exported = Network(tmp_path / "model.xml")
    p, likeness = exported.look(PICTURES)

    assert exported.beside == ("likeness",)
    np.testing.assert_allclose(likeness, means.of(features), atol=1e-5)
    np.testing.assert_allclose(p, network.predict_on_batch(PICTURES), atol=1e-5)
    # As clients of carpipe 0.1 ask: whatever the first output is called.
    old = openvino.Core().compile_model(str(tmp_path / "model.xml"), "CPU").create_infer_request().infer([PICTURES])[0]
    np.testing.assert_allclose(old, p, atol=1e-5)


def test_years_are_one_more_output_and_the_others_stay_to_the_bit(file, means, tmp_path):
    weights = np.random.default_rng(4).normal(0, 1, len(means.middle)).astype(np.float32)
    head = Head(means.middle, weights)
    both = (means.middle, means.directions)
    made = {"one": {"means": both}, "two": {"means": both, "newer": (means.middle, weights)},
            "alone": {"newer": (means.middle, weights)}}  # fmt: skip
    found = {}
    for name, heads in made.items():
        (tmp_path / name).mkdir()
        for file_name, data in export_portable(file, **heads).items():
            (tmp_path / name / file_name).write_bytes(data)
        found[name] = Network(tmp_path / name / "model.xml").run(PICTURES)
    network = load_network(file)
    features = keras.Model(network.inputs, features_of(network)).predict_on_batch(PICTURES)

    np.testing.assert_allclose(found["two"].year, head.newer(features), atol=1e-4)
    np.testing.assert_array_equal(found["alone"].year, found["two"].year)
    np.testing.assert_array_equal(found["two"].probabilities, found["one"].probabilities)
    np.testing.assert_array_equal(found["two"].likeness, found["one"].likeness)
    assert found["one"].year is None
    assert found["alone"].likeness is None


def test_without_means_the_export_has_one_output(file, tmp_path):
    for name, data in export_portable(file).items():
        (tmp_path / name).write_bytes(data)

    exported = Network(tmp_path / "model.xml")

    assert exported.beside == ()
    assert exported.look(PICTURES)[1] is None
