"""What a training starts from: the weights of a named backbone, or a backbone that is a file of one's own."""

import contextlib
import shutil
from pathlib import Path
from typing import Any

from carpipe.config import TrainingConfig
from carpipe.errors import InputError
from carpipe.steps import given_weights
from carpipe.steps.session import Session


def backbone_weights(session: Session, config: TrainingConfig) -> Any:
    """Context of (local path or None, sha256 or name) of the weights, or of the file that is the whole backbone."""
    if config.own_backbone:
        return given_weights.local_weights(session.store, config.backbone)
    if config.weights in ("imagenet", "none"):
        # No file: the name says it all, and Keras checks the digest of what it downloads.
        return contextlib.nullcontext((None, config.weights))
    return given_weights.local_weights(session.store, config.weights)


def identified(config: TrainingConfig, sha256: str) -> TrainingConfig:
    """The settings with a backbone of one's own as what it holds, wherever it lies and whatever it is called."""
    return config.model_copy(update={"backbone": f"sha256:{sha256}"}) if config.own_backbone else config


def private_copy(config: TrainingConfig, weights: Path | None, folder: Path, *, sha256: str) -> Path | None:
    """Of a backbone of one's own: a copy that nobody else can change, so that what is loaded is what was named.

    Weights of named backbones are used where they lie.

    Raises:
        InputError: it is a folder, or has changed meanwhile.
    """
    if weights is None or not config.own_backbone:
        return weights
    if not weights.is_file():
        raise InputError(f"{weights} is a folder, expected a file as `model.save` of Keras 3 writes it.")
    copy = folder / "backbone" / weights.name
    copy.parent.mkdir()
    shutil.copyfile(weights, copy)
    if given_weights.sha256_of(copy) != sha256:
        raise InputError(f"{weights} was changed while it was read; run this again.")
    return copy
