"""The detector that cuts a run's photos: the one that is set, or what was made of it in 8-bit numbers."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from carpipe import manifest
from carpipe.errors import InputError
from carpipe.manifest import Manifest, Work
from carpipe.steps import given_weights
from carpipe.steps.session import Session

_DETECTOR = "detector"


class DetectorId(NamedTuple):
    """What fingerprints say of a detector: sha256, and the manifest key of what made it; empty: somebody gave it."""

    sha256: str
    made: str = ""


class LocalDetector(NamedTuple):
    """A detector on this machine: its file or folder. No path: it has yet to be made."""

    path: Path | None
    id: DetectorId

    @property
    def there(self) -> Path:
        """Its path. Raises InputError where it has yet to be made."""
        if self.path is None:
            raise InputError("There is no detector in 8-bit numbers for these weights yet; run the step `quantize`.")
        return self.path


@contextlib.contextmanager
def local_detector(session: Session) -> Iterator[LocalDetector]:
    """The detector of `crop.weights`, or with `crop.runtime = "int8"` what was made of it, if it was.

    Raises:
        InputError: there are no weights; or in 8-bit numbers they find other vehicles.
    """
    with given_weights.local_weights(session.store, session.config.crop.weights) as (weights, sha256):
        if session.config.crop.runtime != "int8":
            yield LocalDetector(weights, DetectorId(sha256))
            return
        done = manifest.find(session.store, quantize_detector_work(session, sha256))
    if done is None:
        yield LocalDetector(None, DetectorId(f"int8 of {sha256}"))
        return
    with tempfile.TemporaryDirectory(prefix="carpipe-weights-") as folder:
        path = Path(folder) / "detector_int8"
        yield LocalDetector(_fetch(session, done, path), DetectorId(given_weights.sha256_of(path), done.key))


def quantize_detector_work(session: Session, detector_sha256: str) -> Work:
    """What `quantize` does with a detector."""
    from carpipe.stages import quantize as stage

    config = session.config.crop
    settings = config.model_dump(include={"image_size", "vehicles", "confidence", "layout", "names", "pixels"})
    return Work(stage.STAGE, stage.VERSION, _DETECTOR, settings, (), weights={"detector": detector_sha256})


def _fetch(session: Session, done: Manifest, path: Path) -> Path:
    from carpipe.pictures.detection.int8 import Agreement
    from carpipe.stages import quantize as stage
    from carpipe.steps.results import place_in

    stage.check(Agreement(found=done.counts["in"], same=done.counts["kept"]), made=done.key)
    path.mkdir()
    for name in done.files:
        place_in(path, name).write_bytes(manifest.read_file(session.store, done, name))
    return path
