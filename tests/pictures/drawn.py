"""Pictures that compress as photos do, for tests of damage: soft shapes with fine detail on them."""

import io

import numpy as np
from PIL import Image


def draw(size=(480, 320), seed=3):
    rng = np.random.default_rng(seed)
    soft = Image.fromarray(rng.integers(0, 255, (size[1] // 16, size[0] // 16, 3), dtype=np.uint8))
    fine = rng.normal(0, 12, (size[1], size[0], 3))
    pixels = np.asarray(soft.resize(size, Image.Resampling.BICUBIC), dtype=float) + fine
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def encode(image, name="JPEG", **options):
    sink = io.BytesIO()
    image.save(sink, name, **options)
    return sink.getvalue()


def jpeg(*, size=(480, 320), seed=3, mode="RGB", **options):
    return encode(draw(size, seed).convert(mode), **{"quality": 88, **options})
