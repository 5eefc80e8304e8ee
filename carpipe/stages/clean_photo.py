"""One photo: decoded in full, measured, hashed, and its thumbnail.

Runs in the child process of `clean`, so it imports nothing of the pipeline but the decoding.
"""

import json
from functools import lru_cache
from typing import Any

import cv2

from carpipe.pictures import decode, encode, hashes

cv2.setNumThreads(1)  # tasks are what runs in parallel


def clean_photo(data: bytes, settings: str) -> tuple[bytes, bytes, bytes, bytes]:
    """Judge one photo.

    Args:
        data: the file.
        settings: JSON: `min_side`, `max_pixels`, `max_damage`, `thumbnail_side`, `thumbnail_quality`.

    Returns:
        Facts for the photo table as JSON, thumbnail, signature, repaired file. A photo that is dropped has `reason`
        among its facts, `format` if it is one that is not read, and the rest empty; the last is empty also for one
        that needs no repair.
    """
    try:
        facts, *blobs = _judge(data, **_understood(settings))
    except decode.PhotoError as error:
        facts = {"reason": error.reason, "damage": error.damage, "format": error.format}
        blobs = [b"", b"", b""]
    except MemoryError:
        facts, blobs = {"reason": "poison"}, [b"", b"", b""]
    return json.dumps(facts).encode(), blobs[0], blobs[1], blobs[2]


@lru_cache(maxsize=1)  # they are the same for all photos of a partition
def _understood(settings: str) -> dict[str, Any]:
    return dict(json.loads(settings))


def _judge(
    data: bytes, *, min_side: int, max_pixels: int, max_damage: float, thumbnail_side: int, thumbnail_quality: int
) -> tuple[dict[str, Any], bytes, bytes, bytes]:
    # Twice the thumbnail: enough for a mean over areas, and a fraction of a large picture.
    picture = decode.read(data, max_pixels=max_pixels, max_damage=max_damage, enough=2 * thumbnail_side)
    width, height = picture.size
    if min(width, height) < min_side:
        raise decode.PhotoError("too_small", f"{width}x{height} pixels, {min_side} needed.")
    pixels = encode.shrink(picture.pixels, thumbnail_side)
    look = hashes.look(pixels)
    facts = {
        "format": picture.format,
        "width": width,
        "height": height,
        "dhash": look.dhash,
        "dhash_inner": look.dhash_inner,
        "damage": picture.damage,
        "repaired": picture.repair,
    }
    return facts, encode.encode_pixels(pixels, quality=thumbnail_quality), look.signature, picture.repaired or b""
