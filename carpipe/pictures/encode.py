"""Pictures made smaller, and encoded: nothing of the original's metadata comes along."""

import base64
import io

import cv2
import numpy as np
import simplejpeg
from PIL import Image

from carpipe.errors import InputError
from carpipe.pictures.jpeg_decoders import Pixels


def fit(image: Image.Image, side: int) -> Image.Image:
    """Scale down so that the long side is at most `side` pixels; never up."""
    return Image.fromarray(shrink(np.asarray(image), side)) if max(image.size) > side else image


def shrink(pixels: Pixels, side: int) -> Pixels:
    """As `fit`, for an array (height, width, 3)."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return pixels
    if (factor := int(1 / scale)) > 1:
        coarse = (max(1, width // factor), max(1, height // factor))
        pixels = cv2.resize(pixels, coarse, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # What is left is a factor below 2, where interpolation between two neighbours still sees every pixel.
    return cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)


def encode_jpeg(image: Image.Image, *, quality: int) -> bytes:
    """The picture as JPEG, without EXIF or any other metadata of the original."""
    return encode_pixels(np.asarray(image), quality=quality)


def encode_pixels(pixels: Pixels, *, quality: int) -> bytes:
    """As `encode_jpeg`, for an array (height, width, 3) in RGB."""
    pixels = np.ascontiguousarray(pixels)
    return bytes(simplejpeg.encode_jpeg(pixels, quality=quality, colorspace="RGB", colorsubsampling="420"))


def preview(jpeg: bytes, *, side: int, quality: int) -> tuple[str, int, int]:
    """A JPEG scaled down for a page: a data URI without the original's metadata, its width and height in pixels.

    Raises:
        InputError: it is not a JPEG.
    """
    try:
        image = Image.open(io.BytesIO(jpeg), formats=("JPEG",)).convert("RGB")
    except OSError as error:
        raise InputError(f"it is not a JPEG: {error}") from None
    image.thumbnail((side, side))
    # A new picture, for the old one carries the comment of its file along.
    plain = Image.new("RGB", image.size)
    plain.paste(image)
    sink = io.BytesIO()
    plain.save(sink, "JPEG", quality=quality, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(sink.getvalue()).decode()}", *image.size
