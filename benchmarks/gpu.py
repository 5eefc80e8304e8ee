"""What a machine with a GPU does: photos/s of detection and training, GPU share, memory, time spent waiting for photos.

    KERAS_BACKEND=torch python benchmarks/gpu.py [--seconds 20] [--batch 64] [--workers 8] [--device cuda]

Needs torch, torchvision, keras, ultralytics, pillow and pydantic; no TensorFlow, no network, no weights: networks are
built from their descriptions with random weights, photos are noise of the size of a listing's photos. Each is measured
against what one would write instead, in the same run: the classifier against torchvision's EfficientNet-B1 in a plain
torch loop on the same batches, the detector against one call of ultralytics per photo.
"""

import argparse
import contextlib
import io
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import torch
from PIL import Image

from carpipe.config import ClassifierConfig, CropConfig
from carpipe.pictures.model_input import to_array

CLASSES = 512
PHOTO = (380, 250)
NAMES = {number: {2: "car", 7: "truck"}.get(number, f"class-{number}") for number in range(80)}


@dataclass
class Measured:
    """One row of the table; `share` is the GPU's, in per cent, as its driver has it."""

    photos: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    memory_mb: float = 0.0
    share: list[float] = field(default_factory=list)

    def row(self, name: str) -> str:
        share = f"{np.mean(self.share):.0f} %" if self.share else "?"
        waiting = f"{self.waited / self.seconds:.1%}"
        return f"{name:<44} {self.photos / self.seconds:>9.1f} {waiting:>8} {share:>10} {self.memory_mb:>10.0f}"


class Photos(torch.utils.data.IterableDataset[Any]):  # type: ignore[misc]  # torch is taken to have no types
    """Endless JPEGs, decoded and stretched as the pipeline does it: (uint8 picture, class number)."""

    def __init__(self, jpegs: list[bytes], side: int):
        self._jpegs, self._side = jpegs, side

    def __iter__(self) -> Iterator[Any]:
        number = 0
        while True:
            jpeg = self._jpegs[number % len(self._jpegs)]
            yield to_array(Image.open(io.BytesIO(jpeg)), self._side).copy(), number % CLASSES
            number += 1


def main() -> None:
    """Measure each way, print the table and the ratios."""
    options = parse()
    device = options.device
    jpegs = draw(256)
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    print(f"{name}, torch {torch.__version__}, Keras on {os.environ['KERAS_BACKEND']}, batch {options.batch}\n")
    print(f"{'':<44} {'photos/s':>9} {'waiting':>8} {'GPU share':>10} {'memory MB':>10}")
    config = ClassifierConfig(weights="none", batch=options.batch)
    ways: dict[str, Callable[[], Measured]] = {
        "train: carpipe, EfficientNetB1, 240 px": lambda: measure_training(
            keras_step(config, device), config, jpegs, options
        ),
        "train: torchvision, plain loop": lambda: measure_training(torch_step(device), config, jpegs, options),
        "detect: carpipe, YOLOv5m, batches": lambda: measure_detection(jpegs, options, at_a_time=CropConfig().batch),
        "detect: YOLOv5m, a call per photo": lambda: measure_detection(jpegs, options, at_a_time=1),
    }
    speeds = []
    for label, way in ways.items():
        found = way()
        print(found.row(label), flush=True)
        speeds.append(found.photos / found.seconds)
    print(f"\ncarpipe trains {speeds[0] / speeds[1]:.2f} and detects {speeds[2] / speeds[3]:.2f} times as fast")


def parse() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20, help="of each measurement, after warming up")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--workers", type=int, default=min(16, os.cpu_count() or 1), help="processes that decode")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


def draw(count: int) -> list[bytes]:
    """JPEGs of smooth noise, about 20 kB each."""
    random = np.random.default_rng(0)
    jpegs = []
    for _ in range(count):
        small = Image.fromarray(random.integers(0, 256, (40, 60, 3), np.uint8))
        file = io.BytesIO()
        small.resize(PHOTO, Image.Resampling.BICUBIC).save(file, "JPEG", quality=88)
        jpegs.append(file.getvalue())
    return jpegs


def keras_step(config: ClassifierConfig, device: str) -> Callable[[Any, Any], None]:
    """One training step of the network as carpipe builds and compiles it."""
    import keras

    from carpipe.training import model

    keras.mixed_precision.set_global_policy("mixed_float16" if device == "cuda" else "float32")
    network = model.build(config, classes=CLASSES, weights=None)
    network.compile("adam", keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing))

    def step(pictures: Any, labels: Any) -> None:
        network.train_on_batch(pictures, torch.nn.functional.one_hot(labels, CLASSES).float())

    return step


def torch_step(device: str) -> Callable[[Any, Any], None]:
    """The same by hand: torchvision's network, autocast, gradient scaling."""
    from torchvision.models import efficientnet_b1

    network = efficientnet_b1(num_classes=CLASSES).to(device).train()
    optimizer = torch.optim.Adam(network.parameters())
    scaler = torch.amp.GradScaler(device, enabled=device == "cuda")

    def step(pictures: Any, labels: Any) -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.float16, enabled=device == "cuda"):
            scores = network(pictures.to(device, non_blocking=True).permute(0, 3, 1, 2).float() / 255)
            loss = torch.nn.functional.cross_entropy(scores, labels.to(device), label_smoothing=0.1)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        loss.item()  # Keras reports the loss of every step too

    return step


def measure_training(
    step: Callable[[Any, Any], None], config: ClassifierConfig, jpegs: list[bytes], options: argparse.Namespace
) -> Measured:
    """Steps on batches that worker processes decode; the first ones, which compile and fill caches, do not count."""
    source = Photos(jpegs, config.image_size)
    batches = iter(
        torch.utils.data.DataLoader(
            source, options.batch, num_workers=options.workers, pin_memory=options.device == "cuda"
        )
    )
    for _ in range(3):
        step(*next(batches))
    with watched(options.device) as found:
        started = time.monotonic()
        while time.monotonic() - started < options.seconds:
            before = time.monotonic()
            pictures, labels = next(batches)
            found.waited += time.monotonic() - before
            step(pictures, labels)
            found.photos += len(labels)
        found.seconds = time.monotonic() - started
    return found


def measure_detection(jpegs: list[bytes], options: argparse.Namespace, *, at_a_time: int) -> Measured:
    """Decoding and finding the largest vehicle, photo after photo or in batches."""
    from carpipe.pictures.detection.detector import Detector
    from carpipe.pictures.detection.ultralytics_runtime import import_ultralytics

    with tempfile.TemporaryDirectory() as folder:
        untrained = import_ultralytics()("yolov5m.yaml", task="detect", verbose=False)
        untrained.model.names = NAMES
        path = Path(folder) / "untrained.pt"  # names of its releases ultralytics would look for elsewhere
        untrained.save(path)
        detector = Detector(path, config=CropConfig())
    for _ in range(2):
        detector.largest([Image.open(io.BytesIO(jpeg)).convert("RGB") for jpeg in jpegs[:at_a_time]])
    with watched(options.device) as found:
        started = time.monotonic()
        while time.monotonic() - started < options.seconds:
            before = time.monotonic()
            pictures = [
                Image.open(io.BytesIO(jpegs[(found.photos + n) % len(jpegs)])).convert("RGB") for n in range(at_a_time)
            ]
            found.waited += time.monotonic() - before
            detector.largest(pictures)
            found.photos += at_a_time
        found.seconds = time.monotonic() - started
    return found


@contextlib.contextmanager
def watched(device: str) -> Iterator[Measured]:
    """Notes the GPU's share every half second and its peak memory while the block runs."""
    found, ended = Measured(), threading.Event()
    if device != "cuda":
        yield found
        return
    thread = threading.Thread(target=note_shares, args=(found, ended), daemon=True)
    torch.cuda.reset_peak_memory_stats()
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()
    found.memory_mb = torch.cuda.max_memory_allocated() / 2**20


def note_shares(found: Measured, ended: threading.Event) -> None:
    """Ask the driver until the measurement has ended."""
    query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    while not ended.wait(0.5):
        done = subprocess.run(query, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            found.share.append(float(done.stdout.split()[0]))


if __name__ == "__main__":
    main()
