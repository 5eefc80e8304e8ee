"""What a detector's file says of itself, or the settings in its place: input, outputs, classes.

Exports of ultralytics carry metadata: names of classes, stride, task. Others carry none: then `crop.names` says the
classes, `crop.pixels` how pixels are scaled, and `crop.layout` the outputs, where their shapes leave a choice.
"""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from carpipe.config import CropConfig
from carpipe.errors import InputError
from carpipe.names import brief
from carpipe.pictures.detection.coco import COCO, COCO_91

# Of an output's shape, a length that the input decides.
ANY = -1
_STRIDE = 32
# Boxes that are told apart already are at most a thousand; places where there may be one are more.
_MOST_TOLD_APART = 1000
_MAX_CLASSES = 10_000

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Description:
    """How a detector is fed and read.

    Attributes:
        names: of its classes, by number.
        layout: of its outputs; see `outputs`.
        stride: pixels that height and width of its input are multiples of.
    """

    names: Mapping[int, str]
    layout: str
    stride: int = _STRIDE


def describe(metadata: Mapping[str, Any], outputs: Sequence[Shape], *, config: CropConfig) -> Description:
    """What is known of a detector.

    Args:
        metadata: as ultralytics writes it beside an exported model; empty where there is none.
        outputs: shapes of the network's outputs, `ANY` where the input decides.
        config: the settings win over the metadata.

    Raises:
        InputError: it is a model for another task, names no classes, or its outputs have no layout that is known.
    """
    if (task := metadata.get("task", "detect")) != "detect":
        raise InputError(f"it is a model for another task than detection: {brief(repr(task))}")
    names = _given_names(config.names) or _read_names(metadata.get("names"))
    if not names:
        raise InputError("it does not say the names of its classes; set crop.names, for COCO to `coco` or `coco91`")
    layout = _layout_of(outputs, classes=len(names)) if config.layout == "auto" else config.layout
    _check_layout(layout, outputs)
    return Description(names, layout, stride=_read_stride(metadata.get("stride")))


def _given_names(names: Sequence[str]) -> dict[int, str]:
    known = {"coco": COCO, "coco91": COCO_91}.get(names[0], names) if len(names) == 1 else names
    return dict(enumerate(known))


def _read_names(value: Any) -> dict[int, str]:
    """ultralytics writes a dictionary; into ONNX files as text."""
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            raise InputError("its metadata names no classes: `names` is not what ultralytics writes") from None
    if isinstance(value, list):
        value = dict(enumerate(value))
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > _MAX_CLASSES or not all(
        isinstance(number, int) and isinstance(name, str) for number, name in value.items()
    ):  # fmt: skip
        raise InputError("its metadata names no classes: `names` is not what ultralytics writes")
    return value


def _read_stride(value: Any) -> int:
    text = str(_STRIDE if value is None else value)
    if not text.isdecimal() or not 1 <= int(text) <= 256:
        raise InputError(f"its metadata has a stride that is none: {brief(repr(value))}")
    return int(text)


def _layout_of(outputs: Sequence[Shape], *, classes: int) -> str:
    """By the shapes: only one layout can have them, given the number of classes."""
    if _is_detr(outputs):
        return "detr"
    if len(outputs) == 1 and len(outputs[0]) == 3:
        _, rows, last = outputs[0]
        if rows == 4 + classes:
            return "yolo"
        found = {4 + classes: "detr", 5 + classes: "yolov5", 6: "boxes"}.get(last)
        if found == "boxes" and classes == 1 and not 0 < rows <= _MOST_TOLD_APART:
            return "yolov5"
        if found:
            return found
    raise InputError(
        f"its outputs have the shapes {', '.join(map(str, outputs))}, which is no layout that is known for {classes} "
        "classes; name it with crop.layout, or export another one"
    )


def _is_detr(outputs: Sequence[Shape]) -> bool:
    return len(outputs) == 2 and all(len(one) == 3 for one in outputs) and 4 in (outputs[0][2], outputs[1][2])


def _check_layout(layout: str, outputs: Sequence[Shape]) -> None:
    if layout == "detr" and _is_detr(outputs):
        return
    if not outputs or len(outputs[0]) != 3 or (layout == "boxes" and outputs[0][2] not in (6, ANY)):
        shapes = ", ".join(map(str, outputs))
        raise InputError(f"its outputs have the shapes {shapes}, which is not the layout {layout}")
