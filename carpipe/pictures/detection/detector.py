"""Finding the largest vehicle of a photo, whatever the detector is and whatever runs it."""

import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from PIL import Image

from carpipe.config import CropConfig
from carpipe.errors import InputError
from carpipe.pictures.detection import files
from carpipe.pictures.detection.cut import Found, area
from carpipe.pictures.detection.outputs import Boxes

# What a machine with a GPU has, whichever library would use it.
_GPU_DEVICES = (Path("/dev/nvidiactl"), Path("/dev/nvidia0"), Path("/dev/dxg"))


class Network(Protocol):
    """What finds things in pictures."""

    names: Mapping[int, str]

    def find(self, pictures: Sequence[Image.Image]) -> list[Boxes]:
        """What is in each RGB picture, boxes in its pixels. Pictures of one call have one size."""


class Detector:
    """A COCO-style detector behind one call: a .pt checkpoint, .tflite, .onnx or an OpenVINO folder."""

    def __init__(self, weights: Path, *, config: CropConfig):
        """Load the weights.

        Raises:
            InputError: the file is missing, is no detector, knows none of the wanted vehicles, or is of a kind that
                could run code of its own; the latter is found out before anything parses it.
        """
        if not weights.exists():
            raise InputError(f"There are no detector weights {weights}; set crop.weights to {files.TAKEN}.")
        folder = Path(tempfile.mkdtemp(prefix="carpipe-detector-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        file = files.take(weights, folder)
        try:
            self._network = _load(file, config=config)
        except InputError as error:
            raise InputError(f"{weights.name} cannot be used as a detector: {str(error).rstrip('.')}.") from error
        names = self._network.names
        self._names = {number: name for number, name in names.items() if name in config.vehicles}
        if not self._names:
            raise InputError(
                f"{weights.name} knows none of {', '.join(config.vehicles)}; it knows {', '.join(names.values())}. "
                "Set crop.vehicles to names of its classes."
            )

    def largest(self, pictures: list[Image.Image]) -> list[Found | None]:
        """For each RGB picture, its largest vehicle or None. Pictures of one call have one size."""
        return [self._largest(boxes) for boxes in self._network.find(pictures)]

    def _largest(self, boxes: Boxes) -> Found | None:
        found = [
            Found(box=[round(edge, 1) for edge in box], label=self._names[int(label)], score=round(float(score), 4))
            for box, score, label in zip(boxes.corners.tolist(), boxes.scores, boxes.classes, strict=True)
            if int(label) in self._names
        ]
        return max(found, key=lambda vehicle: area(vehicle.box), default=None)


def _load(file: Path, *, config: CropConfig) -> Network:
    from carpipe.pictures.detection.openvino_runtime import OpenVINONetwork

    if file.is_dir():
        return OpenVINONetwork(file / "detector.xml", config=config)
    if file.suffix == ".onnx":
        return OpenVINONetwork(file, config=config)
    from carpipe.pictures.detection import ultralytics_runtime

    if file.suffix == ".tflite" or config.runtime == "torch" or (config.runtime == "auto" and _has_gpu()):
        return ultralytics_runtime.UltralyticsNetwork(file, config=config)
    return OpenVINONetwork(ultralytics_runtime.converted(file, image_size=config.image_size), config=config)


def _has_gpu() -> bool:
    if not any(device.exists() for device in _GPU_DEVICES):
        return False
    import torch

    return bool(torch.cuda.is_available())
