"""What a training says of itself while it runs."""

from pathlib import Path

import keras
import pytest

from carpipe.errors import InputError
from carpipe.steps.models.train_process import describe_step
from carpipe.training import fit, model
from carpipe.training.warm import Warm
from tests.training.conftest import CLASSES

pytestmark = pytest.mark.slow


def test_an_epoch_tells_how_far_it_is(own_config, tiny_shards, tmp_path, monkeypatch):
    monkeypatch.setattr(fit, "PULSE_S", -60)  # at every step, also where Keras' threads overtake each other
    config = own_config.model_copy(update={"head_epochs": 1, "finetune_epochs": 0})
    job = fit.Job(config=config, classes=CLASSES, shards=tiny_shards, weights=Path(config.backbone), folder=tmp_path)
    pulses = []

    fit.train(job, resume=None, report=lambda figures: None, pulse=pulses.append)

    steps = -(-tiny_shards["train"].photos // config.batch)
    assert sorted(pulse["step"] for pulse in pulses) == list(range(steps + 1))
    first, *_, last = sorted(pulses, key=lambda pulse: pulse["step"])
    assert describe_step(first) == f"epoch 1 (head, 1 at most): begins, {steps} steps"
    assert describe_step(last).startswith(f"epoch 1 (head, 1 at most): step {steps} of {steps}, loss ")
    assert last["photos_per_s"] > 0


@pytest.mark.parametrize("setting", ["finetune_learning_rate", "warm_learning_rate"])
def test_a_training_that_has_diverged_names_the_setting_that_decides(own_config, tiny_shards, tmp_path, setting):
    epochs = {"head_epochs": 0, "finetune_epochs": 1, "warm_epochs": 1}
    config = own_config.model_copy(update={**epochs, setting: 1e30, "schedule": "plateau"})
    warm = None
    if setting.startswith("warm"):
        keras.utils.set_random_seed(1)
        model.build(config, classes=2, weights=Path(config.backbone)).save(tmp_path / "earlier.keras")
        warm = Warm(tmp_path / "earlier.keras", list(CLASSES), {name: [name] for name in CLASSES})
    job = fit.Job(config, CLASSES, tiny_shards, Path(config.backbone), tmp_path, warm)

    with pytest.raises(InputError, match=f"diverged in epoch 1; lower the setting `{setting}`"):
        fit.train(job, resume=None, report=lambda figures: None, pulse=lambda figures: None)
