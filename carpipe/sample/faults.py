"""Ways in which files of a real bucket are broken or odd, and what cleaning may do with each."""

import io
import random
import struct
import zlib
from functools import lru_cache

from PIL import Image

# keep: the whole picture is there, only its wrapping is odd. drop: there is no whole picture.
# any: nearly all of it is there, so that a repair and a rejection are both fair.
EXPECT: dict[str, str] = {
    "truncated_10": "drop",
    "truncated_50": "drop",
    "truncated_97": "any",
    "empty": "drop",
    "html": "drop",
    "zero_tail": "drop",
    "tiny": "drop",
    "png_as_jpg": "keep",
    "webp_as_jpg": "keep",
    "gray": "keep",
    "cmyk": "keep",
    "exif_rotated": "keep",
    "bomb": "drop",
    "trailing": "keep",
}
BOMB_SIDE = 20_000  # pixels; 400 megapixels in 50 kB
ORIENTATION = 0x0112  # the EXIF tag
PAGE = b"<!DOCTYPE html><html><head><title>404</title></head><body><h1>Not found</h1></body></html>\n"


def break_photo(fault: str, image: Image.Image, data: bytes, rng: random.Random) -> bytes:
    """The bytes of a photo with a fault of `EXPECT`, given the picture and its sound JPEG bytes."""
    if fault.startswith("truncated_"):
        return data[: len(data) * int(fault.removeprefix("truncated_")) // 100]
    if fault == "zero_tail":
        half = len(data) // 2
        return data[:half] + bytes(len(data) - half)
    if fault == "trailing":
        return data + rng.randbytes(3000)
    if fault in ("empty", "html", "bomb"):
        return {"empty": b"", "html": PAGE, "bomb": bomb()}[fault]
    return _save_odd(fault, image)


def _save_odd(fault: str, image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    if fault == "tiny":
        image.resize((40, 30)).save(buffer, "JPEG", quality=85)
    elif fault == "png_as_jpg":
        image.save(buffer, "PNG", compress_level=3)
    elif fault == "webp_as_jpg":
        image.save(buffer, "WEBP", quality=85, method=2)
    elif fault == "exif_rotated":
        exif = Image.Exif()
        exif[ORIENTATION] = 6  # "turn me clockwise to see me upright"
        image.transpose(Image.Transpose.ROTATE_90).save(buffer, "JPEG", quality=85, exif=exif)
    else:
        image.convert({"gray": "L", "cmyk": "CMYK"}[fault]).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


@lru_cache(maxsize=1)
def bomb() -> bytes:
    """A small PNG that unpacks to 400 megapixels of black."""
    row = bytes(1 + BOMB_SIDE // 8)
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(row) for _ in range(BOMB_SIDE)) + packer.flush()
    header = struct.pack(">IIBBBBB", BOMB_SIDE, BOMB_SIDE, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
