"""A warm start: what the new network has of the earlier one, class by class."""

from pathlib import Path

import keras
import numpy as np
import pytest

from carpipe.errors import InputError
from carpipe.training import fit, model
from carpipe.training.warm import HEAD, Warm, start_from
from tests.training.backbones import saved, small
from tests.training.conftest import CLASSES

pytestmark = pytest.mark.slow
EARLIER = ["audi_a3", "kia_rio", "opel_corsa"]


@pytest.fixture(scope="module")
def earlier(own_config, tmp_path_factory):
    """An earlier model, as a file, and its last layer."""
    keras.utils.set_random_seed(7)
    network = model.build(own_config, classes=len(EARLIER), weights=Path(own_config.backbone))
    file = tmp_path_factory.mktemp("earlier") / "model.keras"
    network.get_layer(HEAD).bias.assign([1.0, 2.0, 4.0])
    network.save(file)
    return network, file


def started(earlier, config, parts, **settings):
    """A network of the classes of `parts`, started from the earlier model."""
    config = config.model_copy(update=settings)
    network = model.build(config, classes=len(parts), weights=Path(config.backbone))
    start_from(network, Warm(earlier[1], EARLIER, parts), classes=list(parts), config=config)
    return network


def test_rows_follow_the_names_of_their_classes(earlier, own_config):
    parts = {"opel_corsa": ["opel_corsa"], "small": ["audi_a3", "kia_rio"], "bmw_x5": []}
    network = started(earlier, own_config, parts)

    old, _ = earlier[0].get_layer(HEAD).get_weights()
    kernel, bias = network.get_layer(HEAD).get_weights()
    np.testing.assert_array_equal(kernel[:, 0], old[:, 2])
    np.testing.assert_allclose(kernel[:, 1], (old[:, 0] + old[:, 1]) / 2, rtol=1e-6)
    np.testing.assert_allclose(bias, [4, 1.5, 7 / 3], rtol=1e-6)
    new = kernel[:, 2] - old.mean(axis=1)
    assert 0 < np.abs(new).mean() < np.abs(old).mean(), "the mean row, and some noise"


def test_with_the_same_classes_it_answers_as_before(earlier, own_config):
    network = started(earlier, own_config, {name: [name] for name in EARLIER})

    pictures = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    np.testing.assert_allclose(network.predict(pictures, verbose=0), earlier[0].predict(pictures, verbose=0), atol=1e-6)


def test_weights_are_shrunk_and_perturbed(earlier, own_config):
    parts = {name: [name] for name in EARLIER}
    network = started(earlier, own_config, parts, warm_shrink=0.5, warm_noise=0.01)

    def kernel(one):
        layer = next(x for x in one.get_layer("backbone")._flatten_layers() if isinstance(x, keras.layers.Conv2D))
        return layer.get_weights()[0]

    head = [one.get_layer(HEAD).get_weights()[0] for one in (network, earlier[0])]
    for ours, theirs in (head, [kernel(network), kernel(earlier[0])]):
        off = ours - 0.5 * theirs
        assert 0 < np.abs(off).max() < 0.02


@pytest.mark.parametrize(
    ("filters", "classes"), [(4, EARLIER), (8, EARLIER[:2])], ids=["other backbone", "other classes"]
)
def test_what_does_not_fit_is_refused(earlier, own_config, tmp_path, filters, classes):
    network = model.build(own_config, classes=2, weights=saved(small(filters=filters), tmp_path))

    with pytest.raises(InputError, match=r"cannot start warm from model\.keras.*`classifier\.start` to `cold`"):
        start_from(network, Warm(earlier[1], classes, {}), classes=["a", "b"], config=own_config)


def test_a_warm_training_that_is_resumed_ends_as_a_calm_one(earlier, own_config, tiny_shards, tmp_path):
    """The checkpoint says it all: the model that it started from is not looked at again."""
    config = own_config.model_copy(update={"warm_epochs": 3})
    warm = Warm(earlier[1], EARLIER, {name: [name] for name in CLASSES})
    calm, again = tmp_path / "calm", tmp_path / "again"
    for folder in (calm, again):
        folder.mkdir()
    kept = tmp_path / "after-1.tar"

    def keep(figures):
        if figures["epoch"] == 1:
            kept.write_bytes((calm / "checkpoint.tar").read_bytes())

    job = fit.Job(config, CLASSES, tiny_shards, Path(config.backbone), calm, warm)
    history = fit.train(job, resume=None, report=keep, pulse=lambda figures: None)
    gone = Warm(tmp_path / "gone.keras", EARLIER, warm.parts)
    job = fit.Job(config, CLASSES, tiny_shards, Path(config.backbone), again, gone)
    resumed = fit.train(job, resume=kept, report=lambda figures: None, pulse=lambda figures: None)

    assert [epoch["finetune"] for epoch in history] == [1, 1, 1]
    assert [epoch["val_loss"] for epoch in resumed] == [epoch["val_loss"] for epoch in history]
    for ours, theirs in zip(weights(again), weights(calm), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_each_night_of_a_chain_draws_anew_and_a_cold_training_as_ever(earlier, own_config, tiny_shards, tmp_path):
    config = own_config.model_copy(update={"warm_epochs": 1})

    def losses(chain, folder):
        (tmp_path / folder).mkdir()
        warm = Warm(earlier[1], EARLIER, {name: [name] for name in CLASSES}, chain)
        job = fit.Job(config, CLASSES, tiny_shards, Path(config.backbone), tmp_path / folder, warm)
        return [x["loss"] for x in fit.train(job, resume=None, report=lambda _: None, pulse=lambda _: None)]

    assert losses(1, "first") == losses(1, "first-again")
    assert losses(1, "once-more") != losses(2, "second")
    cold = fit.Job(config, CLASSES, tiny_shards, Path(config.backbone), tmp_path)
    assert fit.with_own_draws(cold) is cold


def weights(folder):
    return keras.models.load_model(folder / "model.keras", compile=False).get_weights()
