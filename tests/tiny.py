"""A tiny published model with its truth in NumPy: what the clients of published weights are tested on."""

import io
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from scipy.special import softmax

from carpipe import manifest
from carpipe.config import CropConfig
from carpipe.manifest import Manifest, Work
from carpipe.no_telemetry import silence_openvino
from carpipe.sample import DETECTOR
from carpipe.steps.session import Session
from carpipe.weights import channel
from carpipe.weights.channel import Release

SIDE = 32
CELLS = 4
CLASSES = ("audi_a4", "audi_tt", "bmw_5-series", "skoda_fabia", "volkswagen_golf", "volkswagen_polo", "volvo_v40")


@dataclass(frozen=True)
class Tiny:
    """Scores how the mean colours of a 4 x 4 grid differ from their mean: softmax((cells - mean) @ weights).

    With `known`, the content of a `known.json`, it says too how like a class these are: the cosine to its weights.
    With `years`, the content of a `years.json`, by how many years a car looks newer: the sum of cells by weight.
    With `views`, names of them, it tells these too, by weights of their own.
    """

    seed: int = 0
    temperature: float = 2.0
    threshold: float = 0.6
    classes: tuple[str, ...] = CLASSES
    known: Mapping[str, Any] | None = None
    years: Mapping[str, Any] | None = None
    views: tuple[str, ...] = ()
    members: Mapping[str, Mapping[str, int]] | None = None

    @property
    def weights(self) -> Any:
        return np.random.default_rng(self.seed).normal(0, 6, (CELLS * CELLS * 3, len(self.classes))).astype(np.float32)

    @property
    def view_weights(self) -> Any:
        rng = np.random.default_rng(self.seed + 1)
        return rng.normal(0, 6, (CELLS * CELLS * 3, len(self.views))).astype(np.float32)

    @property
    def directions(self) -> Any:
        return self.weights / np.linalg.norm(self.weights, axis=0)

    def logits(self, pictures: Any) -> Any:
        return self.cells(pictures) @ self.weights

    def likeness(self, pictures: Any) -> Any:
        cells = self.cells(pictures)
        return (cells @ self.directions / np.linalg.norm(cells, axis=1, keepdims=True)).max(axis=1)

    def newer(self, pictures: Any) -> Any:
        return self.cells(pictures) @ self.weights[:, 0]

    def cells(self, pictures: Any) -> Any:
        cut = SIDE // CELLS
        cells = (pictures.astype(np.float64) / 255).reshape(-1, CELLS, cut, CELLS, cut, 3).mean(axis=(2, 4))
        cells = cells.reshape(len(pictures), -1)
        return cells - cells.mean(axis=1, keepdims=True)

    def probabilities(self, pictures: Any) -> Any:
        return softmax(self.logits(pictures), axis=1)

    def told(self, pictures: Any) -> Any:
        return softmax(self.cells(pictures) @ self.view_weights, axis=1)

    def files(self) -> dict[str, bytes]:
        """Everything of the contract but the detector."""
        pictures = np.random.default_rng(1).integers(0, 256, (8, SIDE, SIDE, 3), dtype=np.uint8)
        golden = io.BytesIO()
        answers = {"probabilities": self.probabilities(pictures).astype(np.float32)}
        if self.known is not None:
            answers["likeness"] = self.likeness(pictures).astype(np.float32)
        if self.years is not None:
            answers["year"] = self.newer(pictures).astype(np.float32)
        if self.views:
            answers["views"] = self.told(pictures).astype(np.float32)
        np.savez_compressed(golden, pictures=pictures, **answers)
        values = {
            "labels.json": self.classes,
            "preprocessing.json": {"side": SIDE, "resize": "stretch, bilinear"},
            "calibration.json": {"temperature": self.temperature, "threshold": self.threshold},
        }
        if self.known is not None:
            values["known.json"] = self.known
        if self.years is not None:
            values["years.json"] = self.years
        if self.members is not None:
            values["members.json"] = self.members
        if self.views:
            values["views.json"] = {"views": self.views, "recommended": self.views}
        return {
            **self._network(),
            **{name: json.dumps(value).encode() for name, value in values.items()},
            "golden.npz": golden.getvalue(),
        }

    def _network(self) -> dict[str, bytes]:
        silence_openvino()
        import openvino
        from openvino import opset13 as op

        cut = SIDE // CELLS
        picture = op.parameter([-1, SIDE, SIDE, 3], openvino.Type.u8, name="picture")
        scaled = op.divide(op.convert(picture, "f32"), np.float32(255))
        grid = op.reshape(scaled, np.array([-1, CELLS, cut, CELLS, cut, 3]), False)
        cells = op.reshape(op.reduce_mean(grid, np.array([2, 4]), False), np.array([-1, CELLS * CELLS * 3]), False)
        centred = op.subtract(cells, op.reduce_mean(cells, np.array([1]), True))
        outputs = [op.softmax(op.matmul(centred, op.constant(self.weights), False, False), 1)]
        if self.known is not None:
            cosines = op.matmul(op.normalize_l2(centred, np.array([1]), 1e-12, "max"),
                                op.constant(self.directions), False, False)  # fmt: skip
            outputs.append(op.reduce_max(cosines, np.array([1]), True))
            outputs[1].output(0).tensor.set_names({"likeness"})
        if self.years is not None:
            outputs.append(op.matmul(centred, op.constant(self.weights[:, :1]), False, False))
            outputs[-1].output(0).tensor.set_names({"year"})
        if self.views:
            outputs.append(op.softmax(op.matmul(centred, op.constant(self.view_weights), False, False), 1))
            outputs[-1].output(0).tensor.set_names({"views"})
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.xml"
            openvino.save_model(openvino.Model(outputs, [picture], "tiny"), path, compress_to_fp16=False)
            return {name: (path.parent / name).read_bytes() for name in ("model.xml", "model.bin")}


def crop_files(detector: Path = DETECTOR, **settings: Any) -> dict[str, bytes]:
    """`crop.json` and the detector it names."""
    config = CropConfig(**settings).model_dump(exclude={"weights", "batch"})
    name = f"detector/{detector.name}"
    policy = {"max_pixels": 40_000_000, "max_damage": 0.0, "detector": name, "detector_sha256": detector.name}
    return {"crop.json": json.dumps({**config, **policy}).encode(), name: detector.read_bytes()}


def publish(session: Session, files: dict[str, bytes], *, tag: str = "a", **extra: Any) -> Manifest:
    """Commit a model folder as the pipeline does."""
    work = Work("model", 1, "classifier", {"tag": tag}, (), home="models/classifier")
    return manifest.commit(session.store, work, files, counts={}, extra={"classes": CLASSES, **extra})


def go_live(session: Session, model: Manifest) -> Release:
    """Make it the channel's model."""
    run = uuid4().hex
    return channel.promote(session.store, "classifier", model=model.key, reason="test", run=run, at="2026-01-01")
