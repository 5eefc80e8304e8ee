"""Crop: find cars and trucks, cut out the largest.

How a vehicle is found and cut out is `carpipe.pictures.detection`; here it meets a partition's photos. They are decoded
in a child process (`isolation`), as in cleaning, and while that decodes, the detector looks at those before.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pandas as pd
from PIL import Image

from carpipe.ahead import take_ahead
from carpipe.config import CropConfig
from carpipe.pictures import decode
from carpipe.pictures.detection.cut import crop_photo, in_full_size
from carpipe.pictures.detection.detector import Detector
from carpipe.pictures.isolation import Isolated
from carpipe.pictures.look import LOOK, settings_for
from carpipe.spent import Spent
from carpipe.stages.crop_views import Unseen, View, bytes_of, decode_all, decoders

VERSION = 1
STAGE = "crop"

# Bytes of pictures that are decoded while the detector works, one more at most. One in full size may have 130 MB.
_MAX_AHEAD_BYTES = 60_000_000
# Bytes of pictures that wait for others of their size, one more at most. No photo of a partition may share its size.
_MAX_WAITING_BYTES = 200_000_000


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
    timeout_s: float = 20.0,
    memory_mb: int = 1024,
    spent: Spent | None = None,
) -> tuple[pd.DataFrame, dict[str, bytes]]:
    """Find and cut out the largest vehicle of each photo.

    Args:
        photos: (photo key, bytes); None where the object has gone, which drops the photo as `missing`.
        detector: may be None when there are no photos.
        max_pixels, max_damage: as in cleaning, so that both stages see the same pictures.
        timeout_s, memory_mb: of one photo's decoding, as in cleaning; one that takes more is dropped as `poison`.
        spent: where it goes down what takes how long. Photos are decoded while others are looked at.

    Returns:
        One row of results per photo, and the crops as JPEG by key.

    Raises:
        CarpipeError: no child process could be started.
    """
    rows: list[dict[str, Any]] = []
    crops: dict[str, bytes] = {}
    spent = spent or Spent()
    settings = settings_for(max_pixels=max_pixels, max_damage=max_damage, enough=decode.DETAIL)
    with ExitStack() as stack:
        isolated = [
            stack.enter_context(Isolated(LOOK, settings, timeout_s=timeout_s, memory_mb=memory_mb))
            for _ in range(config.decoders or decoders(on_gpu=detector is not None and detector.on_gpu))
        ]
        views = stack.enter_context(closing(decode_all(spent.waiting("fetching", photos), isolated)))
        waited = spent.waiting("decoding", views)
        decoded = stack.enter_context(closing(take_ahead(waited, size=bytes_of, budget=_MAX_AHEAD_BYTES)))
        shape_of = detector.shape_of if detector else _own_size
        for batch in _batches(_seen(decoded, rows), config.batch, shape_of=shape_of):
            _cut(batch, rows, crops, detector=detector, config=config, spent=spent)
            del batch  # or it would be held while the next one comes together
    return as_results(rows), crops


def look(
    photos: Iterable[tuple[str, bytes | None]],
    *,
    max_pixels: int,
    max_damage: float = 0.0,
    timeout_s: float = 20.0,
    memory_mb: int = 1024,
) -> Iterator[tuple[str, Image.Image]]:
    """Photo keys and pictures as the detector sees them, in order, without those that cannot be looked at.

    Args and errors are those of `crop`.
    """
    settings = settings_for(max_pixels=max_pixels, max_damage=max_damage, enough=decode.DETAIL)
    with Isolated(LOOK, settings, timeout_s=timeout_s, memory_mb=memory_mb) as child:
        for found in decode_all(photos, [child]):
            if isinstance(found, View):
                yield found.key, found.image


def _cut(
    batch: list[View],
    rows: list[dict[str, Any]],
    crops: dict[str, bytes],
    *,
    detector: Detector | None,
    config: CropConfig,
    spent: Spent,
) -> None:
    with spent.on("network"):
        found = detector.largest([image for _, image, _ in batch]) if detector else []
    for (key, image, size), vehicle in zip(batch, found, strict=True):
        with spent.on("encoding"):
            row, jpeg = crop_photo(image, vehicle, config=config)
        if "box" in row:
            row["box"] = in_full_size(row["box"], image.size, size)
        rows.append({"key": key, **row})
        if jpeg is not None:
            crops[key] = jpeg


def as_results(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The stage's columns, by photo key, with `reason` where a photo is dropped."""
    return pd.DataFrame(rows, columns=["box", *_COLUMNS]).astype(_COLUMNS)


def results_from(photos: pd.DataFrame, keys: "pd.Series[str]") -> pd.DataFrame:
    """The results that a committed photo table holds for those of `keys` that the stage looked at."""
    looked_at = photos[photos["key"].isin(keys) & (photos["dropped"].isna() | (photos["dropped_by"] == STAGE))]
    reason = looked_at["dropped"]
    return looked_at.assign(reason=reason)[["box", *_COLUMNS]].astype(_COLUMNS).reset_index(drop=True)


def _seen(decoded: Iterator[View | Unseen], rows: list[dict[str, Any]]) -> Iterator[View]:
    """Those that can be seen; the others get their rows."""
    for found in decoded:
        if isinstance(found, View):
            yield found
        else:
            rows.append({"key": found.key, "reason": found.reason})


def _bytes_of(views: list[View]) -> int:
    return sum(one.bytes for one in views)


def _own_size(size: tuple[int, int]) -> tuple[int, int]:
    return size


def _batches(
    pictures: Iterable[View], size: int, *, shape_of: Callable[[tuple[int, int]], tuple[int, int]] = _own_size
) -> Iterator[list[View]]:
    """Batches of pictures that the network sees in one shape: they are padded the same alone and together, so a box
    never depends on a photo's neighbours."""
    waiting: dict[tuple[int, int], list[View]] = {}
    held = 0
    for view in pictures:
        shape = shape_of(view.image.size)
        batch = waiting.setdefault(shape, [])
        batch.append(view)
        held += view.bytes
        if len(batch) == size or held > _MAX_WAITING_BYTES:
            full = shape if len(batch) == size else max(waiting, key=lambda one: _bytes_of(waiting[one]))
            batch = waiting.pop(full)
            held -= _bytes_of(batch)
            yield batch
        del batch, view
    yield from waiting.values()
