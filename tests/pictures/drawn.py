"""Pictures that compress as photos do, for tests of damage: soft shapes with fine detail on them."""

import io
from typing import Any

import numpy as np
from PIL import Image


def draw(size: tuple[int, int] = (480, 320), seed: int = 3) -> Image.Image:
    rng = np.random.default_rng(seed)
    soft = Image.fromarray(rng.integers(0, 255, (size[1] // 16, size[0] // 16, 3), dtype=np.uint8))
    fine = rng.normal(0, 12, (size[1], size[0], 3))
    pixels = np.asarray(soft.resize(size, Image.Resampling.BICUBIC), dtype=float) + fine
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def encode(image: Image.Image, name: str = "JPEG", **options: Any) -> bytes:
    sink = io.BytesIO()
    image.save(sink, name, **options)
    return sink.getvalue()


def jpeg(*, size: tuple[int, int] = (480, 320), seed: int = 3, mode: str = "RGB", **options: Any) -> bytes:
    return encode(draw(size, seed).convert(mode), **{"quality": 88, **options})
