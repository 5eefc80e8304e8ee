"""Photos that a transfer took for text are damaged, all of them; sound ones never."""

import pytest

from carpipe.pictures import decode
from carpipe.pictures.text_mode import is_mangled
from tests.pictures.drawn import draw, encode, jpeg

WAYS = {
    "LF to CR LF": lambda data: data.replace(b"\n", b"\r\n"),
    "CR to CR LF": lambda data: data.replace(b"\r", b"\r\n"),
    "all to CR LF": lambda data: data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"),
    "CR to LF": lambda data: data.replace(b"\r", b"\n"),
    "LF to CR": lambda data: data.replace(b"\n", b"\r"),
    "no CR": lambda data: data.replace(b"\r", b""),
}
FILES = {
    "JPEG": jpeg,
    "progressive JPEG": lambda seed: jpeg(seed=seed, progressive=True),
    "CMYK JPEG": lambda seed: jpeg(seed=seed, mode="CMYK", subsampling=2),
    "WEBP": lambda seed: encode(draw(seed=seed), "WEBP", quality=90),
    "lossless WEBP": lambda seed: encode(draw((240, 160), seed), "WEBP", lossless=True),
    "PNG": lambda seed: encode(draw((240, 160), seed), "PNG"),
    "GIF": lambda seed: encode(draw((240, 160), seed), "GIF"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", FILES)
def test_rewritten_line_ends_are_damage(kind, way):
    for seed in range(4):
        data = FILES[kind](seed=seed)
        assert decode.read(data, max_pixels=10_000_000).damage == 0.0

        with pytest.raises(decode.PhotoError) as caught:
            decode.read(WAYS[way](data), max_pixels=10_000_000)

        assert caught.value.reason in ("damaged", "truncated", "not_an_image", "bomb")


def test_text_in_the_metadata_proves_nothing():
    data = jpeg(comment=b"one line\r\nand another\r\n" * 200)

    assert decode.read(data, max_pixels=10_000_000).damage == 0.0


def test_a_pattern_proves_nothing():
    assert not is_mangled(b"\x28\x0d\x0a\x8a" * 5000)
    assert not is_mangled(b"\x28\x0a\xa2\x8a" * 5000)
    assert not is_mangled(b"")
