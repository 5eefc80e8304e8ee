"""Pictures that are no JPEG: decoded by Pillow, OpenCV or libheif, and measured.

The decoders get the picture's own data alone: what is in the metadata never decides about it.
"""

import io
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
from PIL import Image

from carpipe.pictures.bmp_damage import measure_bmp
from carpipe.pictures.chunks import png_picture, webp_picture
from carpipe.pictures.gif_damage import measure_gif
from carpipe.pictures.heif_damage import measure_heif
from carpipe.pictures.jpeg_decoders import Pixels, sufficient
from carpipe.pictures.metadata import EXIF_SIZE, orientation_of
from carpipe.pictures.photo_error import PhotoError
from carpipe.pictures.png_damage import measure_png, png_size
from carpipe.pictures.webp_damage import measure_webp

CheckSize = Callable[[int, int, int], None]
_BAND = 256  # rows
# Bytes. Where no picture is found in so many, the rest does not tell why. Pillow looks at each alone.
_ENOUGH_TO_TELL = 1 << 20
_PNG_HEADER = 29  # bytes up to the end of what a PNG says of its pixels
_RGB_MODES = ("RGB", "RGBA", "RGBX", "P", "PA")
# Bytes a pixel costs in memory at most, as measured. libwebp reserves 16 for a lossless picture; an animation keeps
# two more frames.
_PILLOW_COST, _HEIF_COST, _WEBP_COST, _ANIMATION_COST = 16, 16, 20, 40


@dataclass(frozen=True)
class Decoded:
    """A picture in RGB, uint8 (height, width, 3), as stored.

    `size` is (width, height) of the whole picture, also where the pixels are fewer. `damage`, `ends_early`: as of a
    JPEG. `profile` and `orientation` are those of containers that only their decoder reads. `is_rgb`: it is stored
    so, and a profile for RGB is about it.
    """

    pixels: Pixels
    size: tuple[int, int]
    damage: float = 0.0
    ends_early: bool = False
    profile: bytes = b""
    orientation: int | None = None
    is_rgb: bool = True


def decode_other(data: bytes, name: str, *, check_size: CheckSize, enough: int) -> Decoded:
    """Decode and measure.

    Args:
        data: the file.
        name: its format, one of `formats.FORMATS` but JPEG.
        check_size: called with width, height and the bytes a pixel costs, before memory is spent.
        enough: pixels of both sides that suffice. 0: full size.

    Raises:
        PhotoError: nothing can be decoded, or the size is refused.
    """
    picture = _PICTURES[name](data) if name in _PICTURES else data
    try:
        decoded = _DECODERS[name](picture, check_size, enough)
    except PhotoError as error:
        damage, ends_early = 0.0, False
        if error.reason != "bomb":
            _check_refused(picture, name, check_size)
            damage, ends_early = _measure(data, picture, name)
        if not damage:
            raise
        raise PhotoError("truncated" if ends_early else "damaged", str(error), damage=damage) from None
    damage, ends_early = _measure(data, picture, name)
    return replace(decoded, damage=damage, ends_early=ends_early)


def _check_refused(picture: bytes, name: str, check_size: CheckSize) -> None:
    """Measuring a PNG unpacks it, also where the decoder could not tell its size."""
    if name == "PNG" and len(picture) >= _PNG_HEADER:
        check_size(*png_size(picture), _PILLOW_COST)


def _measure(data: bytes, picture: bytes, name: str) -> tuple[float, bool]:
    """Share that is not known to be whole, and whether the file ends early. What cannot be measured is not blamed."""
    try:
        if name == "PNG":
            return measure_png(picture), False
        return _MEASURES[name](data)
    except (PhotoError, MemoryError):
        raise
    except Exception:  # whatever hostile bytes lead to: the decoder has the last word
        return 0.0, False


@contextmanager
def decoding(reason: str) -> Iterator[None]:
    """Turn what decoders raise into PhotoError: `truncated` where they say so, else `reason`."""
    with warnings.catch_warnings():
        # Size is checked before decoding; Pillow's own warnings about odd files are no news.
        warnings.simplefilter("ignore")
        try:
            yield
        except Image.DecompressionBombError as error:
            raise PhotoError("bomb", str(error)) from None
        except EOFError as error:
            raise PhotoError("truncated", f"The data end early: {error}.") from None
        except PhotoError:
            raise
        except (OSError, SyntaxError, ValueError, LookupError, TypeError, RuntimeError, struct.error) as error:
            cut = "truncated" in str(error).lower()
            raise PhotoError("truncated" if cut else reason, f"No picture can be decoded: {error}.") from None
        except cv2.error as error:
            raise PhotoError(reason, f"No picture can be decoded: {error}.") from None


def no_picture(data: bytes, name: str) -> PhotoError:
    """Why there is no picture in a file that begins like one."""
    try:
        with decoding("not_an_image"):
            Image.open(io.BytesIO(data[:_ENOUGH_TO_TELL]), formats=(name,)).load()
    except PhotoError as error:
        return error
    return PhotoError("damaged", "The picture cannot be measured.", damage=1.0)


def _decode_webp(data: bytes, check_size: CheckSize, enough: int) -> Decoded:
    """As Pillow decodes it, in a third of the memory: Pillow takes every WebP for an animation, with its two frames."""
    with decoding("not_an_image"):
        opened = Image.open(io.BytesIO(data), formats=("WEBP",))
        size, animated = opened.size, bool(getattr(opened, "is_animated", False))
    if animated:
        return _decode_by_pillow(data, check_size, enough, name="WEBP", cost=_ANIMATION_COST)
    del opened
    check_size(*size, _WEBP_COST)
    with decoding("damaged"):
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if pixels is None:
            raise ValueError("libwebp refuses the data")
        swap = cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB
        cv2.cvtColor(pixels, swap, dst=pixels)
        return Decoded(_scaled(_to_rgb(Image.fromarray(pixels)), enough), size)


def _decode_heif(data: bytes, check_size: CheckSize, enough: int) -> Decoded:
    import pillow_heif  # for few photos

    with decoding("not_an_image"):
        opened = pillow_heif.open_heif(data, convert_hdr_to_8bit=True)
        width, height = opened.size
    check_size(width, height, _HEIF_COST)
    with decoding("damaged"):
        image = opened.to_pillow()
        profile = image.info.get("icc_profile") or b""
        # libheif has turned the picture as its container says; what EXIF says on top is for those that do not.
        is_rgb = image.mode in _RGB_MODES
        pixels = _scaled(_to_rgb(image), enough)
        return Decoded(pixels, (width, height), profile=profile, orientation=1, is_rgb=is_rgb)


def _decode_avif(data: bytes, check_size: CheckSize, enough: int) -> Decoded:
    with decoding("not_an_image"):
        info = Image.open(io.BytesIO(data), formats=("AVIF",)).info
    decoded = _decode_by_pillow(data, check_size, enough, name="AVIF", cost=_HEIF_COST)
    # Pillow puts into EXIF what the container says.
    turn = orientation_of((info.get("exif") or b"")[:EXIF_SIZE])
    return replace(decoded, profile=info.get("icc_profile") or b"", orientation=turn)


def _decode_by_pillow(
    data: bytes, check_size: CheckSize, enough: int, *, name: str, cost: int = _PILLOW_COST
) -> Decoded:
    with decoding("not_an_image"):
        opened = Image.open(io.BytesIO(data), formats=(name,))
        size = opened.size
    check_size(*size, cost)
    with decoding("damaged"):
        opened.load()
        is_rgb = opened.mode in _RGB_MODES
        image = _to_rgb(opened)
        del opened
        return Decoded(_scaled(image, enough), size, is_rgb=is_rgb)


def _scaled(image: Image.Image, enough: int) -> Pixels:
    least = sufficient(image.size, enough)
    factor = min(image.width // least[0], image.height // least[1]) if least else 1
    return np.array(image.reduce(factor) if factor >= 2 else image)


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


_PICTURES = {"PNG": png_picture, "WEBP": webp_picture}
_DECODERS: dict[str, Callable[[bytes, CheckSize, int], Decoded]] = {
    "PNG": partial(_decode_by_pillow, name="PNG"),
    "GIF": partial(_decode_by_pillow, name="GIF"),
    "BMP": partial(_decode_by_pillow, name="BMP"),
    "WEBP": _decode_webp,
    "HEIF": _decode_heif,
    "AVIF": _decode_avif,
}
_MEASURES: dict[str, Callable[[bytes], tuple[float, bool]]] = {
    "GIF": lambda data: (measure_gif(data), False),
    "BMP": measure_bmp,
    "WEBP": measure_webp,
    "HEIF": measure_heif,
    "AVIF": measure_heif,
}
