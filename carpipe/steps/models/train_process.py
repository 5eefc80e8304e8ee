"""The training process as its step sees it: started, watched, its checkpoints brought to safety, killed in time."""

import contextlib
import json
import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carpipe import errors
from carpipe.config import ClassifierConfig, TrainingConfig
from carpipe.errors import CarpipeError, UnavailableError
from carpipe.figures import figure
from carpipe.progress import UNSEEN, Bar, Progress
from carpipe.steps.models.progress import tell_progress
from carpipe.storage import Store

log = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.tar"


@dataclass
class TrainingRun:
    """Where a training keeps its scratch: checkpoint and TensorBoard logs, `runs/train/<fingerprint>/`.

    `etag` is the checkpoint's that this attempt knows of: it never overwrites another attempt's. `progress` is who
    looks on, and `told_at` where it tells how far it is; empty: nowhere.
    """

    store: Store
    prefix: str
    etag: str = ""
    progress: Progress = UNSEEN
    told_at: str = ""

    def fetch_checkpoint(self, folder: Path) -> Path | None:
        """The last checkpoint as a local file, or None where there is none."""
        key = f"{self.prefix}/{CHECKPOINT}"
        found = self.store.head(key)
        if found is None:
            return None
        self.etag = found.etag
        path = folder / f"resume-{CHECKPOINT}"
        path.write_bytes(self.store.get(key))
        return path

    def keep(self, checkpoint: Path) -> None:
        """Bring a checkpoint to the bucket, as one object: readers see this one or the one before.

        Where the bucket cannot be reached, training goes on, and the next epoch brings a newer one.

        Raises:
            ConflictError: another attempt has written one since: it is the one to go on.
        """
        key, data = f"{self.prefix}/{CHECKPOINT}", checkpoint.read_bytes()
        checkpoint.unlink()
        try:
            self.etag = self.store.replace(key, data, etag=self.etag) if self.etag else self.store.create(key, data)
        except UnavailableError as error:
            log.warning("the checkpoint was not kept: %s", error)

    def keep_logs(self, folder: Path) -> None:
        """Bring TensorBoard's files to the bucket, if it can be reached."""
        try:
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                self.store.put(f"{self.prefix}/tensorboard/{path.relative_to(folder).as_posix()}", path.read_bytes())
        except UnavailableError as error:
            log.warning("TensorBoard's logs were not kept: %s", error)

    def forget_checkpoint(self) -> None:
        """The training is committed; nobody will go on from it."""
        self.store.delete([f"{self.prefix}/{CHECKPOINT}"])


def train_in_process(
    run: TrainingRun, *, section: str, config: TrainingConfig, spec: Mapping[str, Any], folder: Path
) -> list[dict[str, Any]]:
    """Train in a child process from the last checkpoint on; returns the history, `model.keras` is in the folder.

    Args:
        section: of the configuration, `car_filter` or `classifier`.
        spec: `classes`, `shards`, `weights` and `warm` as `carpipe.training.child` wants them; `only`, where it is
            there, is a JSON file with the keys of the photos to train on.

    Raises:
        UnavailableError: the process was killed or crashed; another attempt goes on from its last checkpoint.
        CarpipeError: it ran longer than `time_limit_h`, or what it raised itself.
    """
    resume = run.fetch_checkpoint(folder)
    if resume:
        log.info("train: going on from the checkpoint in %s", run.prefix)
    job = {"section": section, "config": config.model_dump(), "resume": str(resume or ""), **spec}
    with _child(_write_job(job, folder), limit_s=config.time_limit_h * 3600) as (child, timed_out):
        with run.progress.bar(
            f"train {section}", total=most_epochs(config, warm=bool(spec.get("warm"))), unit="epochs"
        ) as bar:
            history = _follow(child, run, folder, bar)
        code = child.wait()
    if history is not None:
        return history
    if timed_out.is_set():
        raise CarpipeError(
            f"Training took longer than time_limit_h = {config.time_limit_h:g} hours and was stopped. "
            "Run it again to go on from its last epoch, or raise the limit."
        )
    raise UnavailableError(f"The training process ended with {_name(code)}; trying again goes on from its last epoch.")


def _write_job(job: Mapping[str, Any], folder: Path) -> Path:
    """What the child is told, with the folders that it may write to, as a file in the first of them."""
    scratch = {str(folder), *(str(Path(path).parent) for paths, _ in job["shards"].values() for path in paths)}
    path = folder / "job.json"
    path.write_text(json.dumps({**job, "folder": str(folder), "scratch": sorted(scratch)}), encoding="utf-8")
    return path


@contextlib.contextmanager
def _child(job_file: Path, *, limit_s: float) -> Iterator[tuple["subprocess.Popen[str]", threading.Event]]:
    """The process; it is gone when the block ends, however that ends. Its standard input is held open meanwhile."""
    command = [sys.executable, "-m", "carpipe.training.child", str(job_file)]
    timed_out = threading.Event()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:

        def stop() -> None:
            timed_out.set()
            child.kill()

        timer = threading.Timer(limit_s, stop)
        timer.daemon = True
        timer.start()
        try:
            yield child, timed_out
        finally:
            timer.cancel()
            child.kill()


def most_epochs(config: TrainingConfig, *, warm: bool) -> int:
    """Epochs of all phases; on a plateau a phase may end before."""
    if warm and isinstance(config, ClassifierConfig):
        return config.warm_epochs
    return config.head_epochs + config.finetune_epochs


def _follow(child: "subprocess.Popen[str]", run: TrainingRun, folder: Path, bar: Bar) -> list[dict[str, Any]] | None:
    """Listen until the process ends; returns the history if it ended well."""
    history = None
    for line in child.stdout or ():
        if not line.endswith("\n"):
            break  # killed in the middle of it
        event = json.loads(line)
        if event["event"] == "step":
            log.info("%s", describe_step(event))
            bar.at(event["epoch"] - 1 + event["step"] / (event["steps"] or 1), what=f"train, {event['phase']}")
        elif event["event"] == "epoch":
            log.info("%s", describe_epoch(event))
            bar.at(event["epoch"])
            run.keep(Path(event["checkpoint"]))
            run.keep_logs(folder / "tensorboard")
            if run.told_at:
                tell_progress(run.store, run.told_at, prefix=run.prefix, event=event)
        elif event["event"] == "error":
            raise getattr(errors, event["kind"])(event["message"])
        elif event["event"] == "crash":
            raise UnavailableError(f"Training crashed: {event['message']}; trying again goes on from its last epoch.")
        else:
            history = event["history"]
    return history


def describe_epoch(event: Mapping[str, Any]) -> str:
    """One line for the log."""
    figures = ", ".join(f"{name} {figure(event[name])}" for name in ("loss", "accuracy", "val_loss", "val_accuracy"))
    took = f"learning rate {event['learning_rate']:.2g}, {event['seconds']:.0f} s"
    return f"epoch {event['epoch']} ({event['phase']}, {event['epochs']} at most): {figures}, {took}"


def describe_step(event: Mapping[str, Any]) -> str:
    """One line for the log, from within an epoch."""
    place = f"epoch {event['epoch']} ({event['phase']}, {event['epochs']} at most)"
    if not event["step"]:
        return f"{place}: begins, {event['steps']} steps"
    figures = ", ".join(f"{name} {figure(event[name])}" for name in ("loss", "accuracy"))
    return f"{place}: step {event['step']} of {event['steps']}, {figures}, {event['photos_per_s']:,.0f} photos/s"


def _name(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
