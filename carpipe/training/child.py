"""Training in a process of its own: `python -m carpipe.training.child <job.json>`.

It can be killed at any moment, also in the middle of a CUDA call, and gives back its GPU memory. Speaks to its parent
in lines of JSON on standard output; ends at once when the parent, which holds its standard input open, is gone.

| event | with |
| --- | --- |
| step | `epoch`, `step` of `steps`, and the figures so far |
| epoch | `checkpoint` (a file that is the parent's to move), the figures, and `history`: those of all epochs |
| done | `history` |
| error | `kind` (name of a class in carpipe.errors), `message` |
| crash | `message`: anything unforeseen, such as a GPU that is out of memory |
"""

import json
import logging
import os
import shutil
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from carpipe import config as settings
from carpipe.errors import CarpipeError, InputError

if TYPE_CHECKING:
    from carpipe.training.warm import Warm

SECTIONS: dict[str, type[settings.TrainingConfig]] = {
    "car_filter": settings.CarFilterConfig,
    "classifier": settings.ClassifierConfig,
}


def main(job_file: Path) -> int:
    """Run the job; returns the exit code."""
    events = _take_stdout()
    spec = json.loads(job_file.read_text(encoding="utf-8"))
    threading.Thread(target=_die_with_parent, args=(spec["scratch"],), daemon=True).start()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        _tell(events, event="done", history=_train(spec, events))
    except CarpipeError as error:
        _tell(events, event="error", kind=type(error).__name__, message=str(error))
        return 1
    except Exception as error:
        logging.exception("training crashed")
        _tell(events, event="crash", message=f"{type(error).__name__}: {error}")
        return 1
    return 0


def _train(spec: dict[str, Any], events: TextIO) -> list[dict[str, Any]]:
    from carpipe.training import checkpoint, fit
    from carpipe.training.data import Shards

    folder = Path(spec["folder"])
    if spec.get("only"):
        _thin_out(spec)
    job = fit.Job(
        config=SECTIONS[spec["section"]].model_validate(spec["config"]),
        classes=spec["classes"],
        shards={
            name: Shards([Path(path) for path in paths], photos) for name, (paths, photos) in spec["shards"].items()
        },
        weights=Path(spec["weights"]) if spec["weights"] else None,
        folder=folder,
        warm=_warm(spec.get("warm")),
    )

    def report(figures: dict[str, Any]) -> None:
        file = folder / f"checkpoint-{figures['epoch']:05d}.tar"
        (folder / checkpoint.FILE).replace(file)
        _tell(events, event="epoch", checkpoint=str(file), **figures)

    def pulse(figures: dict[str, Any]) -> None:
        _tell(events, event="step", **figures)

    return fit.train(job, resume=Path(spec["resume"]) if spec["resume"] else None, report=report, pulse=pulse)


def _thin_out(spec: dict[str, Any]) -> None:
    """Leave of the training photos those that the file `only` names."""
    from carpipe.training.data import thin_out

    paths, photos = spec["shards"]["train"]
    left = thin_out([Path(path) for path in paths], frozenset(json.loads(Path(spec["only"]).read_text("utf-8"))))
    if left != photos:
        raise InputError(f"The shards hold {left:,} of the {photos:,} photos to train on: they are not this dataset's.")


def _warm(spec: dict[str, Any] | None) -> "Warm | None":
    from carpipe.training.warm import Warm

    return Warm(Path(spec["model"]), spec["classes"], spec["parts"], spec["chain"]) if spec else None


def _take_stdout() -> TextIO:
    """Standard output for the events alone: what libraries print goes to standard error."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return events


def _tell(events: TextIO, **event: Any) -> None:
    events.write(json.dumps(event) + "\n")
    events.flush()


def _die_with_parent(scratch: list[str]) -> None:
    # Not through sys.stdin: its lock, held here, would abort the interpreter when training has ended.
    while os.read(0, 1024):
        pass
    for folder in scratch:  # the parent was killed and cannot
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
