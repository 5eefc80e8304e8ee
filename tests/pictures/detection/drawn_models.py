"""Detectors that say what they are told, as OpenVINO folders: one of each layout, without a maker."""

import numpy as np
import openvino
import yaml
from openvino import opset13 as ops

SIDE = 64


def save_model(folder, *, layout, boxes, names, metadata=None, first_channel=False):
    """An OpenVINO folder of a network that finds `boxes` in every picture, (corners, class, confidence) each.

    Its input is (any, 3, 64, 64). With `first_channel`, its first number is the mean of its first channel instead.
    """
    folder.mkdir()
    pixels = ops.parameter([-1, 3, SIDE, SIDE], np.float32, name="images")
    channel = ops.gather(pixels, ops.constant(0), ops.constant(1))
    mean = ops.reduce_mean(channel, ops.constant([1, 2]), True)  # (n, 1, 1)
    classes = max(len(names), 3, *(number + 1 for _, number, _ in boxes))
    outputs = []
    for values in drawn(layout, boxes, classes):
        at = np.zeros_like(values)
        at[0, 0] = 1
        zero = ops.multiply(mean, ops.constant(np.zeros_like(values)))  # as many as there are pictures
        said = ops.add(zero, ops.constant(values))
        if first_channel:
            said = ops.add(ops.multiply(said, ops.constant(1 - at)), ops.multiply(mean, ops.constant(at)))
        outputs.append(ops.result(said))
    openvino.save_model(openvino.Model(outputs, [pixels]), folder / "detector.xml", compress_to_fp16=False)
    known = {"task": "detect", "names": dict(enumerate(names))} if names else {}
    (folder / "metadata.yaml").write_text(yaml.safe_dump({**known, **(metadata or {})}))
    return folder


def drawn(layout, boxes, classes):
    """The outputs of one picture, without the axis of pictures but for broadcasting: (1, rows, columns)."""
    corners = np.array([box for box, _, _ in boxes], np.float32)
    middles = np.concatenate([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], axis=1)
    sure = np.zeros((len(boxes), classes), np.float32)
    for row, (_, number, score) in zip(sure, boxes, strict=True):
        row[number] = score
    logits = np.log(np.clip(sure, 1e-6, 1 - 1e-6) / (1 - np.clip(sure, 1e-6, 1 - 1e-6)))
    if layout == "yolo":
        return [np.concatenate([middles, sure], axis=1).T[None]]
    if layout == "yolov5":
        thing = np.full((len(boxes), 1), 0.5, np.float32)
        return [np.concatenate([middles, thing, np.minimum(sure * 2, 2)], axis=1)[None]]
    if layout == "boxes":
        last = np.array([[score, number] for _, number, score in boxes], np.float32)
        return [np.concatenate([corners, last], axis=1)[None]]
    if layout == "detr-in-one":
        return [np.concatenate([middles / SIDE, sure], axis=1)[None]]
    return [(middles / SIDE)[None], logits[None]][:: 1 if layout == "detr" else -1]
