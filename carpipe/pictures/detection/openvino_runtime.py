"""Runs detectors on a processor with OpenVINO: exported ones of any maker, and checkpoints that were converted."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from carpipe.config import CropConfig
from carpipe.errors import InputError
from carpipe.machine import looking_at
from carpipe.no_telemetry import silence_openvino
from carpipe.pictures.detection import onnx_file
from carpipe.pictures.detection.description import ANY, describe
from carpipe.pictures.detection.letterbox import Placed, letterbox, smallest_input, stretch
from carpipe.pictures.detection.outputs import Boxes, read_boxes

# Mean and standard deviation of ImageNet's pixels, for networks that have learnt from it: 0..255, red, green, blue.
_IMAGENET = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])
METADATA = "metadata.yaml"


class OpenVINONetwork:
    """A detector that OpenVINO runs."""

    on_gpu = False

    def __init__(self, file: Path, *, config: CropConfig):
        """Load and compile.

        Args:
            file: an .onnx file or the .xml of an OpenVINO model, taken by `files`.
            config: what the model does not say of itself, and the side of its input where any will do.

        Raises:
            InputError: OpenVINO cannot read it, or it is no detector; the message is the part after "... detector: ".
        """
        self._config = config
        model = read_model(file)
        self._description = describe(
            read_metadata(file), [_shape(output.partial_shape) for output in model.outputs], config=config
        )
        self.names = self._description.names
        self._batch, self._fixed = _input_of(model)
        self._file = file
        self._request: Any = None
        # INT8 networks whose input may have any size end the process on processors with AMX (openvino 37577).
        self._one_shape: tuple[int, ...] | None = None
        if not self._fixed and _is_int8(model) and _has_amx():
            self._one_shape = ()
        if self._one_shape is None:
            self._request = compile_model(model, pixels=config.pixels)

    def shape_of(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the network's input for a picture of (width, height)."""
        side = self._config.image_size
        if self._fixed or self._description.layout == "detr":
            return self._fixed or (side, side)
        return smallest_input(size, side=side, stride=self._description.stride)

    def find(self, pictures: Sequence[Image.Image]) -> list[Boxes]:
        """What is in each RGB picture, boxes in its pixels. Pictures of one call have one shape of input."""
        placed = [self.place(picture) for picture in pictures]
        size = self._batch if self._batch != ANY else max(1, len(pictures))
        found: list[Boxes] = []
        for start in range(0, len(placed), size):
            some = placed[start : start + size]
            found += self._run(np.stack([pixels for pixels, _ in some]), [where for _, where in some], pictures[start:])
        return found

    def place(self, picture: Image.Image) -> tuple[NDArray[np.uint8], Placed]:
        """The network's input of a picture, RGB (height, width, 3), and where the picture lies in it."""
        shape = self.shape_of(picture.size)
        return stretch(picture, shape) if self._description.layout == "detr" else letterbox(picture, shape)

    def _run(self, pixels: NDArray[np.uint8], places: list[Placed], pictures: Sequence[Image.Image]) -> list[Boxes]:
        count = len(pixels)
        if self._batch not in (ANY, count):  # a network of so many at a time: the rest is filled up
            pixels = np.concatenate([pixels, np.repeat(pixels[:1], self._batch - count, axis=0)])
        outputs = [np.array(one, np.float32) for one in self._request_for(pixels).infer([pixels]).values()]
        found = read_boxes(
            self._description.layout, outputs, confidence=self._config.confidence, shape=pixels.shape[1:3]
        )
        return [
            boxes._replace(corners=where.undo(boxes.corners, picture.size))
            for boxes, where, picture in zip(found[:count], places, pictures, strict=False)
        ]

    def _request_for(self, pixels: NDArray[np.uint8]) -> Any:
        if self._one_shape is not None and self._one_shape != pixels.shape:
            model = read_model(self._file)
            count, height, width, channels = self._one_shape = pixels.shape
            model.reshape([count, channels, height, width])
            self._request = compile_model(model, pixels=self._config.pixels)
        return self._request


def read_model(file: Path) -> Any:
    """A model that OpenVINO has read. Raises InputError where it cannot."""
    silence_openvino()
    import openvino

    try:
        with looking_at(file.name, file, file.with_suffix(".bin")):
            return openvino.Core().read_model(file)
    except RuntimeError as error:
        raise InputError(str(error).strip().splitlines()[-1]) from None


def read_metadata(file: Path) -> dict[str, Any]:
    """What the maker says of a model, in the file or beside it; empty where that is nothing."""
    import yaml

    if file.suffix == ".onnx":
        return dict(onnx_file.read_metadata(file))
    beside = file.with_name(METADATA)
    found = yaml.safe_load(beside.read_text(encoding="utf-8-sig")) if beside.exists() else {}
    if not isinstance(found, dict):
        raise InputError(f"its {METADATA} is no list of names and values")
    return found


def in_floats(picture: NDArray[np.uint8], *, pixels: str) -> NDArray[np.float32]:
    """A network's input (1, 3, height, width) of RGB (height, width, 3): what `compile_model` has the network do."""
    found: NDArray[np.float32] = picture[None].transpose(0, 3, 1, 2).astype(np.float32)
    if pixels == "0-255-bgr":
        return found[:, ::-1].copy()
    mean, deviation = _IMAGENET if pixels == "imagenet" else ([0.0] * 3, [255.0] * 3)
    found -= np.array(mean, np.float32).reshape(1, 3, 1, 1)
    found /= np.array(deviation, np.float32).reshape(1, 3, 1, 1)
    return found


def compile_model(model: Any, *, pixels: str) -> Any:
    """A request to a compiled network, which takes uint8 (n, height, width, 3) in RGB."""
    from openvino import Core, Layout, Type
    from openvino.preprocess import ColorFormat, PrePostProcessor

    made = PrePostProcessor(model)
    made.input().tensor().set_element_type(Type.u8).set_layout(Layout("NHWC"))
    made.input().model().set_layout(Layout("NCHW"))
    steps = made.input().preprocess().convert_element_type(Type.f32)
    if pixels == "imagenet":
        steps.mean(_IMAGENET[0]).scale(_IMAGENET[1])
    elif pixels == "0-255-bgr":
        made.input().tensor().set_color_format(ColorFormat.RGB)
        steps.convert_color(ColorFormat.BGR)
    else:
        steps.scale(255.0)
    # Half-precision where the processor has it would be faster, and give other boxes on other machines.
    options = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    try:
        with looking_at("The network"):
            return Core().compile_model(made.build(), "CPU", options).create_infer_request()
    except RuntimeError as error:
        raise InputError(str(error).strip().splitlines()[-1]) from None


def _is_int8(model: Any) -> bool:
    return any(operation.get_type_name() == "FakeQuantize" for operation in model.get_ops())


def _has_amx() -> bool:
    with contextlib.suppress(OSError):
        return "amx_int8" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    return False


def _shape(partial: Any) -> tuple[int, ...]:
    if partial.rank.is_dynamic:
        return ()
    return tuple(ANY if length.is_dynamic else length.get_length() for length in partial)


def _input_of(model: Any) -> tuple[int, tuple[int, int] | None]:
    """Pictures at a time, and the (height, width) that they must have; None: any."""
    if len(model.inputs) != 1:
        raise InputError(f"it has {len(model.inputs)} inputs, expected one: pictures")
    shape = _shape(model.input().partial_shape)
    if len(shape) != 4 or shape[1] not in (3, ANY):
        raise InputError(f"its input has the shape {shape}, expected (pictures, 3, height, width)")
    batch, _, height, width = shape
    return batch, None if ANY in (height, width) else (height, width)
