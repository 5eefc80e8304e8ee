"""The only module that knows ultralytics (AGPL-3.0): checkpoints on a GPU, `.tflite`, and conversion for OpenVINO.

It is told to stay offline: no downloads, no installs, no analytics, and checkpoints are unpickled in its safe mode.
What it is given to open has been looked at before (`files`).
"""

import contextlib
import importlib.metadata
import logging
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from carpipe.backports import file_sha256
from carpipe.config import CropConfig
from carpipe.errors import CarpipeError, InputError
from carpipe.machine import looking_at
from carpipe.no_telemetry import silence_openvino
from carpipe.pictures.detection.letterbox import letterbox, smallest_input
from carpipe.pictures.detection.outputs import Boxes
from carpipe.scratch import private_folder

log = logging.getLogger(__name__)

_CONVERTED = "detector_openvino_model"
_STRIDE = 32
# What a machine with a GPU has, whichever library would use it.
_GPU_DEVICES = (Path("/dev/nvidiactl"), Path("/dev/nvidia0"), Path("/dev/dxg"))


class UltralyticsNetwork:
    """A detector that ultralytics runs: a `.pt` on PyTorch, or a `.tflite`."""

    def __init__(self, file: Path, *, config: CropConfig):
        """Load the weights.

        Raises:
            InputError: it is no detector; the message is the part after "... detector: ".
        """
        self._config = config
        # Exported models have a batch of one; only checkpoints take any.
        self._one_by_one = file.suffix != ".pt"
        with _telling_what_is_wrong():
            self._model = import_ultralytics()(str(file), task="detect")
            self.on_gpu = not self._one_by_one and has_gpu()
            # The first call loads the weights and, unlike the constructor, finds out what is wrong with them.
            [result] = self._predict([np.zeros((64, 64, 3), np.uint8)])
        if result.boxes is None:
            raise InputError("it finds no boxes, so it is a model for another task than detection")
        self.names: Mapping[int, str] = self._model.names
        self._stride = _STRIDE if self._one_by_one else int(self._model.model.stride.max())

    def shape_of(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the network's input for a picture of (width, height)."""
        side = self._config.image_size
        # An exported network has an input of its own, which its metadata says: ultralytics pads as that wants.
        return (side, side) if self._one_by_one else smallest_input(size, side=side, stride=self._stride)

    def find(self, pictures: Sequence[Image.Image]) -> list[Boxes]:
        """What is in each RGB picture, boxes in its pixels. Pictures of one call have one shape of input."""
        # ultralytics wants arrays as OpenCV has them: BGR. Pictures of several sizes it would pad to a square, all.
        if self._one_by_one:
            return _boxes_of(self._predict([np.asarray(picture)[:, :, ::-1] for picture in pictures]))
        placed = [letterbox(picture, self.shape_of(picture.size)) for picture in pictures]
        found = _boxes_of(self._predict([pixels[:, :, ::-1] for pixels, _ in placed]))
        return [
            boxes._replace(corners=where.undo(boxes.corners, picture.size))
            for boxes, (_, where), picture in zip(found, placed, pictures, strict=True)
        ]

    def _predict(self, arrays: list[Any]) -> list[Any]:
        options: dict[str, Any] = {"imgsz": self._config.image_size, "conf": self._config.confidence, "verbose": False}
        # In half precision the boxes are the same: of 62 vehicles the least IoU was 0.997.
        options["half"] = self.on_gpu
        if self._one_by_one:
            return [self._model.predict(array, **options)[0] for array in arrays]
        return list(self._model.predict(arrays, **options))


def has_gpu() -> bool:
    """Whether PyTorch finds a GPU that it can use."""
    if not any(device.exists() for device in _GPU_DEVICES):
        return False
    try:
        import torch
    except ModuleNotFoundError:  # then nothing here can use it, and what a `.pt` takes is said where it is read
        return False
    return bool(torch.cuda.is_available())


def _boxes_of(results: Sequence[Any]) -> list[Boxes]:
    boxes = [result.boxes.cpu().numpy() for result in results]
    return [Boxes(one.xyxy, one.conf, one.cls.astype(np.int64)) for one in boxes]


def converted(checkpoint: Path, *, image_size: int) -> Path:
    """The .xml of the same network for OpenVINO, at any size of pictures; made once on this machine, and kept.

    Args:
        checkpoint: a `.pt`, taken by `files`.
        image_size: pixels of the longer side that it is looked at with while it is converted.

    Raises:
        InputError: ultralytics is not installed, or cannot use it; the message is the part after "... detector: ".
    """
    with checkpoint.open("rb") as content:
        weights = file_sha256(content)
    kept = private_folder("detectors") / f"{weights[:32]}-{'-'.join(_versions())}"
    if not _is_whole(kept):
        _convert(checkpoint, kept, image_size=image_size)
    return next(kept.glob("*.xml"))


def _is_whole(kept: Path) -> bool:
    """Whether all its files are there: what cleans up temporary files goes by their age."""
    return (kept / "metadata.yaml").exists() and all(any(kept.glob(f"*.{kind}")) for kind in ("xml", "bin"))


def _versions() -> tuple[str, ...]:
    try:
        return tuple(importlib.metadata.version(name) for name in ("ultralytics", "openvino"))
    except importlib.metadata.PackageNotFoundError:
        raise _not_installed() from None


def _convert(checkpoint: Path, kept: Path, *, image_size: int) -> None:
    log.info("converting %s for OpenVINO, once for this machine", checkpoint.name)
    with tempfile.TemporaryDirectory(prefix="making-", dir=kept.parent) as folder:
        copy = Path(folder) / "detector.pt"
        shutil.copyfile(checkpoint, copy)
        with _telling_what_is_wrong():
            model = import_ultralytics()(str(copy), task="detect")
            model.export(format="openvino", imgsz=image_size, dynamic=True, verbose=False)
        if kept.exists() and not _is_whole(kept):
            shutil.rmtree(kept, ignore_errors=True)
        try:
            (Path(folder) / _CONVERTED).rename(kept)
        except OSError:
            if not _is_whole(kept):  # else another process was faster, and what it made is the same
                raise


@contextlib.contextmanager
def _telling_what_is_wrong() -> Any:
    """Whatever its many loaders raise becomes an InputError; what the machine lacks does not."""
    try:
        with looking_at("The checkpoint"):
            yield
    except (OSError, CarpipeError):
        raise
    except Exception as error:
        raise InputError(f"{error}") from error


def import_ultralytics() -> Any:
    """The class YOLO of a library that neither installs nor downloads anything, nor writes to anybody's home folder.

    Raises:
        InputError: it is not installed; or somebody has loaded it before in a way that runs what is in checkpoints, and
            it cannot be mended.
    """
    os.environ.update({"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "ULTRALYTICS_SAFE_LOAD": "true"})
    os.environ.setdefault("YOLO_VERBOSE", "false")
    # It writes its settings somewhere; the home folder of whoever runs a task is not the place.
    if "YOLO_CONFIG_DIR" not in os.environ:
        os.environ["YOLO_CONFIG_DIR"] = str(private_folder("ultralytics"))
    Path(os.environ["YOLO_CONFIG_DIR"]).mkdir(parents=True, exist_ok=True)
    silence_openvino()
    try:
        from ultralytics import YOLO, settings
        from ultralytics.nn import tasks
        from ultralytics.utils import patches
    except ModuleNotFoundError as error:
        if error.name != "ultralytics":
            raise
        raise _not_installed() from None

    tasks.SAFE_LOAD = True  # where it was imported before, by others, the variable came too late
    if not tasks._SafeLoad.SUPPORTED:
        raise InputError("This PyTorch has no safe mode for checkpoints: install the version of requirements.lock.")
    # It puts its own in the place of this for the whole process, which fails otherwise where there is no picture. Back
    # to what it was by its own memory, whoever imported it first.
    Image.open = patches._image_open
    settings.update({"sync": False})
    return YOLO


def _not_installed() -> InputError:
    return InputError(
        "it takes ultralytics, which is not installed; install the extra `ultralytics` (AGPL-3.0), or give an .onnx "
        "file or an OpenVINO folder"
    )
