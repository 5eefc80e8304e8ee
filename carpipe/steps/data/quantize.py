"""The detector that cuts a run's photos: the one that is set, or what was made of it in 8-bit numbers."""

import contextlib
import hashlib
import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from carpipe import manifest
from carpipe.errors import InputError
from carpipe.manifest import Manifest, Work
from carpipe.steps import given_weights
from carpipe.steps.session import Session

if TYPE_CHECKING:
    from PIL import Image

log = logging.getLogger(__name__)

_DETECTOR = "detector"


class Named(NamedTuple):
    """What fingerprints say of a detector: sha256, and the manifest key of what made it; empty: somebody gave it."""

    sha256: str
    made: str = ""


class Local(NamedTuple):
    """A detector on this machine: its file or folder, and its name. No path: it has yet to be made."""

    path: Path | None
    name: Named


@contextlib.contextmanager
def local_detector(session: Session, *, photos: "Callable[[], Iterator[Image.Image]] | None" = None) -> Iterator[Local]:
    """The detector of `crop.weights`, or with `crop.runtime = "int8"` what was made of it.

    Args:
        photos: what to make it with where nobody has yet; None: then it has no path.

    Raises:
        InputError: there are no weights; or in 8-bit numbers they find other vehicles, or too few photos tell.
    """
    with given_weights.local_weights(session.store, session.config.crop.weights) as (weights, sha256):
        if session.config.crop.runtime != "int8":
            yield Local(weights, Named(sha256))
            return
        work = quantize_work(session, sha256)
        done = manifest.find(session.store, work)
        if done is None and photos is not None:
            done = _quantize(session, work, weights, photos)
    if done is None:
        yield Local(None, Named(f"int8 of {sha256}"))
        return
    with tempfile.TemporaryDirectory(prefix="carpipe-weights-") as folder:
        path = Path(folder) / "detector_int8"
        yield Local(_fetch(session, done, path), Named(given_weights.sha256_of(path), done.key))


def quantize_work(session: Session, detector_sha256: str) -> Work:
    """What `quantize` does with a detector."""
    from carpipe.stages import quantize as stage

    config = session.config.crop
    settings = config.model_dump(include={"image_size", "vehicles", "confidence", "layout", "names", "pixels"})
    return Work(stage.STAGE, stage.VERSION, _DETECTOR, settings, (), weights={"detector": detector_sha256})


def _quantize(session: Session, work: Work, weights: Path, photos: "Callable[[], Iterator[Image.Image]]") -> Manifest:
    from carpipe.stages import quantize as stage

    started = time.monotonic()
    log.info("putting the detector into 8-bit numbers, once for these weights")
    made = stage.quantize(weights, photos, config=session.config.crop)
    found, same = made.agreement
    log.info("the same vehicle on %d of %d photos", same, found)
    return session.commit(
        work, made.files, counts={"in": found, "kept": same}, seconds=round(time.monotonic() - started, 1)
    )


def _fetch(session: Session, done: Manifest, path: Path) -> Path:
    from carpipe.pictures.detection.int8 import Agreement
    from carpipe.stages import quantize as stage

    with made_again_without(done.key):
        stage.check(Agreement(found=done.counts["in"], same=done.counts["kept"]))
    path.mkdir()
    for name in done.files:
        (path / name).write_bytes(manifest.read_file(session.store, done, name))
    return path


@contextlib.contextmanager
def made_again_without(key: str) -> Iterator[None]:
    """A refusal is kept, so it says how to get a network that is made of other photos."""
    try:
        yield
    except InputError as error:
        raise InputError(
            f"{error} To have it made again, of other photos, delete {key} and run the DAG again."
        ) from None


def drawn_first(keys: list[str]) -> list[str]:
    """Photo keys in an order that has nothing to do with their names, and is always the same."""
    return sorted(keys, key=lambda key: hashlib.sha256(key.encode()).digest())
