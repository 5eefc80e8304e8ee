"""Fit a model to shards: the head first, then everything, keeping the best epoch.

After every epoch all there is to a training (network, optimizer, learning rate, patience, history) is one file. A
training that goes on from it ends as it would have without the interruption.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import keras

from carpipe.config import ClassifierConfig, TrainingConfig
from carpipe.errors import InputError
from carpipe.training import checkpoint, data, model, warm
from carpipe.training.checkpoint import Progress
from carpipe.training.data import Shards
from carpipe.training.warm import Warm

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """What to train, on local files.

    Attributes:
        classes: photos to train on by class name, in the order of the output.
        shards: by split, `train` and `val`.
        weights: the backbone's weights, or the backbone itself where it is a file; None where the configuration says
            `imagenet` or `none`.
        folder: where files may be written: `model.keras` (the best epoch), `checkpoint.tar`, `tensorboard/`.
        warm: an earlier model to start from; None: start cold.
    """

    config: TrainingConfig
    classes: Mapping[str, int]
    shards: Mapping[str, Shards]
    weights: Path | None
    folder: Path
    warm: Warm | None = None

    @property
    def best(self) -> Path:
        return self.folder / "model.keras"


class Phase(NamedTuple):
    """A part of the training, with a learning rate and an optimizer of its own.

    `setting` is where the learning rate comes from. `cosine`: the rate rises and falls with the steps, and all epochs
    are run; else it falls on a plateau.
    """

    name: str
    epochs: int
    learning_rate: float
    setting: str
    cosine: bool = False


# Called with figures: after every epoch, when the checkpoint is written; and within one, about every minute.
Report = Callable[[dict[str, Any]], None]
PULSE_S = 60.0
# A prime: no two seeds that anybody tries meet in a chain.
CHAIN = 1_000_003


def train(job: Job, *, resume: Path | None, report: Report, pulse: Report) -> list[dict[str, Any]]:
    """Train on the `train` shards, choose the best epoch on `val`; writes `model.keras`, returns the history.

    Args:
        resume: a checkpoint of the same job to go on from; one that another version wrote is of no use, and left.
        report: told of every epoch.
        pulse: told how far an epoch is, when it begins and every minute or so.

    Raises:
        InputError: a split is empty, or the loss is not a number any more.
    """
    for name in ("train", "val"):
        if name not in job.shards or not job.shards[name].photos:
            raise InputError(f"There are no {name} photos to train on; the dataset needs more vehicles.")
    job = with_own_draws(job)
    _set_up(job.config)
    network, progress = _resumed(resume, job) if resume else _started(job)
    training = _Training(job, network, progress, report=report, pulse=pulse)
    for number, phase in enumerate(phases(job.config, is_warm=job.warm is not None)):
        if progress.phase == number:
            training.run(phase)
    _strip_optimizer(job.best)
    return progress.history


def with_own_draws(job: Job) -> Job:
    """The job with the seed that it draws by: the configured one or, in a chain of warm trainings, one of its place.

    Else each night would draw the orders and the noise of the night before.
    """
    if job.warm is None:
        return job
    seed = (job.config.seed + CHAIN * job.warm.chain) % 2**31
    return replace(job, config=job.config.model_copy(update={"seed": seed}))


def _started(job: Job) -> tuple[Any, Progress]:
    network = model.build(job.config, classes=len(job.classes), weights=job.weights)
    if job.warm:
        warm.start_from(network, job.warm, classes=list(job.classes), config=_warm_config(job.config))
    return network, Progress()


def _resumed(resume: Path, job: Job) -> tuple[Any, Progress]:
    try:
        return checkpoint.load(resume, job.folder)
    except InputError as error:
        log.warning("%s Starting anew.", error)
        return _started(job)


def phases(config: TrainingConfig, *, is_warm: bool = False) -> list[Phase]:
    """The phases that have epochs. A warm training has one: its head knows most classes already."""
    if is_warm:
        known = _warm_config(config)
        return [Phase("finetune", known.warm_epochs, known.warm_learning_rate, "warm_learning_rate", cosine=True)]
    cosine, rate = config.schedule == "cosine", config.finetune_learning_rate
    both = (
        Phase("head", config.head_epochs, config.head_learning_rate, "head_learning_rate"),
        Phase("finetune", config.finetune_epochs, rate, "finetune_learning_rate", cosine),
    )
    return [phase for phase in both if phase.epochs]


def _warm_config(config: TrainingConfig) -> ClassifierConfig:
    if not isinstance(config, ClassifierConfig):
        raise InputError(f"Only the classifier starts warm, not {config.channel}.")
    return config


class _Training:
    """One training in this process. Keras' own callbacks are driven by hand, so that they survive it."""

    def __init__(self, job: Job, network: Any, progress: Progress, *, report: Report, pulse: Report):
        self._job, self._network, self._progress = job, network, progress
        self._report, self._pulse = report, pulse
        self._resumed_at = len(progress.history) or None
        self._classes = list(job.classes)
        self._options = {
            "validation_data": data.evaluation_batches(job.shards["val"], self._classes, config=job.config),
            "class_weight": class_weights(list(job.classes.values()), job.config.max_class_weight),
            "shuffle": False,
            "verbose": 0,
        }

    def run(self, phase: Phase) -> None:
        progress, network = self._progress, self._network
        if progress.epoch == 0:
            _begin(network, phase, self._job)
        plateau, patience = _callbacks(self._job.config)
        callbacks = self._callbacks([] if phase.cosine else [plateau, patience])
        progress.restore(plateau=plateau, patience=patience)
        number = progress.phase
        while progress.phase == number:
            figures = self._epoch(phase)
            callbacks.on_epoch_end(figures["epoch"] - 1, figures)
            last = bool(network.stop_training) or progress.epoch + 1 == phase.epochs
            is_best = figures["val_loss"] < progress.best
            progress.best = min(progress.best, figures["val_loss"])
            progress.advance(figures, plateau=plateau, patience=patience, last=last)
            checkpoint.save(network, progress, self._job.folder, is_best=is_best)
            self._report({"phase": phase.name, "epochs": phase.epochs, "history": progress.history, **figures})
        callbacks.on_train_end()

    def _epoch(self, phase: Phase) -> dict[str, Any]:
        """Train for one epoch; what it came to."""
        number = len(self._progress.history)
        rate = float(self._network.optimizer.learning_rate)
        batches = data.training_batches(self._job.shards["train"], self._classes, config=self._job.config, epoch=number)
        pulse = _Pulse(self._pulse, epoch=number + 1, phase=phase, batch=self._job.config.batch)
        started = time.monotonic()
        logs = self._network.fit(batches, epochs=1, callbacks=[pulse], **self._options).history
        seconds = time.monotonic() - started
        figures = {name: float(values[-1]) for name, values in logs.items()}
        if not math.isfinite(figures["loss"] + figures["val_loss"]):
            raise InputError(f"Training has diverged in epoch {number + 1}; lower the setting `{phase.setting}`.")
        facts = {"epoch": number + 1, "finetune": float(phase.name == "finetune"), "learning_rate": rate}
        resumed = {"resumed": 1.0} if number == self._resumed_at else {}
        return {**facts, **resumed, **figures, "seconds": round(seconds, 1)}

    def _callbacks(self, schedule: list[Any]) -> Any:
        board = keras.callbacks.TensorBoard(str(self._job.folder / "tensorboard"), write_graph=False)
        callbacks = keras.callbacks.CallbackList([*schedule, board], model=self._network)
        callbacks.on_train_begin()
        return callbacks


class _Pulse(keras.callbacks.Callback):  # type: ignore[misc]  # keras has no types
    """Tells how far an epoch is: one of a night takes longer than anybody waits for a first line in the log."""

    # Keras need not wait for it after each step: it calls from several threads, in no certain order.
    async_safe = True

    def __init__(self, tell: Report, *, epoch: int, phase: Phase, batch: int):
        super().__init__()
        self._tell, self._batch = tell, batch
        self._facts = {"epoch": epoch, "phase": phase.name, "epochs": phase.epochs}
        self._started = self._told = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._started = self._told = time.monotonic()
        self._tell({**self._facts, "steps": self.params["steps"], "step": 0})

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        now, step = time.monotonic(), batch + 1
        if now < self._told + PULSE_S:
            return
        self._told = now
        pace = step * self._batch / (now - self._started)
        self._tell({**self._facts, "steps": self.params["steps"], "step": step, "photos_per_s": round(pace, 1), **logs})


def class_weights(counts: Sequence[int], limit: float) -> dict[int, float]:
    """Weight of each class in the loss: the mean class's photos by its own, from 1 to `limit`."""
    mean = sum(counts) / len(counts)
    return {number: min(limit, max(1.0, mean / max(photos, 1))) for number, photos in enumerate(counts)}


def _begin(network: Any, phase: Phase, job: Job) -> None:
    config = job.config
    head = phase.name == "head"
    frozen_batch_norm = config.weights != "none" and config.batch_norm == "frozen"
    model.freeze_backbone(network, frozen=head, frozen_batch_norm=head or frozen_batch_norm)
    if not head and not frozen_batch_norm:
        model.hasten_batch_norm(network, steps=_steps(phase, job))
    network.compile(
        optimizer=keras.optimizers.Adam(_rates(phase, job)),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        jit_compile=config.xla == "auto" and has_gpu() and not config.deterministic,
    )


def _rates(phase: Phase, job: Job) -> Any:
    """The learning rate, or how it changes from step to step (SGDR without restarts: Loshchilov and Hutter, 2017)."""
    if not phase.cosine:
        return phase.learning_rate
    steps = _steps(phase, job)
    warmup = round(steps * job.config.warmup)
    return keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else phase.learning_rate,
        decay_steps=steps - warmup,
        warmup_target=phase.learning_rate if warmup else None,
        warmup_steps=warmup,
    )


def _steps(phase: Phase, job: Job) -> int:
    return phase.epochs * math.ceil(job.shards["train"].photos / job.config.batch)


def _callbacks(config: TrainingConfig) -> tuple[Any, Any]:
    plateau = keras.callbacks.ReduceLROnPlateau(
        "val_loss", mode="min", factor=config.plateau_factor, patience=config.plateau_patience
    )
    return plateau, keras.callbacks.EarlyStopping("val_loss", mode="min", patience=config.stop_patience)


def _set_up(config: TrainingConfig) -> None:
    keras.utils.set_random_seed(config.seed)
    if config.deterministic:
        from tensorflow.config.experimental import enable_op_determinism

        enable_op_determinism()
    if config.mixed_precision == "auto" and has_gpu():
        keras.mixed_precision.set_global_policy("mixed_float16")


def _strip_optimizer(path: Path) -> None:
    """Weights for others need no optimizer state: a third of the bytes."""
    keras.models.load_model(path, compile=False).save(path, include_optimizer=False)


def has_gpu() -> bool:
    """Whether TensorFlow sees one."""
    from tensorflow.config import list_physical_devices

    return bool(list_physical_devices("GPU"))
