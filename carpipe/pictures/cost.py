"""What decoding a photo is expected to cost, by its headers: to tell what can be done at once from what must queue.

A rough guess for sound photos, of a processor of 2020. What hostile bytes cost is for timers to say.
"""

from carpipe.pictures import budget, jpeg_damage
from carpipe.pictures.formats import sniff
from carpipe.pictures.jpeg_segments import PROGRESSIVE
from carpipe.pictures.photo_error import PhotoError

# Seconds for a megapixel and for a megabyte, as measured on noisy photos of 12 megapixels. PNG and lossless WebP are
# unpacked twice: to see and to measure.
_COSTS = {
    "JPEG": (0.002, 0.008),
    "PNG": (0.030, 0.015),
    "WEBP": (0.030, 0.015),
    "GIF": (0.020, 0.400),
    "BMP": (0.025, 0.000),
    "HEIF": (0.060, 0.020),
    "AVIF": (0.030, 0.020),
}
# Of a JPEG in several scans: seconds for a megapixel, and for a megapixel of each scan. Of one whose sampling has no
# name, as of one in several scans, each of its decodes.
_PROGRESSIVE_COST, _SCAN_COST = 0.015, 0.0005


def expected_seconds(data: bytes, *, max_pixels: int) -> float:
    """Seconds of a processor that decoding a file is expected to take; infinite where its size is not known.

    A file that is refused at once costs nothing.

    Args:
        data: the file.
        max_pixels: that it may have, as of `decode.read`.
    """
    name = sniff(data)
    if name not in _COSTS:
        return 0.0
    try:
        return _of_jpeg(data, max_pixels) if name == "JPEG" else _of_other(data, name, max_pixels)
    except PhotoError:
        return 0.0


def _of_other(data: bytes, name: str, max_pixels: int) -> float:
    budget.check_other(data, name, max_pixels=max_pixels)
    width, height = budget.size_of(data, name)
    per_pixel, per_byte = _COSTS[name]
    return (width * height * per_pixel + len(data) * per_byte) / 1e6 if width * height else float("inf")


def _of_jpeg(data: bytes, max_pixels: int) -> float:
    stream = jpeg_damage.find_picture(data)
    if stream.frame is None:
        return 0.0
    width, height = jpeg_damage.size_of(data, stream.frame)
    decodes = jpeg_damage.decodes(stream)
    scans = budget.check_jpeg(data, stream, (width, height), max_pixels=max_pixels, decodes=decodes)
    if width * height > max_pixels:
        return 0.0
    per_pixel, per_byte = _COSTS["JPEG"]
    if stream.frame.marker in PROGRESSIVE or scans > 1 or decodes > 1:
        per_pixel = _PROGRESSIVE_COST + _SCAN_COST * scans
    return decodes * (width * height * per_pixel + len(data) * per_byte) / 1e6
