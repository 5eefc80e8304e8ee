"""Fit a model to shards: the head first, then everything, keeping the best epoch."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from carpipe.config import ClassifierConfig, TrainingConfig
from carpipe.errors import InputError
from carpipe.training import data, model

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """The best epoch's model as a `.keras` file, and the history of all epochs."""

    file: Path
    history: list[dict[str, float]]


def train(
    shards: Mapping[str, Sequence[Path]],
    *,
    classes: Sequence[str],
    config: TrainingConfig,
    weights: Path | None,
    folder: Path,
) -> Trained:
    """Train on the `train` shards, choose the best epoch on `val`.

    Args:
        shards: TFRecord files by split.
        classes: class names in the order of the output.
        weights: local backbone weights, or None.
        folder: where the model file may be written.

    Raises:
        InputError: a split is empty.
    """
    for name in ("train", "val"):
        if not shards.get(name):
            raise InputError(f"There are no {name} photos to train on; the dataset needs more vehicles.")
    keras.utils.set_random_seed(config.seed)
    if isinstance(config, ClassifierConfig) and config.mixed_precision == "auto" and _has_gpu():
        keras.mixed_precision.set_global_policy("mixed_float16")
    network = model.build(config, classes=len(classes), weights=weights)
    options = {"side": config.image_size, "batch": config.batch}
    sets = (
        data.read_shards(shards["train"], classes, shuffle_seed=config.seed, **options),
        data.read_shards(shards["val"], classes, **options),
    )
    best = folder / "model.keras"
    keep_best = keras.callbacks.ModelCheckpoint(str(best), monitor="val_loss", save_best_only=True)
    pretrained = config.weights != "none"
    history: list[dict[str, float]] = []
    if config.head_epochs:
        model.freeze_backbone(network, frozen=True, frozen_batch_norm=True)
        history += _phase(
            network,
            sets,
            config,
            config.head_epochs,
            config.head_learning_rate,
            keep_best,
            "head",
            len(history),
        )
    if config.finetune_epochs:
        model.freeze_backbone(network, frozen=False, frozen_batch_norm=pretrained)
        history += _phase(
            network,
            sets,
            config,
            config.finetune_epochs,
            config.finetune_learning_rate,
            keep_best,
            "finetune",
            len(history),
        )
    return Trained(_without_optimizer(best), history)


class _Progress(keras.callbacks.Callback):  # type: ignore[misc]  # keras is untyped
    """One log line per epoch."""

    def __init__(self, phase: str, epochs: int):
        super().__init__()
        self._phase, self._epochs = phase, epochs

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        figures = ", ".join(f"{name} {value:.4g}" for name, value in (logs or {}).items())
        log.info("%s epoch %d of %d: %s", self._phase, epoch + 1, self._epochs, figures)


def _phase(
    network: Any,
    sets: tuple[Any, Any],
    config: TrainingConfig,
    epochs: int,
    rate: float,
    keep_best: Any,
    phase: str,
    done: int,
) -> list[dict[str, float]]:
    network.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
    )
    callbacks = [
        keep_best,
        keras.callbacks.ReduceLROnPlateau("val_loss", factor=config.plateau_factor, patience=config.plateau_patience),
        keras.callbacks.EarlyStopping("val_loss", patience=config.stop_patience),
        _Progress(phase, epochs),
    ]
    logs = network.fit(
        sets[0], validation_data=sets[1], epochs=epochs, callbacks=callbacks, shuffle=False, verbose=0
    ).history
    rows = zip(*logs.values(), strict=True)
    return [
        {
            "epoch": done + number,
            "finetune": float(phase == "finetune"),
            **dict(zip(logs, map(float, row), strict=True)),
        }
        for number, row in enumerate(rows, start=1)
    ]


def _without_optimizer(path: Path) -> Path:
    """Weights for others need no optimizer state: a third of the bytes."""
    keras.models.load_model(path, compile=False).save(path, include_optimizer=False)
    return path


def _has_gpu() -> bool:
    from tensorflow.config import list_physical_devices

    return bool(list_physical_devices("GPU"))
