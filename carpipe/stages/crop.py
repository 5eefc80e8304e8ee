"""Crop: find cars and trucks, cut out the largest.

The only module that knows ultralytics (AGPL-3.0). It is told to stay offline: no downloads, no
installs, no analytics, and checkpoints are unpickled in its safe mode.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from carpipe import images
from carpipe.config import CropConfig
from carpipe.errors import InputError

VERSION = 1
STAGE = "crop"

_COLUMNS = {
    "key": "str",
    "reason": "str",
    "box_label": "str",
    "box_score": "float64",
    "crop_width": "Int32",
    "crop_height": "Int32",
}


@dataclass(frozen=True)
class Found:
    """A vehicle in a photo: box x0 y0 x1 y1 in pixels, name of its class, confidence."""

    box: list[float]
    label: str
    score: float


class Detector:
    """A COCO-style detector behind one call. Opens whatever ultralytics opens: .pt, OpenVINO, .tflite."""

    def __init__(self, weights: Path, *, config: CropConfig):
        """Load the weights.

        Raises:
            InputError: the file is missing, is no detector, or knows none of the wanted vehicles.
        """
        if not weights.exists():
            raise InputError(
                f"There are no detector weights {weights}; set crop.weights to a file that ultralytics opens."
            )
        yolo = _import_ultralytics()
        self._config = config
        # Exported models have a batch of one; only checkpoints take any.
        self._fixed_batch = weights.suffix != ".pt"
        try:
            self._model = yolo(str(weights), task="detect")
            # The first call loads the weights and, unlike the constructor, finds out what is wrong with them.
            self._predict([np.zeros((64, 64, 3), np.uint8)])
        except (MemoryError, OSError):
            raise
        except Exception as error:  # whatever the many loaders raise
            if "out of memory" in str(error):
                raise
            raise InputError(f"ultralytics cannot use {weights.name} as a detector: {error}.") from error
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


def crop(
    photos: Iterable[tuple[str, bytes | None]],
    *,
    detector: Detector | None,
    config: CropConfig,
    max_pixels: int,
    max_damage: float = 0.0,
) -> tuple[pd.DataFrame, dict[str, bytes]]:
    """Find and cut out the largest vehicle of each photo.

    Args:
        photos: (photo key, bytes); None where the object has gone, which drops the photo as `missing`.
        detector: may be None when there are no photos.
        max_pixels, max_damage: as in cleaning, so that both stages see the same pictures.

    Returns:
        One row of results per photo, and the crops as JPEG by key.
    """
    rows: list[dict[str, Any]] = []
    crops: dict[str, bytes] = {}
    decoded = _decode(photos, rows, max_pixels=max_pixels, max_damage=max_damage)
    for batch in _batches(decoded, config.batch):
        found = detector.largest([image for _, image in batch]) if detector else []
        for (key, image), vehicle in zip(batch, found, strict=True):
            row, jpeg = crop_photo(image, vehicle, config=config)
            rows.append({"key": key, **row})
            if jpeg is not None:
                crops[key] = jpeg
    return as_results(rows), crops


def as_results(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The stage's columns, by photo key, with `reason` where a photo is dropped."""
    return pd.DataFrame(rows, columns=["box", *_COLUMNS]).astype(_COLUMNS)


def results_from(photos: pd.DataFrame, keys: "pd.Series[str]") -> pd.DataFrame:
    """The results that a committed photo table holds for those of `keys` that the stage looked at."""
    looked_at = photos[photos["key"].isin(keys) & (photos["dropped"].isna() | (photos["dropped_by"] == STAGE))]
    reason = looked_at["dropped"]
    return looked_at.assign(reason=reason)[["box", *_COLUMNS]].astype(_COLUMNS).reset_index(drop=True)


def crop_photo(image: Image.Image, vehicle: Found | None, *, config: CropConfig) -> tuple[dict[str, Any], bytes | None]:
    """Columns of the photo table, and the crop as JPEG or None where there is a reason to drop."""
    if vehicle is None:
        return {"reason": "no_vehicle"}, None
    row = {"box": vehicle.box, "box_label": vehicle.label, "box_score": vehicle.score}
    if _area(vehicle.box) < config.min_box_share * image.width * image.height:
        return {**row, "reason": "box_too_small"}, None
    cut = images.fit(image.crop(_with_margin(vehicle.box, image.size, config.margin)), config.crop_side)
    return {**row, "crop_width": cut.width, "crop_height": cut.height}, images.encode_jpeg(
        cut, quality=config.crop_quality
    )


def _decode(
    photos: Iterable[tuple[str, bytes | None]], rows: list[dict[str, Any]], *, max_pixels: int, max_damage: float
) -> Iterator[tuple[str, Image.Image]]:
    for key, data in photos:
        if data is None:
            rows.append({"key": key, "reason": "missing"})
            continue
        try:
            yield key, images.decode(data, max_pixels=max_pixels, max_damage=max_damage)[0]
        except images.PhotoError as error:
            rows.append({"key": key, "reason": error.reason})


def _batches(pictures: Iterable[tuple[str, Image.Image]], size: int) -> Iterator[list[tuple[str, Image.Image]]]:
    """Batches of equally large pictures: they are padded the same alone and together, so a box never
    depends on a photo's neighbours."""
    waiting: dict[tuple[int, int], list[tuple[str, Image.Image]]] = {}
    for key, image in pictures:
        batch = waiting.setdefault(image.size, [])
        batch.append((key, image))
        if len(batch) == size:
            yield waiting.pop(image.size)
    yield from waiting.values()


def _with_margin(box: list[float], size: tuple[int, int], margin: float) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = box
    dx, dy = margin * (x1 - x0), margin * (y1 - y0)
    left, top = max(0, int(x0 - dx)), max(0, int(y0 - dy))
    return left, top, max(left + 1, min(size[0], round(x1 + dx))), max(top + 1, min(size[1], round(y1 + dy)))


def _area(box: list[float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _import_ultralytics() -> Any:
    quiet = {
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
        "ULTRALYTICS_SAFE_LOAD": "true",
        "YOLO_VERBOSE": "false",
    }
    for name, value in quiet.items():
        os.environ.setdefault(name, value)
    # It writes its settings somewhere; the home folder of whoever runs a task is not the place.
    os.environ.setdefault("YOLO_CONFIG_DIR", str(Path(tempfile.gettempdir()) / f"carpipe-ultralytics-{os.getuid()}"))
    Path(os.environ["YOLO_CONFIG_DIR"]).mkdir(parents=True, exist_ok=True)
    # It also replaces PIL's open by one that looks for more decoders; everybody else wants PIL's.
    pil_open = Image.open
    from ultralytics import YOLO, settings

    Image.open = pil_open
    settings.update({"sync": False})
    return YOLO
