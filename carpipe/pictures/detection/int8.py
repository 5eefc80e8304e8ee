"""Detectors in 8-bit numbers: made from what they see on photos, and held against what they said before."""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from carpipe import quantization
from carpipe.config import CropConfig
from carpipe.pictures.detection.cut import Found, area
from carpipe.pictures.detection.openvino_runtime import (
    METADATA,
    OpenVINONetwork,
    in_floats,
    read_metadata,
    read_model,
)

# An overlap (intersection over union) from which on two boxes cut the same car out.
SAME_BOX = 0.5
_OUTPUT_ENDS = {"Sigmoid", "Softmax"}


class Agreement(NamedTuple):
    """On how many photos there was a vehicle, and on how many of them another detector has found the same box."""

    found: int
    same: int

    @property
    def share(self) -> float:
        return self.same / self.found if self.found else 0.0


def place(file: Path, pictures: Iterable[Image.Image], *, config: CropConfig) -> list[NDArray[np.uint8]]:
    """What a detector's network sees of RGB pictures, uint8 (height, width, 3): a fraction of a photo of a phone.

    Args:
        file: as of `quantize`.
        config: as the detector will be used.
    """
    network = OpenVINONetwork(file, config=config)
    return [network.place(picture)[0] for picture in pictures]


def quantize(file: Path, placed: Sequence[NDArray[np.uint8]], *, config: CropConfig, folder: Path) -> None:
    """Write the network of an .onnx or .xml file in 8-bit numbers, as an OpenVINO folder.

    The head that tells boxes stays as it is: a coordinate has more than 256 values.

    Args:
        file: taken by `files`, or converted from what was.
        placed: what `place` made of some hundred pictures.
        config: as the detector will be used.
        folder: a new one.

    Raises:
        InputError: the package nncf is missing, or it cannot do that with this network; or nothing would be gained.
    """
    import openvino
    import yaml

    model = read_model(file)
    made = quantization.quantize(model, placed, keep=_head(model), in_numbers=partial(in_floats, pixels=config.pixels))
    folder.mkdir()
    openvino.save_model(made, folder / "detector.xml", compress_to_fp16=False)
    (folder / METADATA).write_text(yaml.safe_dump(read_metadata(file)), encoding="utf-8")


def compare(pairs: Iterable[tuple[Found | None, Found | None]]) -> Agreement:
    """How far another detector's largest vehicles are those expected: (expected, found) of each photo."""
    there = [(one, other) for one, other in pairs if one is not None]
    same = sum(other is not None and _overlap(one.box, other.box) >= SAME_BOX for one, other in there)
    return Agreement(len(there), same)


def _overlap(one: list[float], other: list[float]) -> float:
    """Intersection over union."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    both = max(across, 0.0) * max(down, 0.0)
    return both / (area(one) + area(other) - both) if both else 0.0


def _head(model: Any) -> list[str]:
    """Names of the operations that make boxes of features: those of the module that ends in the probabilities."""
    names = [operation.get_friendly_name() for operation in model.get_ordered_ops()]
    ends = [one.get_friendly_name() for one in model.get_ordered_ops() if one.get_type_name() in _OUTPUT_ENDS]
    if not ends:
        return []
    module = ends[-1].removeprefix("/").partition("/")[0]
    return [name for name in names if _is_of_head(name, module)] + ends


def _is_of_head(operation: str, module: str) -> bool:
    """Whether it is done by the module itself, or decodes its sides (`dfl`); what it calls may be rounded.

    Names as PyTorch's graphs have them, `__module.model.22/aten::cat/Concat`, and its ONNX files, `/model.22/Concat`.
    """
    first, *rest = operation.removeprefix("/").split("/")
    if operation.startswith("/"):
        return first == module and (len(rest) == 1 or rest[0] == "dfl")
    return first == module or first.startswith(f"{module}.dfl")
