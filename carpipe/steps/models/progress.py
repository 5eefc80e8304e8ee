"""How far a training is, for people who look while it runs: one small file, written anew after each epoch.

It lies by the id of the run that trains, so whoever knows the run has it by one request. It is scratch: nothing is made
of it, and who goes on from a checkpoint does not read it.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from carpipe import forms, manifest
from carpipe.errors import InputError, MissingError, StoreError
from carpipe.storage import Store

log = logging.getLogger(__name__)

HOME = "runs/train/progress"
# A thousand epochs have a quarter of it.
MAX_PROGRESS_BYTES = 2**20


@dataclass(frozen=True)
class TrainingProgress:
    """A training after an epoch.

    Attributes:
        prefix: where its checkpoints are.
        phase, epochs: the phase of the last epoch, and how many epochs that has at most.
        history: figures of every epoch of all phases, as `history.json` of a training has them.
    """

    prefix: str
    phase: str
    epochs: int
    history: list[dict[str, float]]
    unknown: dict[str, Any] = field(default_factory=dict)


def progress_key(section: str, run: str) -> str:
    """Where a run tells how far its training is.

    Args:
        section: of the configuration that is trained by.
    """
    return f"{HOME}/{manifest.digest([section, run])}.json"


def tell_progress(store: Store, key: str, *, prefix: str, event: Mapping[str, Any]) -> None:
    """Write it, in one put: readers see this epoch or the one before. Where the bucket is away, the next one does.

    Args:
        event: of an epoch, as `carpipe.training.child` tells it.
    """
    facts = {"prefix": prefix, **{name: event[name] for name in ("phase", "epochs", "history")}}
    try:
        store.put(key, json.dumps(facts).encode())
    except StoreError as error:
        log.warning("how far the training is was not told: %s", error)


def read_progress(store: Store, section: str, run: str) -> TrainingProgress | None:
    """How far the training of a run is; None before its first epoch, and where that cannot be read."""
    key = progress_key(section, run)
    try:
        data = store.get(key, max_bytes=MAX_PROGRESS_BYTES)
        return forms.read(TrainingProgress, data, key=key, what="the progress of a training", figures=("history",))
    except MissingError:
        return None
    except (InputError, StoreError) as error:
        log.info("how far the training of %s is cannot be told: %s", run, error)
        return None
