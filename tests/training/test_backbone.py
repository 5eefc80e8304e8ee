"""Backbones of one's own: what may be one, what is said of others, and what training does with it."""

import shutil
import zipfile

import keras
import numpy as np
import pytest
from keras import layers

from carpipe.config import load_config
from carpipe.errors import ConfigError, InputError
from carpipe.training import fit, model
from carpipe.training.backbone import load_backbone
from carpipe.training.export import export_portable
from carpipe.training.predict import load_network
from carpipe.training.warm import Warm, start_from
from carpipe.weights.runtime import Network
from tests.training.backbones import saved, small
from tests.training.conftest import CLASSES, OWN, TINY

PICTURES = np.random.default_rng(3).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)


def config_for(path, side=32, **settings):
    overrides = {f"classifier.{name}": value for name, value in settings.items()}
    return load_config(
        overrides={"classifier.backbone": str(path), "classifier.image_size": side, **overrides}
    ).classifier


def network(inputs, outputs):
    return keras.Model(inputs, outputs)


def picture(*shape, **options):
    return keras.Input(shape or (32, 32, 3), **options)


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize("side", [32, None], ids=["fixed", "any size"])
def test_a_file_gives_the_features_it_was_saved_with(dtype, side, tmp_path):
    theirs = small(side, dtype=dtype)
    own = load_backbone(saved(theirs, tmp_path), side=32)

    built = model.build(config_for(saved(theirs, tmp_path)), classes=3, weights=tmp_path / "mine.keras")

    expected = theirs(PICTURES.astype(dtype)).numpy()
    np.testing.assert_allclose(own(PICTURES.astype(dtype)).numpy(), expected, atol=1e-6)
    assert own.name == built.get_layer("backbone").name == "backbone"
    dense = built.get_layer("probabilities")
    answers = keras.ops.softmax(expected @ dense.kernel.numpy() + dense.bias.numpy())
    np.testing.assert_allclose(built(PICTURES).numpy(), answers, atol=1e-5)


@pytest.mark.parametrize("name", ["efficientnet_lite0_224", "efficientnet_lite1_240"])
def test_real_backbones_fit(data, name):
    file = data / "weights" / f"{name}.keras"
    if not file.exists():
        pytest.skip(f"no {file.name} here")
    side = int(name[-3:])
    with pytest.raises(
        InputError, match=rf"takes pictures of {side} px, and image_size is 96. Set image_size = {side}"
    ):
        load_backbone(file, side=96)

    own = load_backbone(file, side=side)

    assert own.output_shape == (None, 1280)
    theirs = keras.saving.load_model(file, compile=False)
    pictures = np.random.default_rng(3).integers(0, 256, (2, side, side, 3), dtype=np.uint8).astype(np.float32)
    np.testing.assert_allclose(own(pictures).numpy(), theirs(pictures).numpy(), atol=1e-4)


def test_a_map_of_features_is_pooled(tmp_path):
    inputs = picture()
    file = saved(network(inputs, layers.Conv2D(6, 3)(inputs)), tmp_path)

    own = load_backbone(file, side=32)

    maps = keras.saving.load_model(file)(PICTURES.astype(np.float32)).numpy()
    np.testing.assert_allclose(own(PICTURES.astype(np.float32)).numpy(), maps.mean(axis=(1, 2)), rtol=1e-4, atol=1e-3)


def test_a_sequential_model_is_as_good(tmp_path):
    stack = [picture(), layers.Rescaling(1 / 255), layers.Conv2D(4, 3), layers.GlobalMaxPooling2D()]
    assert load_backbone(saved(keras.Sequential(stack), tmp_path), side=32).output_shape == (None, 4)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_a_sequential_model_that_was_never_built_is_a_sentence(tmp_path, policy):
    with pytest.warns(UserWarning, match="has not yet been built"):
        file = saved(keras.Sequential([layers.Conv2D(4, 3)]), tmp_path)
    keras.mixed_precision.set_global_policy(policy)
    try:
        with pytest.raises(InputError, match=r"saved before it was built.*`build\(\(None, 32, 32, 3\)\)`"):
            load_backbone(file, side=32)
    finally:
        keras.mixed_precision.set_global_policy("float32")


def softmax_inside():
    inputs = picture()
    inside = keras.Sequential([picture(), layers.Flatten(), layers.Dense(9, activation="softmax")])
    return network(inputs, inside(inputs))


def with_nan():
    made = small()
    made.set_weights(
        [np.full_like(weight, np.nan) if i == 2 else weight for i, weight in enumerate(made.get_weights())]
    )
    return made


def unfitting():
    """Takes any size, but not a small one."""
    inputs = picture(None, None, 3)
    return network(inputs, layers.GlobalAveragePooling2D()(layers.Conv2D(2, 40)(inputs)))


def of_two(count_in, count_out):
    inputs = [picture() for _ in range(count_in)]
    outputs = [layers.GlobalAveragePooling2D()(layers.Conv2D(2, 3)(inputs[-1])) for _ in range(count_out)]
    return network(inputs, outputs)


def on(inputs, *stack):
    outputs = inputs
    for layer in stack:
        outputs = layer(outputs)
    return network(inputs, outputs)


POOL = layers.GlobalAveragePooling2D
UNFIT = {
    "another size": (lambda: small(48), "takes pictures of 48 px, and image_size is 32. Set image_size = 48"),
    "grey": (lambda: on(picture(32, 32, 1), layers.Conv2D(2, 3), POOL()), r"takes \(None, 32, 32, 1\), expected"),
    "oblong": (lambda: on(picture(32, 48, 3), layers.Conv2D(2, 3), POOL()), r"takes \(None, 32, 48, 3\), expected"),
    "rows": (lambda: on(picture(32), layers.Dense(2)), r"takes \(None, 32\), expected \(None, side, side, 3\)"),
    "a fixed batch": (
        lambda: on(keras.Input(batch_shape=(8, 32, 32, 3)), layers.Conv2D(2, 3), POOL()), r"takes \(8, 32, 32, 3\)",
    ),
    "whole numbers": (lambda: on(picture(dtype="int32"), layers.Rescaling(1.0), layers.Conv2D(2, 3)), "takes int32"),
    "two inputs": (lambda: of_two(2, 1), "has 2 inputs and 1 outputs, expected one of each"),
    "two outputs": (lambda: of_two(1, 2), "has 1 inputs and 2 outputs, expected one of each"),
    "too small pictures": (unfitting, "cannot take pictures of 32 px"),
    "rows of features": (
        lambda: on(picture(), layers.Conv2D(2, 3), layers.Reshape((900, 2))), r"answers float32 \(None, 900, 2\)",
    ),
    "probabilities": (softmax_inside, "answers probabilities of 9 classes, expected features"),
    "nothing to train": (lambda: on(picture(), layers.Rescaling(1 / 255), POOL()), "has nothing that can be trained"),
    "no numbers": (with_nan, r"holds weights that are no numbers \(NaN or infinite\), the first in "),
    "overflow": (
        lambda: on(picture(), layers.Conv2D(2, 3), layers.Rescaling(1e38), layers.Rescaling(1e38), POOL()),
        "answers what is no number",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", UNFIT)
def test_what_does_not_fit_is_said(kind, tmp_path):
    make, message = UNFIT[kind]
    with pytest.raises(InputError, match=message):
        load_backbone(saved(make(), tmp_path), side=32)


def test_weights_of_another_network_are_no_crash(tmp_path):
    theirs, ours = saved(small(), tmp_path, "theirs.keras"), saved(of_two(1, 1), tmp_path, "ours.keras")
    with zipfile.ZipFile(theirs) as one, zipfile.ZipFile(ours) as two, zipfile.ZipFile(tmp_path / "c.keras", "w") as to:
        for source, name in ((one, "metadata.json"), (one, "config.json"), (two, "model.weights.h5")):
            to.writestr(name, source.read(name))

    with pytest.raises(InputError, match=r"Keras 3\.\S+ cannot load c\.keras"):
        load_backbone(tmp_path / "c.keras", side=32)


def test_batch_norm_of_networks_inside_is_frozen_and_hastened_too(tmp_path):
    file = saved(small(), tmp_path)
    built = model.build(config_for(file), classes=3, weights=file)
    norms = [
        layer for layer in built.get_layer("backbone")._flatten_layers() if isinstance(layer, layers.BatchNormalization)
    ]
    assert len(norms) == 2

    model.freeze_backbone(built, frozen=True, frozen_batch_norm=True)
    assert len(built.trainable_weights) == 2, "the head alone"
    model.freeze_backbone(built, frozen=False, frozen_batch_norm=True)
    assert not any(norm.trainable_weights for norm in norms)
    assert len(built.trainable_weights) == 2 + 4
    model.freeze_backbone(built, frozen=False, frozen_batch_norm=False)
    assert all(len(norm.trainable_weights) == 2 for norm in norms)
    model.hasten_batch_norm(built, steps=100)
    assert {norm.momentum for norm in norms} == {0.9}


def test_what_was_frozen_when_it_was_saved_is_trained(tmp_path):
    theirs = small()
    theirs.trainable = False

    assert len(load_backbone(saved(theirs, tmp_path), side=32).trainable_weights) == 8


def test_half_precision_is_for_backbones_of_ones_own_too(tmp_path):
    file = saved(small(), tmp_path)
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        built = model.build(config_for(file), classes=3, weights=file)
        built.save(tmp_path / "model.keras")
    finally:
        keras.mixed_precision.set_global_policy("float32")

    computed = {layer.compute_dtype for layer in built.get_layer("backbone")._flatten_layers(include_self=False)}
    assert "float16" in computed
    again = load_network(tmp_path / "model.keras")
    assert {layer.compute_dtype for layer in again._flatten_layers()} == {"float32"}
    np.testing.assert_allclose(again(PICTURES).numpy(), built(PICTURES).numpy(), atol=0.02)


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_the_export_answers_as_what_was_built(dtype, tmp_path):
    file = saved(small(None, dtype=dtype), tmp_path)
    built = model.build(config_for(file), classes=3, weights=file)
    built.save(tmp_path / "model.keras")

    for name, data in export_portable(tmp_path / "model.keras").items():
        (tmp_path / name).write_bytes(data)

    np.testing.assert_allclose(Network(tmp_path / "model.xml").predict(PICTURES), built(PICTURES).numpy(), atol=1e-5)


def test_a_training_that_goes_on_ends_as_if_nothing_had_happened(tiny_shards, tmp_path):
    """With dropout in the backbone, whose random state Keras leaves out of its files, and from within fine-tuning."""
    file = saved(small(dropout=0.3), tmp_path)
    brief = {**TINY, **OWN, "classifier.head_epochs": 1, "classifier.head_learning_rate": 0.01}
    brief |= {"classifier.backbone": str(file)}
    config = load_config(overrides=brief).classifier

    def run(name, resume=None):
        folder = tmp_path / name
        folder.mkdir()
        job = fit.Job(config=config, classes=CLASSES, shards=tiny_shards, weights=file, folder=folder)
        kept = lambda figures: shutil.copy(folder / "checkpoint.tar", folder / f"{figures['epoch']}.tar")  # noqa: E731
        history = fit.train(job, resume=resume, report=kept, pulse=lambda figures: None)
        return history, load_network(folder / "model.keras").get_weights()

    calm, weights = run("calm")
    resumed, again = run("resumed", tmp_path / "calm" / "2.tar")

    timeless = [
        [{name: value for name, value in epoch.items() if name not in ("seconds", "resumed")} for epoch in history]
        for history in (resumed, calm)
    ]
    assert timeless[0] == timeless[1]
    assert not (tmp_path / "resumed" / "2.tar").exists(), "it did not start anew"
    for ours, theirs in zip(again, weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_warm_start_takes_over_and_perturbs_a_backbone_of_ones_own(tmp_path):
    file = saved(small(), tmp_path)
    config = config_for(file)
    earlier = model.build(config, classes=2, weights=file)
    kernels = [weight for weight in earlier.get_layer("backbone").trainable_weights if weight.name == "kernel"]
    for weight in kernels:
        weight.assign(weight + 1)
    warm = Warm(saved(earlier, tmp_path, "model.keras"), list(CLASSES), {name: [name] for name in CLASSES})

    def started(**settings):
        network = model.build(config, classes=2, weights=file)
        start_from(network, warm, classes=list(CLASSES), config=config.model_copy(update=settings))
        found = network.get_layer("backbone").trainable_weights
        return np.concatenate([weight.numpy().ravel() for weight in found if weight.name == "kernel"])

    old = np.concatenate([weight.numpy().ravel() for weight in kernels])
    np.testing.assert_array_equal(started(warm_shrink=1.0, warm_noise=0.0), old)
    np.testing.assert_allclose(started(warm_shrink=0.5, warm_noise=0.0), old / 2, rtol=1e-6)
    noise = started(warm_shrink=0.5, warm_noise=0.01) - old / 2
    assert 0 < np.abs(noise).max() < 0.01


@pytest.mark.parametrize("settings", [{"weights": "none"}, {"weights": "mine.weights.h5"}, {"alpha": 0.35}], ids=str)
def test_a_file_brings_its_weights_and_its_width(settings):
    with pytest.raises(ConfigError, match=r"backbone is the file mine\.keras, which brings its weights and its width"):
        config_for("mine.keras", **settings)
