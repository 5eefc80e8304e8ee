"""Photos decoded: all of the data, upright, in RGB, with a measure of what is missing.

Everybody who looks at a photo (stages, training, consumers of the weights) decodes it here, so all see
the same pixels.
"""

import io
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np
import simplejpeg  # type: ignore[import-untyped]  # it comes without types
from PIL import Image

from carpipe.errors import InputError
from carpipe.pictures import jpeg_damage
from carpipe.pictures.jpeg_damage import Pixels
from carpipe.pictures.png_damage import measure_png

# What marketplaces upload under the name .jpg. Each decoder is code that reads hostile bytes: no more
# of them than needed.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")


class PhotoError(InputError):
    """The bytes are no usable photo; `reason` is what the photo table calls it.

    `damage` is the share of the picture that is not known to be whole; None where there is no picture to speak of.
    """

    def __init__(self, reason: str, message: str, *, damage: float | None = None):
        super().__init__(message)
        self.reason = reason
        self.damage = damage


@dataclass(frozen=True)
class Picture:
    """A decoded photo: uint8 (height, width, 3), RGB, upright.

    `size` is (width, height) of the whole picture, also where the pixels are fewer (`read`). `damage` is the share
    that is not known to be whole. `repaired` is the file made whole, where it was not, and `repair` says how.
    """

    pixels: Pixels
    format: str
    size: tuple[int, int]
    damage: float = 0.0
    repaired: bytes | None = None
    repair: str | None = None


def decode(data: bytes, *, max_pixels: int, max_damage: float = 0.0) -> tuple[Image.Image, str]:
    """Decode every pixel; return an RGB picture, turned upright, and the format's name.

    Raises:
        PhotoError: as `read` does.
    """
    picture = read(data, max_pixels=max_pixels, max_damage=max_damage)
    return Image.fromarray(picture.pixels), picture.format


def read(data: bytes, *, max_pixels: int, max_damage: float = 0.0, enough: int = 0) -> Picture:
    """Decode all data of a photo, and measure what it lacks. Of an animation the first picture is meant.

    Args:
        data: the file.
        max_pixels: a larger picture is refused before memory is spent on it.
        max_damage: share, 0 to 1; a picture of which more is not known to be whole is refused.
        enough: pixels of both sides that suffice; larger pictures come smaller, for less memory and time. 0: full size.

    Raises:
        PhotoError: reason `empty`, `not_an_image`, `bomb` (more than max_pixels), `truncated` (the data end early)
            or `damaged` (they are wrong).
    """
    if not data:
        raise PhotoError("empty", "The file is empty.")
    if data.startswith(b"\xff\xd8"):
        try:
            height, width, *_ = simplejpeg.decode_jpeg_header(data)
        except ValueError:  # a header that libjpeg-turbo's simple interface does not serve; Pillow may
            return _read_other(data, max_pixels=max_pixels, max_damage=max_damage, enough=enough)
        _check_size(width, height, max_pixels)
        return _read_jpeg(data, (width, height), max_damage=max_damage, enough=enough)
    return _read_other(data, max_pixels=max_pixels, max_damage=max_damage, enough=enough)


def _read_jpeg(data: bytes, size: tuple[int, int], *, max_damage: float, enough: int) -> Picture:
    try:
        jpeg = jpeg_damage.decode_jpeg(data, enough=enough)
    except ValueError as error:
        raise PhotoError("damaged", f"Nothing can be decoded: {error}.", damage=1.0) from None
    _check_damage(jpeg.damage, max_damage, reason="truncated" if jpeg.ends_early else "damaged")
    turn = _orientation_of_jpeg(data)
    return Picture(
        _turned(jpeg.pixels, turn),
        "JPEG",
        size[::-1] if turn in _ON_THE_SIDE else size,
        jpeg.damage,
        jpeg.repaired,
        "end_marker" if jpeg.repaired else None,
    )


def _read_other(data: bytes, *, max_pixels: int, max_damage: float, enough: int) -> Picture:
    with _pillow("not_an_image"):
        opened = Image.open(io.BytesIO(data), formats=FORMATS)
        animated = opened.format == "WEBP" and bool(getattr(opened, "is_animated", False))
    # An animation keeps two more frames in memory.
    _check_size(*opened.size, max_pixels // 2 if animated else max_pixels)
    turn = _orientation(opened)
    name, size = (opened.format or "?").replace("MPO", "JPEG"), opened.size
    with _pillow("damaged"):
        if name == "WEBP" and not animated:
            del opened
            image = _to_rgb(_load_webp(data))
        else:
            if enough:
                opened.draft(None, (enough, enough))  # a JPEG that only Pillow can read
            opened.load()
            image = _to_rgb(opened)
            del opened
        if enough and (factor := min(size) // enough) >= 2:
            image = image.reduce(factor)
        pixels = np.array(image)
        missing = measure_png(data) if name == "PNG" else 0.0
    _check_damage(missing, max_damage, reason="damaged")
    return Picture(_turned(pixels, turn), name, size[::-1] if turn in _ON_THE_SIDE else size, missing)


def _check_damage(share: float, limit: float, *, reason: str) -> None:
    if share > limit:
        message = f"{share:.1%} of the picture are not known to be whole, {limit:.1%} are allowed."
        raise PhotoError(reason, message, damage=share)


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise PhotoError("bomb", f"{width}x{height} pixels are more than {max_pixels}.")


@contextmanager
def _pillow(reason: str) -> Iterator[None]:
    """Turn what Pillow's decoders raise into PhotoError: `truncated` where they say so, else `reason`."""
    with warnings.catch_warnings():
        # Size is checked before decoding; Pillow's own warnings about odd files are no news.
        warnings.simplefilter("ignore")
        try:
            yield
        except Image.DecompressionBombError as error:
            raise PhotoError("bomb", str(error)) from None
        except EOFError as error:
            raise PhotoError("truncated", f"The data end early: {error}.") from None
        except (OSError, SyntaxError, ValueError, LookupError, TypeError, struct.error, cv2.error) as error:
            cut = "truncated" in str(error).lower()
            raise PhotoError("truncated" if cut else reason, f"No picture can be decoded: {error}.") from None


def _load_webp(data: bytes) -> Image.Image:
    """As Pillow decodes it, in a third of the memory: Pillow takes every WebP for an animation, with its two frames."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("libwebp refuses the data")
    if pixels.shape[2] == 4:
        cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA, dst=pixels)
        return Image.fromarray(pixels)
    cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels)
    return Image.fromarray(pixels)


# EXIF 2.3, tag 0x0112: how the camera was held, and what turns its picture upright.
_ORIENTATION = 0x0112
_TURNS: dict[int, Callable[[Pixels], Pixels]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels[::-1].swapaxes(0, 1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels[:, ::-1].swapaxes(0, 1),
}
_ON_THE_SIDE = (5, 6, 7, 8)


def _turned(pixels: Pixels, orientation: int) -> Pixels:
    return np.ascontiguousarray(_TURNS[orientation](pixels)) if orientation in _TURNS else pixels


def _orientation_of_jpeg(data: bytes) -> int:
    block = jpeg_damage.find_exif(data)
    # The tag in either byte order; most photos do without, and Pillow need not look.
    if b"\x01\x12" not in block and b"\x12\x01" not in block:
        return 1
    exif = Image.Exif()
    try:
        exif.load(block)
        return int(exif.get(_ORIENTATION, 1))
    except Exception:  # as below
        return 1


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation; 1, upright, where EXIF is absent or broken: that says nothing of the picture."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # Pillow's parser lets many kinds through
        return 1


_BAND = 256  # rows


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I;16", "I;16B", "I"):
        return _to_8_bits(image)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        white = Image.new("RGB", image.size, "white")
        for top in range(0, image.height, _BAND):  # a whole copy with alpha would be the largest thing in memory
            band = image.crop((0, top, image.width, min(top + _BAND, image.height))).convert("RGBA")
            white.paste(band, (0, top), mask=band)
        return white
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Scaled so that the brightest pixel stays below white no longer than need be; Pillow would clip instead."""
    grey = np.asarray(image)
    top = max(int(grey.max()), 255)
    levels = np.linspace(0, 65535 * 255 / top, 65536).clip(0, 255).astype(np.uint8)
    return Image.fromarray(levels[grey.astype(np.uint16, copy=False)]).convert("RGB")
