"""A photo decoded for those who look at its pixels, in a child process (`isolation`): what the child runs.

It imports nothing of the pipeline but the decoding. Pixels go to the parent as they are.
"""

import json
import time
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image

from carpipe.pictures import decode
from carpipe.pictures.cost import expected_seconds
from carpipe.pictures.isolation import Answer, Death
from carpipe.pictures.jpeg_decoders import Pixels

cv2.setNumThreads(1)  # processes are what runs in parallel
Image.init()  # its formats, or the first photo pays for it

# The function that `Isolated` wants.
LOOK = "carpipe.pictures.look:look"


@dataclass(frozen=True)
class Visible:
    """A photo's pixels, uint8 (height, width, 3), sRGB, upright.

    `size` is (width, height) of the whole picture, `seconds` what decoding it has cost of a processor.
    """

    pixels: Pixels
    size: tuple[int, int]
    seconds: float


@dataclass(frozen=True)
class Refused:
    """Why there are no pixels: `reason` as in the photo table.

    `seconds` is what finding out has cost of a processor. Null where its process did not survive it, and `death` says
    why.
    """

    reason: str
    message: str = ""
    format: str | None = None
    damage: float | None = None
    seconds: float | None = None
    death: Death | None = None


def settings_for(*, max_pixels: int, max_damage: float, enough: int, most_s: float = 0.0) -> str:
    """Settings of `look`: limits as of `decode.read`; `most_s`: as of `look`."""
    return json.dumps({"max_pixels": max_pixels, "max_damage": max_damage, "enough": enough, "most_s": most_s})


def look(data: bytes, settings: str) -> tuple[bytes, bytes]:
    """Decode one photo. Facts as JSON, and pixels.

    Args:
        data: the file.
        settings: as of `settings_for`. What is expected to cost more than `most_s` seconds of a processor is not
            decoded: its facts are `expensive`. 0: everything is.
    """
    started = time.process_time()
    limits = json.loads(settings)
    most_s = limits.pop("most_s")
    try:
        if most_s and expected_seconds(data, max_pixels=limits["max_pixels"]) > most_s:
            return _facts(expensive=True), b""
        picture = decode.read(data, **limits)
    except decode.PhotoError as error:
        facts: dict[str, Any] = {
            "reason": error.reason,
            "message": str(error),
            "format": error.format,
            "damage": error.damage,
        }
    except MemoryError:
        facts = {"reason": "poison", "message": "It takes more memory than it may."}
    else:
        facts = {"shape": picture.pixels.shape, "size": picture.size}
    pixels = b"" if "reason" in facts else picture.pixels.tobytes()
    return _facts(**facts, seconds=time.process_time() - started), pixels


def _facts(**facts: Any) -> bytes:
    return json.dumps(facts).encode()


def understood(answer: Answer) -> Visible | Refused | None:
    """What `look` has answered; None where it is for another lane, being expensive."""
    if isinstance(answer, Death):
        return Refused("poison", f"{answer.value[0].upper()}{answer.value[1:]}.", death=answer)
    facts: dict[str, Any] = json.loads(answer[0])
    if facts.get("expensive"):
        return None
    if "reason" in facts:
        return Refused(**facts)
    width, height = facts["size"]
    return Visible(np.frombuffer(answer[1], np.uint8).reshape(facts["shape"]), (width, height), facts["seconds"])
