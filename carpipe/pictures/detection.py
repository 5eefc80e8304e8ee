"""Finding the largest vehicle of a photo and cutting it out, for the pipeline and for those who serve its weights.

The only module that knows ultralytics (AGPL-3.0). It is told to stay offline: no downloads, no
installs, no analytics, and checkpoints are unpickled in its safe mode. What it is given to open
has been looked at before (`detector_files`).
"""

import os
import shutil
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from carpipe.config import CropConfig
from carpipe.errors import InputError
from carpipe.no_telemetry import silence_openvino
from carpipe.pictures import detector_files, encode, onnx_file
from carpipe.scratch import private_folder

# ultralytics replaces it for the whole process by one that looks for more decoders. Remembered here and not when that
# is imported: threads that load detectors at the same time would take the replacement for the original.
_PIL_OPEN = Image.open


@dataclass(frozen=True)
class Found:
    """A vehicle in a photo: box x0 y0 x1 y1 in pixels, name of its class, confidence."""

    box: list[float]
    label: str
    score: float


class Detector:
    """A COCO-style detector behind one call: a .pt checkpoint, .tflite, .onnx or an OpenVINO folder."""

    def __init__(self, weights: Path, *, config: CropConfig):
        """Load the weights.

        Raises:
            InputError: the file is missing, is no detector, knows none of the wanted vehicles, or is of a kind that
                could run code of its own; the latter is found out before anything parses it.
        """
        if not weights.exists():
            raise InputError(f"There are no detector weights {weights}; set crop.weights to {detector_files.TAKEN}.")
        self._config = config
        folder = Path(tempfile.mkdtemp(prefix="carpipe-detector-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        file = detector_files.take(weights, folder)
        # Exported models have a batch of one; only checkpoints take any.
        self._fixed_batch = file.suffix != ".pt"
        yolo = import_ultralytics()
        try:
            self._model = yolo(str(_from_onnx(file) if file.suffix == ".onnx" else file), task="detect")
            # The first call loads the weights and, unlike the constructor, finds out what is wrong with them.
            [result] = self._predict([np.zeros((64, 64, 3), np.uint8)])
        except (MemoryError, OSError):
            raise
        except Exception as error:  # whatever the many loaders raise
            if "out of memory" in str(error):
                raise
            raise InputError(f"ultralytics cannot use {weights.name} as a detector: {error}.") from error
        if result.boxes is None:
            raise InputError(f"{weights.name} finds no boxes: it is a model for another task than detection.")
        names: dict[int, str] = self._model.names
        self._names = {number: name for number, name in names.items() if name in config.vehicles}
        if not self._names:
            raise InputError(
                f"{weights.name} knows none of {', '.join(config.vehicles)}; it knows {', '.join(names.values())}. "
                "Set crop.vehicles to names of its classes."
            )

    def largest(self, pictures: list[Image.Image]) -> list[Found | None]:
        """For each RGB picture, its largest vehicle or None. Pictures of one call have one size."""
        # ultralytics wants arrays as OpenCV has them: BGR.
        results = self._predict([np.asarray(picture)[:, :, ::-1] for picture in pictures])
        return [self._largest(result.boxes) for result in results]

    def _predict(self, arrays: list[Any]) -> list[Any]:
        options = {"imgsz": self._config.image_size, "conf": self._config.confidence, "verbose": False}
        if self._fixed_batch:
            return [self._model.predict(array, **options)[0] for array in arrays]
        return list(self._model.predict(arrays, **options))

    def _largest(self, boxes: Any) -> Found | None:
        found = [
            Found(box=[round(edge, 1) for edge in box], label=self._names[int(label)], score=round(score, 4))
            for box, label, score in zip(boxes.xyxy.tolist(), boxes.cls.tolist(), boxes.conf.tolist(), strict=True)
            if int(label) in self._names
        ]
        return max(found, key=lambda vehicle: _area(vehicle.box), default=None)


def crop_photo(image: Image.Image, vehicle: Found | None, *, config: CropConfig) -> tuple[dict[str, Any], bytes | None]:
    """Columns of the photo table, and the crop as JPEG or None where there is a reason to drop."""
    if vehicle is None:
        return {"reason": "no_vehicle"}, None
    row = {"box": vehicle.box, "box_label": vehicle.label, "box_score": vehicle.score}
    if _area(vehicle.box) < config.min_box_share * image.width * image.height:
        return {**row, "reason": "box_too_small"}, None
    cut = encode.fit(image.crop(_with_margin(vehicle.box, image.size, config.margin)), config.crop_side)
    return {**row, "crop_width": cut.width, "crop_height": cut.height}, encode.encode_jpeg(
        cut, quality=config.crop_quality
    )


def in_full_size(box: list[float], seen: tuple[int, int], size: tuple[int, int]) -> list[float]:
    """A box in pixels of the whole picture, where a smaller one was seen; sizes are (width, height)."""
    if seen == size:
        return box
    across, down = size[0] / seen[0], size[1] / seen[1]
    return [round(edge * scale, 1) for edge, scale in zip(box, (across, down, across, down), strict=True)]


def _with_margin(box: list[float], size: tuple[int, int], margin: float) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = box
    dx, dy = margin * (x1 - x0), margin * (y1 - y0)
    left, top = max(0, int(x0 - dx)), max(0, int(y0 - dy))
    return left, top, max(left + 1, min(size[0], round(x1 + dx))), max(top + 1, min(size[1], round(y1 + dy)))


def _area(box: list[float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _from_onnx(file: Path) -> Path:
    """The same model as an OpenVINO folder: what would run .onnx itself (onnxruntime) is not among our packages."""
    import openvino
    import yaml

    folder = file.with_name("detector_openvino_model")
    folder.mkdir()
    openvino.save_model(openvino.Core().read_model(file), folder / "detector.xml", compress_to_fp16=False)
    (folder / "metadata.yaml").write_text(yaml.safe_dump(onnx_file.read_metadata(file)), encoding="utf-8")
    return folder


def import_ultralytics() -> Any:
    """The class YOLO of a library that neither installs nor downloads anything, nor writes to anybody's home folder.

    Raises:
        InputError: somebody has loaded it before in a way that runs what is in checkpoints, and it cannot be mended.
    """
    os.environ.update({"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "ULTRALYTICS_SAFE_LOAD": "true"})
    os.environ.setdefault("YOLO_VERBOSE", "false")
    # It writes its settings somewhere; the home folder of whoever runs a task is not the place.
    if "YOLO_CONFIG_DIR" not in os.environ:
        os.environ["YOLO_CONFIG_DIR"] = str(private_folder("ultralytics"))
    Path(os.environ["YOLO_CONFIG_DIR"]).mkdir(parents=True, exist_ok=True)
    silence_openvino()
    from ultralytics import YOLO, settings
    from ultralytics.nn import tasks

    tasks.SAFE_LOAD = True  # where it was imported before, by others, the variable came too late
    if not tasks._SafeLoad.SUPPORTED:
        raise InputError("This PyTorch has no safe mode for checkpoints: install the version of requirements.lock.")
    Image.open = _PIL_OPEN
    settings.update({"sync": False})
    return YOLO
