"""Boxes from what detectors give, whatever the layout.

| layout | outputs | of |
| --- | --- | --- |
| yolo | (n, 4 + classes, boxes): centre and size in pixels, probabilities | ultralytics' YOLO v5u, v8, v9, 11 |
| yolov5 | (n, boxes, 5 + classes): the same behind a probability that there is a thing at all | YOLOv5, YOLOX, YOLOv7 |
| boxes | (n, boxes, 6): corners in pixels, confidence, class; told apart already | YOLO v10, 26; exports with NMS |
| detr | (n, boxes, 4): centre and size as shares, and (n, boxes, classes): logits | RF-DETR, RT-DETR, D-FINE |
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# Boxes of one class that overlap by more than this are one thing, and so many are kept: ultralytics' figures.
_SAME, _MOST = 0.7, 300

Array = NDArray[np.float32]


class Boxes(NamedTuple):
    """What is in one picture: corners x0 y0 x1 y1 in pixels (n, 4), confidences (n,), numbers of classes (n,)."""

    corners: Array
    scores: Array
    classes: NDArray[np.int64]


def read_boxes(layout: str, outputs: Sequence[Array], *, confidence: float, shape: tuple[int, int]) -> list[Boxes]:
    """The things in each picture of a batch that the network is at least so sure of.

    Args:
        layout: see above.
        outputs: those of the network, in its order.
        confidence: smallest one, from 0 to 1.
        shape: height and width of the network's input, in pixels.
    """
    if layout == "detr":
        return _of_queries(*_queries(outputs), confidence=confidence, shape=shape)
    if layout == "boxes":
        return [_sure(one[:, :4], one[:, 4], one[:, 5].astype(np.int64), confidence) for one in outputs[0]]
    rows = outputs[0].transpose(0, 2, 1) if layout == "yolo" else outputs[0]
    return [_without_doubles(_of_row(one, confidence, with_object=layout == "yolov5")) for one in rows]


def _of_row(rows: Array, confidence: float, *, with_object: bool) -> Boxes:
    probabilities = rows[:, 5:] * rows[:, 4:5] if with_object else rows[:, 4:]
    scores, classes = probabilities.max(axis=1), probabilities.argmax(axis=1)
    return _sure(_corners(rows[:, :4]), scores, classes, confidence)


def _queries(outputs: Sequence[Array]) -> tuple[Array, Array]:
    """Boxes and probabilities: two outputs with logits in either order, or one that ultralytics has made of them."""
    if len(outputs) == 1:
        return outputs[0][:, :, :4], outputs[0][:, :, 4:]
    boxes, logits = outputs if outputs[0].shape[2] == 4 else reversed(outputs)
    return boxes, (1 / (1 + np.exp(-logits.astype(np.float64)))).astype(np.float32)


def _of_queries(boxes: Array, probabilities: Array, *, confidence: float, shape: tuple[int, int]) -> list[Boxes]:
    """Each query has a box, and a probability of each class by itself."""
    height, width = shape
    found = []
    for places, sure in zip(boxes, probabilities, strict=True):
        corners = _corners(places * np.array([width, height, width, height], np.float32))
        found.append(_sure(corners, sure.max(axis=1), sure.argmax(axis=1), confidence))
    return found


def _corners(boxes: Array) -> Array:
    middle, half = boxes[:, :2], boxes[:, 2:4] / 2
    return np.concatenate([middle - half, middle + half], axis=1)


def _sure(corners: Array, scores: Array, classes: Any, confidence: float) -> Boxes:
    kept = (scores > confidence) & np.isfinite(corners).all(axis=1)
    return Boxes(corners[kept], scores[kept], classes[kept])


def _without_doubles(boxes: Boxes) -> Boxes:
    import cv2

    if not len(boxes.scores):
        return boxes
    sizes = np.concatenate([boxes.corners[:, :2], boxes.corners[:, 2:] - boxes.corners[:, :2]], axis=1)
    found = cv2.dnn.NMSBoxesBatched(sizes.tolist(), boxes.scores.tolist(), boxes.classes.tolist(), 0.0, _SAME)
    kept = np.array(found, np.int64)[:_MOST]
    return Boxes(boxes.corners[kept], boxes.scores[kept], boxes.classes[kept])
