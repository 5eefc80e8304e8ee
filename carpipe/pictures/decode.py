"""Photos decoded: all of the data, upright, in sRGB, with a measure of what is missing.

Everybody who looks at a photo (stages, training, consumers of the weights) decodes it here, so all see
the same pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image

from carpipe.pictures import budget, jpeg_damage
from carpipe.pictures.colour import to_srgb
from carpipe.pictures.formats import FORMATS, sniff
from carpipe.pictures.jpeg_decoders import Pixels
from carpipe.pictures.jpeg_segments import END, Stream, mended
from carpipe.pictures.metadata import read_orientation, read_profile
from carpipe.pictures.other_formats import CheckSize, Decoded, decode_other, no_picture
from carpipe.pictures.photo_error import PhotoError

__all__ = ["FORMATS", "PhotoError", "Picture", "decode", "read"]

# Bytes. What a pixel may cost in memory where there are max_pixels of them, and what a picture may cost in any case.
# Formats that cost more a pixel may have fewer.
PIXEL_COST, PICTURE_COST = 8, 880_000_000
# Pixels of both sides that finding and cutting out vehicles can use: of a fifth of it a crop is made. Larger photos are
# read at a fraction of their size, with `enough`.
DETAIL = 2048


@dataclass(frozen=True)
class Picture:
    """A decoded photo: uint8 (height, width, 3), sRGB, upright.

    `size` is (width, height) of the whole picture, also where the pixels are fewer (`read`). `damage` is the share
    that is not known to be whole. `repaired` is a file that shows the same, where this one was made whole, and `repair`
    says how. Of its metadata there is left what the picture looks like by.
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
        max_pixels: a larger picture is refused before memory is spent on it, and one whose format takes more than
            `PICTURE_COST` for it. What else a photo may cost grows with it (`budget`).
        max_damage: share, 0 to 1; a picture of which more is not known to be whole is refused.
        enough: pixels of both sides that suffice; larger pictures come smaller, for less memory and time. 0: full size.

    Raises:
        PhotoError: reason `empty`, `not_an_image`, `unsupported_format`, `bomb` (it costs more to decode
            than a photo may), `truncated` (the data end early) or `damaged` (they are wrong).
    """
    if not data:
        raise PhotoError("empty", "The file is empty.")
    name = sniff(data)
    if name is None:
        raise PhotoError("not_an_image", "The file is none that is known.")
    if name not in FORMATS:
        raise PhotoError("unsupported_format", f"{name} is not read; {', '.join(FORMATS)} are.", format=name)
    check_size = partial(_check_size, max_pixels=max_pixels)
    stream, repaired = None, None
    if name == "JPEG":
        stream = jpeg_damage.find_picture(data)
        decoded, repaired = _read_jpeg(data, stream, check_size=check_size, enough=enough, max_pixels=max_pixels)
    else:
        budget.check_other(data, name, max_pixels=max_pixels)
        decoded = decode_other(data, name, check_size=check_size, enough=enough)
    _check_damage(decoded, max_damage)
    turn = decoded.orientation or read_orientation(data, name, stream)
    profile = (decoded.profile or read_profile(data, name, stream)) if decoded.is_rgb else b""
    pixels = to_srgb(decoded.pixels, profile) if decoded.is_rgb else decoded.pixels
    if repaired is not None:
        repaired = mended(repaired, orientation=turn if turn in _TURNS else 1, profile=profile)
    size = decoded.size[::-1] if turn in _ON_THE_SIDE else decoded.size
    return Picture(
        _turned(pixels, turn), name, size, decoded.damage, repaired, "end_marker" if repaired is not None else None
    )


def _read_jpeg(
    data: bytes, stream: Stream, *, check_size: CheckSize, enough: int, max_pixels: int
) -> tuple[Decoded, bytes | None]:
    frame = stream.frame
    if frame is None:
        raise no_picture(data, "JPEG")
    width, height = jpeg_damage.size_of(data, frame)
    check_size(width, height, jpeg_damage.pixel_cost(stream))
    decodes = jpeg_damage.decodes(stream)
    budget.check_jpeg(data, stream, (width, height), max_pixels=max_pixels, decodes=decodes)
    if stream.end is not None:
        data = data[: stream.end + len(END)]  # as far as was looked at
    try:
        jpeg = jpeg_damage.decode_jpeg(data, stream, enough=enough)
    except ValueError as error:
        raise PhotoError("damaged", f"Nothing can be decoded: {error}.", damage=1.0) from None
    is_rgb = frame.body[5] == 3
    return Decoded(jpeg.pixels, (width, height), jpeg.damage, jpeg.ends_early, is_rgb=is_rgb), jpeg.repaired


def _check_damage(decoded: Decoded, limit: float) -> None:
    if decoded.damage > limit:
        share = f"{decoded.damage:.1%}" if decoded.damage >= 0.001 else "Less than 0.1%"
        allowed = f"{limit:.1%} may be damaged" if limit else "no damage is allowed"
        message = f"{share} of the picture is missing or not known to be whole; {allowed}."
        raise PhotoError("truncated" if decoded.ends_early else "damaged", message, damage=decoded.damage)


def _check_size(width: int, height: int, cost: int, *, max_pixels: int) -> None:
    most = min(max_pixels, max(max_pixels * PIXEL_COST, PICTURE_COST) // max(cost, 1))
    if width * height > most:
        raise PhotoError("bomb", f"{width}x{height} pixels are more than {most}.")


# By EXIF orientation (EXIF 2.3, tag 0x0112).
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
