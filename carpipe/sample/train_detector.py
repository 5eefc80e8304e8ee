"""Trains the detector of the sample world from nothing, and measures it on a world that it has not seen.

    python -m carpipe.sample.train_detector --out carpipe/sample/detector.pt

Takes about 20 minutes on 2 busy cores and no download. The measured figures go to a JSON file beside the weights.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from carpipe.sample.photo import Box
from carpipe.sample.world import Truth, World, draw_world, parse_boxes

CLASSES = ("car", "truck")
IMAGE_SIZE = 320  # pixels, long side
DEPTH, WIDTH = 0.33, 0.125  # of the YOLOv8 family; its smallest member has 0.33, 0.25
CONFIDENCE = 0.25  # below this a detection does not count


@dataclass(frozen=True)
class Training:
    """What to train on, and for how long."""

    listings: int = 130  # cars in the training world, about 920 photos
    held_out: int = 60  # cars in the held-out world, about 450 photos
    seed: int = 71_000  # of the training world; the held-out world has the next one
    epochs: int = 32
    batch: int = 16


@dataclass(frozen=True)
class Score:
    """How well the largest car of a frame is found, IoU 0.5 or more."""

    recall: float  # frames whose largest car is met by the largest detection
    precision: float  # of those frames' largest detections
    right_class: float  # met, and named car or truck as it is
    false_positive_rate: float  # interiors and details in which a car is seen
    exteriors: int
    others: int


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True, help="where the weights go; figures beside them, .json")
    parser.add_argument("--epochs", type=int, default=Training.epochs)
    parser.add_argument("--listings", type=int, default=Training.listings)
    given = parser.parse_args(arguments)
    training = Training(epochs=given.epochs, listings=given.listings)
    with tempfile.TemporaryDirectory(prefix="carpipe-") as name:
        work = Path(name)
        os.environ["YOLO_CONFIG_DIR"] = str(work / "settings")
        start = time.monotonic()
        images = train(training, work, given.out)
        score = measure(given.out, draw_world(work / "unseen", seed=training.seed + 1, listings=training.held_out))
    report = _report(training, score, images, time.monotonic() - start)
    given.out.with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=2))


def train(training: Training, work: Path, out: Path) -> int:
    """Trains in `work`, writes the stripped weights to `out`, and returns the number of photos used."""
    from carpipe.pictures.detection.ultralytics_runtime import import_ultralytics

    world = draw_world(work / "seen", seed=training.seed, listings=training.listings)
    data, images = write_yolo_dataset(world, work / "yolo")
    model = import_ultralytics()(str(write_architecture(work / "yolov8n-sample.yaml")))
    model.train(
        data=str(data), imgsz=IMAGE_SIZE, epochs=training.epochs, batch=training.batch,
        optimizer="AdamW", lr0=0.002, cos_lr=True, warmup_epochs=1.0, close_mosaic=10, cls=1.0,
        device="cpu", workers=1, amp=False, plots=False, val=False, verbose=False,
        seed=training.seed, deterministic=True, project=str(work), name="run",
    )  # fmt: skip
    strip_weights(work / "run" / "weights" / "last.pt", out)
    return images


def write_architecture(path: Path) -> Path:
    """The YOLOv8 architecture, made narrower and with our two classes."""
    from ultralytics.nn.tasks import yaml_model_load

    layout: dict[str, Any] = yaml_model_load("yolov8n.yaml")
    layout |= {"nc": len(CLASSES), "scales": {"n": [DEPTH, WIDTH, 1024]}}
    # Cars fill these frames, so the finest of the three grids (stride 8, layer 15) would cost half the time
    # and find nothing.
    layout["head"][-1][0] = [18, 21]
    kept = {key: layout[key] for key in ("nc", "scales", "backbone", "head")}
    path.write_text(json.dumps(kept), encoding="utf-8")  # JSON is YAML
    return path


def write_yolo_dataset(world: World, folder: Path) -> tuple[Path, int]:
    """Links the sound photos and writes their boxes for ultralytics; returns its YAML and their number."""
    from PIL import Image

    images, labels = folder / "images", folder / "labels"
    images.mkdir(parents=True)
    labels.mkdir()
    chosen = sound_photos(world)
    for i, photo in enumerate(chosen):
        source = world.raw / photo.key
        (images / f"{i}.jpg").symlink_to(source.resolve())
        with Image.open(source) as image:
            lines = [_yolo_line(box, image.size) for box in parse_boxes(photo.boxes)]
        (labels / f"{i}.txt").write_text("\n".join(lines), encoding="utf-8")
    data = {"path": str(folder), "train": "images", "val": "images", "names": list(CLASSES)}
    (folder / "data.yaml").write_text(json.dumps(data), encoding="utf-8")
    return folder / "data.yaml", len(chosen)


def sound_photos(world: World) -> list[Truth]:
    """Originals and banners: no broken files, no copies."""
    return [photo for photo in world.photos if photo.kind in ("original", "banner")]


def _yolo_line(box: Box, size: tuple[int, int]) -> str:
    width, height = size
    x, y = (box.x0 + box.x1) / 2 / width, (box.y0 + box.y1) / 2 / height
    wide, tall = (box.x1 - box.x0) / width, (box.y1 - box.y0) / height
    return f"{CLASSES.index(box.kind)} {x:.6f} {y:.6f} {wide:.6f} {tall:.6f}"


def strip_weights(trained: Path, out: Path) -> None:
    """Half precision, no optimizer, and nothing that tells where it was trained."""
    import torch
    from ultralytics.utils.torch_utils import strip_optimizer

    stripped = strip_optimizer(trained)
    kept = ("imgsz", "epochs", "batch", "optimizer", "lr0", "cos_lr", "close_mosaic", "seed", "task", "mode")
    arguments = {key: stripped["train_args"][key] for key in kept}
    model = stripped["model"]
    model.args = dict(arguments)
    model.yaml.pop("yaml_file", None)
    model.pt_path = None
    checkpoint = {
        "model": model, "epoch": -1, "best_fitness": None, "ema": None, "updates": None, "optimizer": None,
        "train_args": arguments, "version": stripped["version"], "license": stripped["license"],
    }  # fmt: skip
    # A fixed name: torch puts the file's own name into the archive.
    with out.open("wb") as file:
        torch.save(checkpoint, file)


def measure(weights: Path, world: World) -> Score:
    """Looks for the largest car in every sound photo of a world."""
    from carpipe.pictures.detection.ultralytics_runtime import import_ultralytics

    model = import_ultralytics()(str(weights), task="detect")
    frames = met = named = seen = others = false = 0
    for photo in sound_photos(world):
        found = largest_detection(model, world.raw / photo.key)
        if photo.label == "no_auto":
            others += 1
            false += found is not None
            continue
        truth = max(parse_boxes(photo.boxes), key=lambda box: box.area)
        hit = found is not None and overlap(found, truth) >= 0.5
        frames += 1
        seen += found is not None
        met += hit
        named += hit and found is not None and found.kind == truth.kind
    return Score(
        recall=round(met / frames, 4),
        precision=round(met / max(1, seen), 4),
        right_class=round(named / frames, 4),
        false_positive_rate=round(false / max(1, others), 4),
        exteriors=frames,
        others=others,
    )


def largest_detection(model: Any, path: Path) -> Box | None:
    """The largest car that an ultralytics model finds in a photo."""
    boxes = model.predict(str(path), imgsz=IMAGE_SIZE, conf=CONFIDENCE, device="cpu", verbose=False)[0].boxes
    found = [
        Box(CLASSES[int(kind)], *(round(side) for side in corners))
        for kind, corners in zip(boxes.cls.tolist(), boxes.xyxy.tolist(), strict=True)
    ]
    return max(found, key=lambda box: box.area, default=None)


def overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    wide, tall = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
    shared = max(0, wide) * max(0, tall)
    return shared / (a.area + b.area - shared)


def _report(training: Training, score: Score, images: int, seconds: float) -> dict[str, Any]:
    import ultralytics

    return {
        **asdict(score),
        "classes": list(CLASSES),
        "image_size": IMAGE_SIZE,
        "confidence": CONFIDENCE,
        "training_images": images,
        **asdict(training),
        "seconds": round(seconds),
        "ultralytics": ultralytics.__version__,
        "command": "python -m carpipe.sample.train_detector --out carpipe/sample/detector.pt",
    }


if __name__ == "__main__":
    main(sys.argv[1:])
