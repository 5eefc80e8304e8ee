"""All there is to a training, as one file: what it takes to go on as if nothing had happened."""

import json
import math
import shutil
import tarfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras

from carpipe import forms
from carpipe.errors import InputError, UnavailableError
from carpipe.machine import looking_at
from carpipe.names import brief

FILE = "checkpoint.tar"
# Raise it when a checkpoint of before cannot be gone on from.
VERSION = 1
_LAST, _BEST, _PROGRESS = "last.keras", "model.keras", "progress.json"
# What Keras' callbacks remember from epoch to epoch.
_PLATEAU, _PATIENCE = ("best", "wait", "cooldown_counter"), ("best", "wait")


@dataclass
class Progress:
    """How far a training has come.

    Attributes:
        phase: index of the phase to go on with.
        epoch: epochs done in that phase.
        best: lowest validation loss so far.
        history: figures of every epoch of all phases.
        plateau, patience: what the callbacks remember.
        seeds: states of the network's random generators, which Keras leaves out of its files.
    """

    phase: int = 0
    epoch: int = 0
    best: float = math.inf
    history: list[dict[str, Any]] = field(default_factory=list)
    plateau: dict[str, Any] = field(default_factory=dict)
    patience: dict[str, Any] = field(default_factory=dict)
    seeds: list[list[int]] = field(default_factory=list)

    def advance(self, figures: dict[str, Any], *, plateau: Any, patience: Any, last: bool) -> None:
        """Take in one more epoch; `last` ends its phase."""
        self.history.append(figures)
        if last:
            self.phase, self.epoch, self.plateau, self.patience = self.phase + 1, 0, {}, {}
            return
        self.epoch += 1
        self.plateau = {name: _plain(getattr(plateau, name)) for name in _PLATEAU}
        self.patience = {name: _plain(getattr(patience, name)) for name in _PATIENCE}

    def restore(self, *, plateau: Any, patience: Any) -> None:
        """Give the callbacks their memory back."""
        for callback, memory in ((plateau, self.plateau), (patience, self.patience)):
            for name, value in memory.items():
                setattr(callback, name, value)


def save(network: Any, progress: Progress, folder: Path, *, is_best: bool) -> None:
    """Write `checkpoint.tar` with the network, its optimizer, the best model and the progress; atomic.

    Args:
        is_best: the network is the best model so far; else that is in the folder already.
    """
    progress.seeds = [[int(part) for part in state.numpy()] for state in _generators(network)]
    network.save(folder / _LAST)
    if is_best:
        shutil.copyfile(folder / _LAST, folder / _BEST)
    (folder / _PROGRESS).write_text(json.dumps({"version": VERSION, **asdict(progress)}), encoding="utf-8")
    part = folder / f"{FILE}.part"
    with tarfile.open(part, "w") as archive:
        for name in (_LAST, _BEST, _PROGRESS):
            archive.add(folder / name, arcname=name)
    part.replace(folder / FILE)


def load(path: Path, folder: Path) -> tuple[Any, Progress]:
    """The compiled network and the progress of a checkpoint; its best model goes into the folder.

    Raises:
        InputError: it is no checkpoint of this version.
        UnavailableError: memory or room on the disk are missing, which says nothing of the checkpoint.
    """
    try:
        with looking_at("The checkpoint", path):
            return _read(path, folder)
    except UnavailableError:
        raise
    except Exception as error:  # it comes from the bucket, and tarfile, h5py and Keras raise all sorts
        raise InputError(f"{path.name} cannot be gone on from: {brief(str(error), max_characters=300)}.") from error


def _read(path: Path, folder: Path) -> tuple[Any, Progress]:
    _unpack(path, folder)
    progress = forms.read_object(
        (folder / _PROGRESS).read_bytes(), key=path.name, what="a checkpoint", figures=(forms.ALL,)
    )
    if progress.pop("version") != VERSION:
        raise ValueError("another version wrote it")
    network, done = keras.models.load_model(folder / _LAST, safe_mode=True), Progress(**progress)
    for state, value in zip(_generators(network), done.seeds, strict=True):
        state.assign(value)
    return network, done


def _unpack(path: Path, folder: Path) -> None:
    """Take out the three files by their names, and nothing else: neither links nor folders, whatever is in there."""
    with tarfile.open(path, "r:") as archive:  # as `save` writes it: compressed, some MB can be GBs of names
        for name in (_LAST, _BEST, _PROGRESS):
            member = archive.getmember(name)
            source = archive.extractfile(member) if member.isreg() and member.size < path.stat().st_size else None
            if source is None:
                raise ValueError(f"{name} is no plain file in it")
            with source, (folder / name).open("wb") as target:
                shutil.copyfileobj(source, target)


def _generators(network: Any) -> list[Any]:
    return [variable for variable in network.variables if variable.path.endswith("seed_generator_state")]


def _plain(value: Any) -> Any:
    return float(value) if hasattr(value, "dtype") else value
