"""What a training says of itself while it runs."""

import pytest

from carpipe.steps.models.train_process import describe_step
from carpipe.training import fit
from tests.training.conftest import CLASSES

pytestmark = pytest.mark.slow


def test_an_epoch_tells_how_far_it_is(tiny_config, tiny_shards, tmp_path, monkeypatch):
    monkeypatch.setattr(fit, "PULSE_S", -60)  # at every step, also where Keras' threads overtake each other
    config = tiny_config.model_copy(update={"head_epochs": 1, "finetune_epochs": 0})
    job = fit.Job(config=config, classes=CLASSES, shards=tiny_shards, weights=None, folder=tmp_path)
    pulses = []

    fit.train(job, resume=None, report=lambda figures: None, pulse=pulses.append)

    steps = -(-tiny_shards["train"].photos // config.batch)
    assert sorted(pulse["step"] for pulse in pulses) == list(range(steps + 1))
    first, *_, last = sorted(pulses, key=lambda pulse: pulse["step"])
    assert describe_step(first) == f"epoch 1 (head, 1 at most): begins, {steps} steps"
    assert describe_step(last).startswith(f"epoch 1 (head, 1 at most): step {steps} of {steps}, loss ")
    assert last["photos_per_s"] > 0
