"""Crop: find cars and trucks, cut out the largest.

How a vehicle is found and cut out is `carpipe.pictures.detection`; here it meets a partition's photos.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd
from PIL import Image

from carpipe.config import CropConfig
from carpipe.pictures import decode
from carpipe.pictures.detection import Detector, crop_photo, in_full_size

VERSION = 1
STAGE = "crop"

# A photo's key, what the detector sees of it, and the size of the whole.
Seen = tuple[str, Image.Image, tuple[int, int]]

_COLUMNS = {
    "key": "str",
    "reason": "str",
    "box_label": "str",
    "box_score": "float64",
    "crop_width": "Int32",
    "crop_height": "Int32",
}


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
        found = detector.largest([image for _, image, _ in batch]) if detector else []
        for (key, image, size), vehicle in zip(batch, found, strict=True):
            row, jpeg = crop_photo(image, vehicle, config=config)
            if "box" in row:
                row["box"] = in_full_size(row["box"], image.size, size)
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


def _decode(
    photos: Iterable[tuple[str, bytes | None]], rows: list[dict[str, Any]], *, max_pixels: int, max_damage: float
) -> Iterator[Seen]:
    for key, data in photos:
        if data is None:
            rows.append({"key": key, "reason": "missing"})
            continue
        try:
            picture = decode.read(data, max_pixels=max_pixels, max_damage=max_damage, enough=decode.DETAIL)
        except decode.PhotoError as error:
            rows.append({"key": key, "reason": error.reason})
            continue
        yield key, Image.fromarray(picture.pixels), picture.size


def _batches(pictures: Iterable[Seen], size: int) -> Iterator[list[Seen]]:
    """Batches of equally large pictures: they are padded the same alone and together, so a box never
    depends on a photo's neighbours."""
    waiting: dict[tuple[int, int], list[Seen]] = {}
    for seen in pictures:
        image = seen[1]
        batch = waiting.setdefault(image.size, [])
        batch.append(seen)
        if len(batch) == size:
            yield waiting.pop(image.size)
    yield from waiting.values()
