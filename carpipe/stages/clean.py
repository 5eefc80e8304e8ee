"""Clean: one full decode per photo decides whether it is a picture, and a whole one.

Writes the thumbnails that later stages look at instead of the photos: re-encoded, upright, without EXIF and so
without GPS. Photos are decoded in a child process (`isolation`), so one that crashes its decoder costs itself only.
"""

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from carpipe.config import CleanConfig
from carpipe.pictures import hashes
from carpipe.pictures.isolation import Answer, Death, Isolated, in_chunks, looking_at_photo

log = logging.getLogger(__name__)

VERSION = 3
STAGE = "clean"

_COLUMNS = {
    "key": "str",
    "reason": "str",
    "format": "str",
    "width": "Int32",
    "height": "Int32",
    "sha256": "str",
    "dhash": "str",
    "dhash_inner": "str",
    "damage": "Float64",
    "repaired": "str",
}
# Bytes of mended files that are kept of a partition. One whose mended file is not is mended again by who reads it.
MAX_REPAIRED_BYTES = 128_000_000
_SETTINGS = {"min_side", "max_pixels", "max_damage", "thumbnail_side", "thumbnail_quality"}


@dataclass(frozen=True)
class Cleaned:
    """What cleaning found, per photo key.

    `results` has a row per photo: key; reason (null: kept); format, width and height (upright); sha256 of the
    original file; dhash, dhash_inner; damage, the share of the picture that is not known to be whole (null: there is
    no picture); repaired, how (null: no need). Kept photos have a thumbnail (JPEG) and a signature (`hashes.Look`).
    `repaired` holds the mended files of those whose original is not fit for use, up to `MAX_REPAIRED_BYTES`.
    `over_time` has the keys of those dropped as `poison` that cost more than `clean.timeout_s`: they were too
    expensive, and their decoder was sound.
    """

    results: pd.DataFrame
    thumbnails: dict[str, bytes] = field(default_factory=dict)
    signatures: dict[str, bytes] = field(default_factory=dict)
    repaired: dict[str, bytes] = field(default_factory=dict)
    over_time: set[str] = field(default_factory=set)


def clean(
    files: Iterable[tuple[str, bytes | None]],
    *,
    config: CleanConfig,
    judge: str = "carpipe.stages.clean_photo:clean_photo",
) -> Cleaned:
    """Clean the photos of a partition.

    Every photo ends in one row, whatever is in its file: one that kills its process, spends more than `timeout_s`
    of processor time or needs more than `memory_mb` is dropped as `poison`.

    Args:
        files: (photo key, bytes); None where the object has gone, which drops the photo as `missing`.
        config: limits and sizes.
        judge: `module:function` that looks at one photo, in the child process.

    Raises:
        UnavailableError: no child process could be started, or somebody else ends them; names the photo.
    """
    rows: list[dict[str, Any]] = []
    cleaned, room = Cleaned(pd.DataFrame()), MAX_REPAIRED_BYTES
    settings = json.dumps(config.model_dump(include=_SETTINGS))
    with Isolated(judge, settings, timeout_s=config.timeout_s, memory_mb=config.memory_mb) as child:
        for chunk in in_chunks(_worth_a_look(files, rows, max_bytes=config.max_bytes)):
            answers = child.answers([data for _, data in chunk])
            for row, _ in chunk:
                with looking_at_photo(row["key"]):
                    answer = next(answers)
                room -= _take(row, answer, cleaned, room=room)
    results = pd.DataFrame(rows, columns=list(_COLUMNS)).astype(_COLUMNS)
    return replace(cleaned, results=results)


def _worth_a_look(
    files: Iterable[tuple[str, bytes | None]], rows: list[dict[str, Any]], *, max_bytes: int
) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Start a row for every photo; pass on those whose bytes must be decoded to tell more."""
    for key, data in files:
        row: dict[str, Any] = {"key": key}
        rows.append(row)
        if data is None:
            row["reason"] = "missing"
            continue
        row["sha256"] = hashes.sha256(data)
        if len(data) > max_bytes:
            row["reason"] = "bomb"
        else:
            yield row, data


def _take(row: dict[str, Any], answer: Answer, cleaned: Cleaned, *, room: int) -> int:
    """Complete a photo's row, and keep what it has; returns how many bytes of the room its mended file takes."""
    if isinstance(answer, Death):
        log.warning("%s is dropped as poison: %s", row["key"], answer.value)
        row["reason"] = "poison"
        if answer is Death.OVER_TIME:
            cleaned.over_time.add(row["key"])
        return 0
    facts, thumbnail, signature, repaired = answer
    row.update(json.loads(facts))
    if row.get("reason") is not None:
        return 0
    key = row["key"]
    cleaned.thumbnails[key], cleaned.signatures[key] = thumbnail, signature
    if not repaired or len(repaired) > room:
        return 0
    cleaned.repaired[key] = repaired
    return len(repaired)
