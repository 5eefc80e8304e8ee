"""What the worst photo costs that is still taken: processor seconds and memory, by format.

    python benchmarks/worst_photos.py [--only JPEG]

Builds, for the limits of `clean` and for those of `serve`, what costs each decoder most within them: the most pixels,
the most scans, 16 bits, interlaced, lossless, noise as far as the bytes go, files that are decoded several times since
something is wrong at their end. Each is decoded in a fresh child, without its limit of time, and the dearest of each
format is printed. The limits are constants with their reasons in `carpipe/pictures/budget.py`.
"""

import argparse
import io
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from carpipe.config import Config  # noqa: E402  # the tests beside it must be found first
from carpipe.pictures import budget, decode, look  # noqa: E402
from carpipe.pictures.isolation import Death, Isolated  # noqa: E402
from tests.pictures import hostile  # noqa: E402

CONFIG = Config()
# (name, pixels, bytes, pixels of a side that suffice)
PLACES = (
    ("clean", CONFIG.clean.max_pixels, CONFIG.clean.max_bytes, 2 * CONFIG.clean.thumbnail_side),
    ("serve", CONFIG.serving.max_pixels, CONFIG.serving.max_photo_mb * 1_000_000, decode.DETAIL),
)
Maker = Callable[[], bytes]


def main(only: str) -> None:
    """Print the dearest of each format, for each place."""
    print(f"{'where':6} {'format':6} {'what':44} {'MB':>6} {'CPU s':>6} {'peak MB':>8}  answer")
    for where, pixels, most_bytes, enough in PLACES:
        for name, candidates in candidates_of(pixels, most_bytes).items():
            if only in ("", name):
                found = [measure(what, make, pixels, most_bytes, enough) for what, make in candidates]
                what, size, seconds, peak, answer = max(found, key=lambda one: one[2])
                print(
                    f"{where:6} {name:6} {what:44} {size / 1e6:6.2f} {seconds:6.2f} {peak:8.0f}  {answer}", flush=True
                )


def measure(
    what: str, make: Maker, max_pixels: int, most_bytes: int, enough: int
) -> tuple[str, int, float, float, str]:
    """(what, bytes, seconds of a processor, peak MB, answer) of a photo; no seconds where it has too many bytes."""
    data = make()
    if len(data) > most_bytes:
        return what, len(data), 0.0, 0.0, "too many bytes"
    settings = look.settings_for(max_pixels=max_pixels, max_damage=0.0, enough=enough)
    with Isolated("worst_photos:watched", settings, timeout_s=120, memory_mb=CONFIG.clean.memory_mb) as child:
        answer = child.once(data)
    if isinstance(answer, Death):
        return what, len(data), 120.0, 0.0, answer.value
    facts: dict[str, Any] = json.loads(answer[0])
    return what, len(data), facts["seconds"], facts["peak"], facts.get("reason", "taken")


def watched(data: bytes, settings: str) -> tuple[bytes]:
    """As `look`, with the seconds and the memory that it took; runs in the child."""
    started = time.process_time()
    facts = json.loads(look.look(data, settings)[0])
    facts["seconds"] = time.process_time() - started
    # Not the resources of getrusage, where a child begins with what its parent had.
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    facts["peak"] = int(peak.split()[1]) / 1000
    return (json.dumps(facts).encode(),)


def candidates_of(pixels: int, most_bytes: int) -> dict[str, list[tuple[str, Maker]]]:
    """By format: files that turn one or two knobs as far as they go."""
    dear = 880_000_000  # decode.PICTURE_COST: bytes that a picture may take
    full, half, webp, animated = (side(min(pixels, dear // cost)) for cost in (8, 16, 20, 40))
    scans = budget.SCANS_OF_LARGEST
    many = side(scans * pixels // budget.MAX_SCANS)
    return {
        "JPEG": [
            (f"{scans} scans, {full}x{full}", partial(hostile.progressive, full, full, scans, components=1)),
            (f"{budget.MAX_SCANS} scans, {many}x{many}", partial(hostile.progressive, many, many, budget.MAX_SCANS)),
            (f"{budget.MAX_SCANS} scans, its end lost", lambda: hostile.progressive(many, many, budget.MAX_SCANS)[:-5]),
            (f"noise, progressive, {half}x{half}", fitting(half, "JPEG", most_bytes, progressive=True)),
            (
                f"noise, progressive, {half}x{half}, its end lost",
                lambda: fitting(half, "JPEG", most_bytes, progressive=True)()[:-5],
            ),
            (f"noise, {full}x{full}", fitting(full, "JPEG", most_bytes)),
            (
                f"noise, {half}x{half}, a rare sampling",
                lambda: rare_sampling(fitting(half, "JPEG", most_bytes, subsampling=0)()),
            ),
            (f"noise, {half}x{half}, CMYK 4:2:0, zeros at its end", partial(cmyk, half, most_bytes)),
        ],
        "PNG": [
            (f"16 bit, alpha, {half}x{half}", partial(plain_png, half, 8, depth=16)),
            (f"16 bit, alpha, interlaced, {half}x{half}", partial(plain_png, half, 8, depth=16, interlaced=1)),
            ("noise, all bytes", fitting_png(most_bytes)),
        ],
        "WEBP": [
            (f"lossless, {webp}x{webp}", partial(hostile.lossless_webp, webp, webp)),
            (f"noise, {webp}x{webp}", fitting(webp, "WEBP", most_bytes, method=0)),
            (f"animated, {animated}x{animated}", partial(animation, animated)),
            ("noise, lossless, all bytes", lossless_noise(most_bytes)),
        ],
        "GIF": [
            (f"one colour, {half}x{half}", lambda: hostile.encoded(Image.new("P", (half, half)), "GIF")),
            ("noise, 8 MB of codes", lambda: hostile.encoded(noise(2400).convert("P"), "GIF")),
            ("noise, all bytes", lambda: hostile.encoded(noise(side(most_bytes * 7 // 10)).convert("P"), "GIF")),
        ],
        "BMP": [
            (f"short runs, {half}x{half}", lambda: hostile.bmp_rle(half, half, b"\1\7" * 1_990_000 + b"\0\1")),
            (f"long runs, {half}x{half}", lambda: hostile.bmp_rle(half, half, b"\xff\7" * (half * half // 255))),
            ("plain, all bytes", lambda: hostile.encoded(noise(side(most_bytes // 3 - 1000)), "BMP")),
        ],
        "HEIF": [(f"noise, {half}x{half}", partial(heic, half, most_bytes))],
        "AVIF": [(f"noise, {half}x{half}", fitting(half, "AVIF", most_bytes, speed=10))],
    }


def side(pixels: int) -> int:
    """Of a square of so many pixels; a multiple of 8."""
    return int(pixels**0.5) // 8 * 8


def noise(length: int) -> Image.Image:
    """A square of noise; beyond a megapixel it repeats."""
    tile = np.asarray(hostile.noise((1000, 1000)))
    times = -(-length // 1000)
    return Image.fromarray(np.tile(tile, (times, times, 1))[:length, :length])


def fitting(length: int, name: str, most_bytes: int, **options: Any) -> Maker:
    """A square of noise, in the best quality that the bytes allow."""

    def make() -> bytes:
        image, data = noise(length), b""
        for quality in _qualities():
            with suppress(ValueError):  # libwebp has no room for so much noise in that quality
                data = hostile.encoded(image, name, quality=quality, **options)
            if 0 < len(data) <= most_bytes:
                break
        return data

    return make


def _qualities() -> Iterator[int]:
    yield from (90, 50, 20, 5, 1)


def fitting_png(most_bytes: int) -> Maker:
    """Noise as large as the bytes allow."""
    return lambda: hostile.encoded(noise(side(most_bytes // 3 - 10_000)), "PNG", compress_level=9)


def lossless_noise(most_bytes: int) -> Maker:
    """As `fitting_png`, as WebP."""
    picture = partial(noise, side(most_bytes * 3 // 10))
    return lambda: hostile.encoded(picture(), "WEBP", lossless=True, method=0, quality=0)


def plain_png(length: int, per_pixel: int, **options: Any) -> bytes:
    """A PNG of one colour with alpha: little to read, much to unpack."""
    rows = hostile.zeros(length * (length * per_pixel + 8))
    return hostile.png(length, length, hostile.png_chunk(b"IDAT", rows), colour=6, **options)


def rare_sampling(jpeg: bytes) -> bytes:
    """4:4:1 by its header, which takes a detour through two other decoders."""
    changed = bytearray(jpeg)
    changed[changed.index(b"\xff\xc0") + 11] = 0x14
    return bytes(changed)


def cmyk(length: int, most_bytes: int) -> bytes:
    """A sampling that takes the detour, and is sound but for zeros before its end marker, which are to be counted."""
    data = b""
    for quality in _qualities():
        data = hostile.encoded(noise(length).convert("CMYK"), "JPEG", quality=quality, subsampling=2)
        if len(data) + 1000 <= most_bytes:
            break
    return data[:-2] + bytes(1000) + hostile.EOI


def animation(length: int) -> bytes:
    """Two frames; the first is looked at."""
    frames = [Image.new("RGB", (length, length), colour) for colour in ("red", "blue")]
    return hostile.encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], method=0)


def heic(length: int, most_bytes: int) -> bytes:
    """A square of noise, in the best quality that the bytes allow."""
    data = b""
    for quality in (20, 10):  # with more libde265 gives up
        sink = io.BytesIO()
        pillow_heif.from_pillow(noise(length)).save(sink, quality=quality)
        data = sink.getvalue()
        if len(data) <= most_bytes:
            break
    return data


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", default="", help="one format")
    main(parser.parse_args().only)
