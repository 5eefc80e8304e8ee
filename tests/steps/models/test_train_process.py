"""Training that is killed goes on from its last epoch, and ends as if nothing had happened."""

import contextlib
import json
import shutil
import subprocess
import sys
import time

import keras
import numpy as np
import psutil
import pytest

from carpipe.config import ClassifierConfig
from carpipe.errors import CarpipeError, ConflictError, InputError, UnavailableError
from carpipe.steps.models.progress import progress_key, read_progress
from carpipe.steps.models.train_process import CHECKPOINT, TrainingRun, most_epochs, train_in_process
from carpipe.training import checkpoint
from tests.looking import Looking
from tests.training.conftest import CLASSES, own_backbone, own_config, tiny_shards

__all__ = ["own_backbone", "own_config", "tiny_shards"]
pytestmark = [pytest.mark.slow]
# At the training of `calm`.
LOOKING = Looking()


@pytest.fixture(scope="module")
def spec(tiny_shards, own_backbone):
    shards = {name: [[str(path) for path in found.paths], found.photos] for name, found in tiny_shards.items()}
    return {"classes": CLASSES, "shards": shards, "weights": str(own_backbone)}


def training_children(pid=None):
    return [child for child in psutil.Process(pid).children(recursive=True) if is_training(child)]


def is_training(process):
    with contextlib.suppress(psutil.NoSuchProcess):  # it may have ended since it was listed
        return "carpipe.training.child" in process.cmdline()
    return False


def figures(history):
    """What was learnt: neither how long it took nor where it was interrupted."""
    return [{name: value for name, value in epoch.items() if name not in ("seconds", "resumed")} for epoch in history]


class KillingRun(TrainingRun):
    """Kills the training process once an epoch is safe: by then it is at work on the next."""

    def __init__(self, *args, after):
        super().__init__(*args)
        self._after = after

    def keep(self, checkpoint):
        super().keep(checkpoint)
        if checkpoint.name.endswith(f"{self._after:05d}.tar"):
            training_children()[0].kill()


class RecordingRun(TrainingRun):
    """Remembers the checkpoints that it was given."""

    def keep(self, checkpoint):
        self.kept = [*getattr(self, "kept", []), checkpoint.name]
        super().keep(checkpoint)


@pytest.fixture(scope="module")
def calm(s3, spec, own_config, tmp_path_factory):
    """History and weights of a training that nobody disturbed."""
    folder = tmp_path_factory.mktemp("calm")
    told = progress_key("classifier", "calm")
    run = TrainingRun(open_store(s3), "runs/train/calm", progress=LOOKING, told_at=told)
    history = train_in_process(run, section="classifier", config=own_config, spec=spec, folder=folder)
    return history, weights_in(folder)


def test_who_looks_on_sees_its_epochs_go_by(calm, own_config):
    history, _ = calm
    seen = LOOKING.one("train, finetune")
    assert (seen.done, seen.total, seen.unit) == (len(history), most_epochs(own_config, warm=False), "epochs")


def test_a_warm_training_has_epochs_of_its_own():
    config = ClassifierConfig(head_epochs=2, finetune_epochs=28, warm_epochs=6)
    assert (most_epochs(config, warm=False), most_epochs(config, warm=True)) == (30, 6)


def open_store(s3):
    from carpipe.steps.session import open_session
    from tests.conftest import make_config

    return open_session(make_config(f"s3://{s3.bucket}/training")).store


def weights_in(folder):
    return keras.models.load_model(folder / "model.keras", compile=False).get_weights()


@pytest.mark.parametrize("after", [2, 5], ids=["head", "fine-tuning"])
def test_a_killed_training_ends_as_a_calm_one(s3, spec, own_config, calm, tmp_path, after):
    options = {"section": "classifier", "config": own_config, "spec": spec}
    prefix = f"runs/train/killed-after-{after}"
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    with pytest.raises(UnavailableError, match="ended with SIGKILL; trying again goes on from its last epoch"):
        train_in_process(KillingRun(open_store(s3), prefix, after=after), folder=tmp_path / "first", **options)
    assert training_children() == []

    run = RecordingRun(open_store(s3), prefix, told_at=progress_key("classifier", prefix))
    history = train_in_process(run, folder=tmp_path / "second", **options)

    assert figures(history) == figures(calm[0])
    told = read_progress(run.store, "classifier", prefix)
    assert told.history == history, "also what the killed process had learnt"
    assert [epoch["epoch"] for epoch in history if epoch.get("resumed")] == [after + 1]
    rest = [f"checkpoint-{number:05d}.tar" for number in range(after + 1, 8)]
    assert run.kept == rest, "the first epochs are the killed process's"
    for ours, theirs in zip(weights_in(tmp_path / "second"), calm[1], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_learning_rate_went_down_before_the_kill_and_after(calm):
    rates = [epoch["learning_rate"] for epoch in calm[0]]
    assert rates[0] == pytest.approx(0.3)
    assert rates[3] < rates[1] or rates[1] < rates[0], "else the test above says nothing of the plateau"


def test_fine_tuning_warms_up_and_then_goes_down_with_every_step(calm):
    rates = [epoch["learning_rate"] for epoch in calm[0] if epoch["finetune"]]
    assert rates[0] == 0 < rates[2] < rates[1]


def test_how_far_it_is_can_be_read_while_it_trains(s3, calm):
    told = read_progress(open_store(s3), "classifier", "calm")
    assert told.history == calm[0]
    assert (told.phase, told.prefix) == ("finetune", "runs/train/calm")


def test_logs_for_tensorboard_are_in_the_bucket(s3, calm):
    names = [info.key for info in open_store(s3).list_objects("runs/train/calm/tensorboard")]
    assert {"train", "validation"} <= {name.split("/")[4] for name in names}


def test_a_training_over_its_time_is_stopped(s3, spec, own_config, tmp_path):
    hasty = own_config.model_copy(update={"time_limit_h": 0.5 / 3600})
    run = TrainingRun(open_store(s3), "runs/train/hasty")

    with pytest.raises(CarpipeError, match=r"longer than time_limit_h = 0\.000138889 hours") as stopped:
        train_in_process(run, section="classifier", config=hasty, spec=spec, folder=tmp_path)

    assert not isinstance(stopped.value, UnavailableError), "a retry at once would not help"
    assert training_children() == []


def test_a_checkpoint_that_is_none_is_an_error_of_its_own(s3, tmp_path):
    run = TrainingRun(open_store(s3), "runs/train/spoilt")
    run.store.put(f"{run.prefix}/{CHECKPOINT}", b"oops")

    with pytest.raises(InputError, match="cannot be gone on from"):
        checkpoint.load(run.fetch_checkpoint(tmp_path), tmp_path)


def test_training_dies_with_its_task_and_leaves_nothing_on_the_disk(s3, spec, tmp_path):
    spec, scratch = copied(spec, tmp_path / "shards"), tmp_path / "scratch"
    scratch.mkdir()
    code = f"""
import json, sys
from pathlib import Path
from tests.conftest import make_config
from tests.training.conftest import OWN, TINY
from carpipe.steps.session import open_session
from carpipe.steps.models.train_process import TrainingRun, train_in_process
spec = json.loads(sys.argv[1])
settings = {{**TINY, **OWN, "classifier.backbone": spec["weights"]}}
session = open_session(make_config("s3://{s3.bucket}/training", **settings))
train_in_process(TrainingRun(session.store, "runs/train/orphan"), section="classifier",
                 config=session.config.classifier, spec=spec, folder=Path(sys.argv[2]))
"""
    with subprocess.Popen([sys.executable, "-c", code, json.dumps(spec), str(scratch)]) as task:
        try:
            child = wait_for(lambda: next(iter(training_children(task.pid)), None))
        finally:
            task.kill()
    wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    assert not scratch.exists()
    assert not (tmp_path / "shards").exists()


def copied(spec, folder):
    folder.mkdir()
    shards = {name: [[shutil.copy(path, folder) for path in paths], n] for name, (paths, n) in spec["shards"].items()}
    return {**spec, "shards": shards}


def test_a_checkpoint_of_another_attempt_is_not_overwritten(s3, tmp_path):
    ours, theirs = (TrainingRun(open_store(s3), "runs/train/two") for _ in range(2))
    for number in (0, 1):
        (tmp_path / f"{number}.tar").write_bytes(str(number).encode())
    ours.keep(tmp_path / "0.tar")
    theirs.fetch_checkpoint(tmp_path)
    theirs.keep(tmp_path / "1.tar")

    (tmp_path / "2.tar").write_bytes(b"late")
    with pytest.raises(ConflictError):
        ours.keep(tmp_path / "2.tar")

    assert theirs.fetch_checkpoint(tmp_path).read_bytes() == b"1"


def wait_for(condition, *, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s")
