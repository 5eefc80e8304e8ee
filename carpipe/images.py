"""Pictures as bytes and arrays: decode upright in RGB, scale, encode, hash.

Everybody who looks at a photo (stages, training, consumers of the weights) decodes it here, so all see
the same pixels.
"""

import hashlib
import io
import warnings

import numpy as np
from PIL import Image

from carpipe.errors import InputError

# What marketplaces upload under the name .jpg. Each decoder is code that reads hostile bytes: no more
# of them than needed.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")


class PhotoError(InputError):
    """The bytes are no usable photo; `reason` is what the photo table calls it."""

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason = reason


def decode(data: bytes, *, max_pixels: int) -> tuple[Image.Image, str]:
    """Decode every pixel; return an RGB picture, turned upright, and the format's name.

    Raises:
        PhotoError: reason `empty`, `not_an_image`, `bomb` (more than max_pixels, refused before any
            pixel is decoded) or `truncated` (the decoder met the end of the data or an error in it).
    """
    if not data:
        raise PhotoError("empty", "The file is empty.")
    with warnings.catch_warnings():
        # Size is checked below, before decoding; Pillow's own warnings about odd files are no news.
        warnings.simplefilter("ignore")
        try:
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        except Image.DecompressionBombError as error:
            raise PhotoError("bomb", str(error)) from None
        except (OSError, SyntaxError, ValueError) as error:
            raise PhotoError("not_an_image", f"No decoder knows these bytes: {error}.") from None
        if image.width * image.height > max_pixels:
            raise PhotoError("bomb", f"{image.width}x{image.height} pixels are more than {max_pixels}.")
        name = image.format or "?"
        try:
            turn = _TURNS.get(_orientation(image))
            image.load()
            return _to_rgb(image.transpose(turn) if turn is not None else image), name
        except Image.DecompressionBombError as error:
            raise PhotoError("bomb", str(error)) from None
        except (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError) as error:
            raise PhotoError("truncated", f"The picture breaks off: {error}.") from None


def fit(image: Image.Image, side: int) -> Image.Image:
    """Scale down so that the long side is at most `side` pixels; never up."""
    scale = side / max(image.size)
    if scale >= 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)


def encode_jpeg(image: Image.Image, *, quality: int) -> bytes:
    """The picture as JPEG, without EXIF or any other metadata of the original."""
    sink = io.BytesIO()
    image.save(sink, "JPEG", quality=quality)
    return sink.getvalue()


def to_array(image: Image.Image, side: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    """The picture stretched to a square, uint8 of shape (side, side, 3): what the models are fed."""
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR), dtype=np.uint8)


def to_batch(jpegs: list[bytes], side: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    """Our own JPEGs (thumbnails, crops) decoded and stretched: uint8 (n, side, side, 3)."""
    return np.stack([to_array(Image.open(io.BytesIO(jpeg), formats=("JPEG",)).convert("RGB"), side) for jpeg in jpegs])


def dhash(image: Image.Image) -> str:
    """64-bit difference hash, 16 hex digits.

    Source: N. Krawetz, "Kind of Like That", 2013: grey, 9x8 pixels, each compared with its right neighbour.
    """
    grey = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BILINEAR), dtype=np.int16)
    return np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes().hex()


# EXIF 2.3, tag 0x0112: what turns a picture of that orientation upright.
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation; 1, upright, where EXIF is absent or broken: that says nothing of the picture."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # Pillow's parser lets many kinds through
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I;16", "I;16B", "I", "F"):
        # Pillow clips instead of scaling when it turns 16 bits into 8.
        grey = np.asarray(image, dtype=np.float64)
        return Image.fromarray((grey / max(grey.max(), 255.0) * 255.0).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        background = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(background, image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def sha256(data: bytes) -> str:
    """Of the file's bytes, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()
