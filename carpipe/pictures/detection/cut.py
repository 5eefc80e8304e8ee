"""The largest vehicle of a photo, cut out."""

from dataclasses import dataclass
from typing import Any

from PIL import Image

from carpipe.config import CropConfig
from carpipe.pictures import encode


@dataclass(frozen=True)
class Found:
    """A vehicle in a photo: box x0 y0 x1 y1 in pixels, name of its class, confidence."""

    box: list[float]
    label: str
    score: float


def crop_photo(image: Image.Image, vehicle: Found | None, *, config: CropConfig) -> tuple[dict[str, Any], bytes | None]:
    """Columns of the photo table, and the crop as JPEG or None where there is a reason to drop."""
    if vehicle is None:
        return {"reason": "no_vehicle"}, None
    row = {"box": vehicle.box, "box_label": vehicle.label, "box_score": vehicle.score}
    if area(vehicle.box) < config.min_box_share * image.width * image.height:
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


def area(box: list[float]) -> float:
    """In square pixels."""
    return (box[2] - box[0]) * (box[3] - box[1])


def _with_margin(box: list[float], size: tuple[int, int], margin: float) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = box
    dx, dy = margin * (x1 - x0), margin * (y1 - y0)
    left, top = max(0, int(x0 - dx)), max(0, int(y0 - dy))
    return left, top, max(left + 1, min(size[0], round(x1 + dx))), max(top + 1, min(size[1], round(y1 + dy)))
