"""Clean: one full decode per photo decides whether it is a picture.

Writes the thumbnails that later stages look at instead of the photos: re-encoded, upright, without
EXIF and so without GPS.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from carpipe import images
from carpipe.config import CleanConfig

VERSION = 1
STAGE = "clean"

_COLUMNS = {
    "key": "str",
    "reason": "str",
    "format": "str",
    "width": "Int32",
    "height": "Int32",
    "sha256": "str",
    "dhash": "str",
}


@dataclass(frozen=True)
class CleanPhoto:
    """A photo that passed: facts for the photo table, and its thumbnail as JPEG."""

    facts: dict[str, Any]
    thumbnail: bytes


def clean_photo(data: bytes, *, config: CleanConfig) -> CleanPhoto:
    """Decode one photo.

    Raises:
        images.PhotoError: it is no usable photo; its `reason` goes into the table.
    """
    image, name = images.decode(data, max_pixels=config.max_pixels)
    if min(image.size) < config.min_side:
        raise images.PhotoError("too_small", f"{image.width}x{image.height} pixels, {config.min_side} needed.")
    thumbnail = images.fit(image, config.thumbnail_side)
    facts = {"format": name, "width": image.width, "height": image.height, "dhash": images.dhash(thumbnail)}
    return CleanPhoto(facts, images.encode_jpeg(thumbnail, quality=config.thumbnail_quality))


def clean(files: Iterable[tuple[str, bytes | None]], *, config: CleanConfig) -> tuple[pd.DataFrame, dict[str, bytes]]:
    """Clean the photos of a partition.

    Args:
        files: (photo key, bytes); None where the object has gone, which drops the photo as `missing`.

    Returns:
        One row of results per photo, and the thumbnails by key.
    """
    rows: list[dict[str, Any]] = []
    thumbnails: dict[str, bytes] = {}
    for key, data in files:
        if data is None:
            rows.append({"key": key, "reason": "missing"})
            continue
        row = {"key": key, "sha256": images.sha256(data)}
        try:
            photo = clean_photo(data, config=config)
        except images.PhotoError as error:
            rows.append({**row, "reason": error.reason})
            continue
        rows.append({**row, **photo.facts})
        thumbnails[key] = photo.thumbnail
    return pd.DataFrame(rows, columns=list(_COLUMNS)).astype(_COLUMNS), thumbnails
