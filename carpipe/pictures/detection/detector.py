"""Finding the largest vehicle of a photo, whatever the detector is and whatever runs it."""

import contextlib
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from PIL import Image

from carpipe.config import CropConfig
from carpipe.errors import InputError
from carpipe.pictures.detection import files
from carpipe.pictures.detection.cut import Found, area
from carpipe.pictures.detection.outputs import Boxes


class NoDetectorError(InputError):
    """A file is none that can be used; the sentence names it."""


class Network(Protocol):
    """What finds things in pictures."""

    names: Mapping[int, str]
    on_gpu: bool

    def shape_of(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the network's input for a picture of (width, height)."""

    def find(self, pictures: Sequence[Image.Image]) -> list[Boxes]:
        """What is in each RGB picture, boxes in its pixels. Pictures of one call have one shape of input."""


class Detector:
    """A COCO-style detector behind one call: a .pt checkpoint, .tflite, .onnx or an OpenVINO folder."""

    def __init__(self, weights: Path, *, config: CropConfig):
        """Load the weights.

        Raises:
            InputError: the file is missing, is no detector, knows none of the wanted vehicles, or is of a kind that
                could run code of its own; the latter is found out before anything parses it.
        """
        folder = Path(tempfile.mkdtemp(prefix="carpipe-detector-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        with _naming(weights):
            self._network = _load(_take(weights, folder), config=config)
        names = self._network.names
        self._names = {number: name for number, name in names.items() if name in config.vehicles}
        if not self._names:
            raise InputError(
                f"{weights.name} knows none of {', '.join(config.vehicles)}; it knows {', '.join(names.values())}. "
                "Set crop.vehicles to names of its classes."
            )

    @property
    def on_gpu(self) -> bool:
        """Whether a GPU runs it, and not the processor that decodes photos."""
        return self._network.on_gpu

    def shape_of(self, size: tuple[int, int]) -> tuple[int, int]:
        """What pictures of one call have in common: the network's input (height, width) for one of (width, height)."""
        return self._network.shape_of(size)

    def largest(self, pictures: list[Image.Image]) -> list[Found | None]:
        """For each RGB picture, its largest vehicle or None. Pictures of one call have one `shape_of`.

        So what is found in a picture never depends on the others: each is padded as it is when it is alone.
        """
        return [self._largest(boxes) for boxes in self._network.find(pictures)]

    def _largest(self, boxes: Boxes) -> Found | None:
        found = [
            Found(box=[round(edge, 1) for edge in box], label=self._names[int(label)], score=round(float(score), 4))
            for box, score, label in zip(boxes.corners.tolist(), boxes.scores, boxes.classes, strict=True)
            if int(label) in self._names
        ]
        return max(found, key=lambda vehicle: area(vehicle.box), default=None)


@contextlib.contextmanager
def for_openvino(weights: Path, *, config: CropConfig) -> Iterator[Path]:
    """The .xml or .onnx file of a detector that OpenVINO can read, for as long as the block runs.

    Raises:
        InputError: as `Detector`, or it is a .tflite.
    """
    with tempfile.TemporaryDirectory(prefix="carpipe-detector-") as folder:
        with _naming(weights):
            file = _take(weights, Path(folder))
            if file.suffix == ".tflite":
                raise InputError("a .tflite is run by ultralytics alone")
            readable = _readable(file, config=config)
        yield readable


def _take(weights: Path, folder: Path) -> Path:
    if not weights.exists():
        raise NoDetectorError(f"There are no detector weights {weights}; set crop.weights to {files.TAKEN}.")
    try:
        return files.take(weights, folder)
    except InputError as error:
        raise NoDetectorError(str(error)) from error


@contextlib.contextmanager
def _naming(weights: Path) -> Iterator[None]:
    """What is wrong with it becomes a sentence that names it."""
    try:
        yield
    except NoDetectorError:
        raise
    except InputError as error:
        raise NoDetectorError(f"{weights.name} cannot be used as a detector: {str(error).rstrip('.')}.") from error


def _readable(file: Path, *, config: CropConfig) -> Path:
    if file.is_dir():
        return file / "detector.xml"
    if file.suffix == ".onnx":
        return file
    from carpipe.pictures.detection import ultralytics_runtime

    return ultralytics_runtime.converted(file, image_size=config.image_size)


def _load(file: Path, *, config: CropConfig) -> Network:
    from carpipe.pictures.detection.openvino_runtime import OpenVINONetwork

    if file.is_dir() or file.suffix == ".onnx":
        return OpenVINONetwork(_readable(file, config=config), config=config)
    from carpipe.pictures.detection import ultralytics_runtime

    if (
        file.suffix == ".tflite"
        or config.runtime == "torch"
        or (config.runtime == "auto" and ultralytics_runtime.has_gpu())
    ):
        return ultralytics_runtime.UltralyticsNetwork(file, config=config)
    return OpenVINONetwork(_readable(file, config=config), config=config)
