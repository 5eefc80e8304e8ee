"""Finding vehicles without a GPU: photos a second, by what runs the detector.

    python benchmarks/detection.py <folder of photos> [--weights <a .pt>] [--photos 64] [--rounds 3] [--out <json>]

Beside carpipe's ways stands what a good engineer would take without it: ultralytics' own `predict`, on PyTorch and on
the OpenVINO folder that its `export` writes. All see the same pictures of 640x480, in rounds one after the other, so
that a machine that slows down slows down all. Without `--weights` the network is a YOLOv5m that has learnt nothing: as
fast as one that has. In 8-bit numbers it cannot be checked then, so its boxes are not counted.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from kept import keep  # the module beside this one
from PIL import Image

from carpipe.config import CropConfig
from carpipe.pictures.detection import int8
from carpipe.pictures.detection.detector import Detector, for_openvino
from carpipe.pictures.detection.ultralytics_runtime import import_ultralytics

SIZE = (640, 480)
Find = Callable[[list[Image.Image]], Any]


def main() -> None:
    """Measure; print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--photos", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    pictures = read(options.folder, options.photos)
    with tempfile.TemporaryDirectory() as scratch:
        weights = options.weights or untrained(Path(scratch))
        rates = measure(ways(weights, pictures, Path(scratch)), pictures, rounds=options.rounds)
    rows: list[list[Any]] = [
        [name, batch, *(round(rate, 2) for rate in found)] for (name, batch), found in rates.items()
    ]
    first = float(np.median(rows[0][2:]))
    for row in rows:
        row.append(round(float(np.median(row[2:])) / first, 2))
        print(f"{row[0]:45} {row[1]:2} at a time: {float(np.median(row[2:-1])):6.2f} photos/s, {row[-1]:.2f} times")
    if options.out:
        rounds = [f"photos/s, round {number + 1}" for number in range(options.rounds)]
        title = f"YOLOv5m on {len(pictures)} photos of 640x480, no GPU"
        keep(options.out, title=title, columns=("way", "photos at a time", *rounds, "times the first"), rows=rows)


def read(folder: Path, count: int) -> list[Image.Image]:
    """The first photos that can be read, all of one size."""
    found: list[Image.Image] = []
    for path in sorted(folder.rglob("*.jpg")):
        try:
            found.append(Image.open(path).convert("RGB").resize(SIZE))
        except (OSError, SyntaxError):
            continue
        if len(found) == count:
            break
    return found


def untrained(folder: Path) -> Path:
    """A checkpoint of YOLOv5m with COCO's names."""
    yolo = import_ultralytics()("yolov5m.yaml", task="detect", verbose=False)
    yolo.model.names = {number: {2: "car", 7: "truck"}.get(number, f"class {number}") for number in range(80)}
    yolo.save(folder / "untrained.pt")
    return folder / "untrained.pt"


def ways(weights: Path, pictures: list[Image.Image], scratch: Path) -> dict[tuple[str, int], Find]:
    """What runs it, by name and pictures at a time."""
    copy = scratch / "own.pt"
    copy.write_bytes(weights.read_bytes())
    pytorch = import_ultralytics()(str(copy), task="detect")
    exported = import_ultralytics()(
        pytorch.export(format="openvino", imgsz=640, dynamic=True, verbose=False), task="detect"
    )
    options = {"imgsz": 640, "verbose": False}

    def predict(model: Any) -> Find:
        return lambda some: model.predict([np.asarray(one)[:, :, ::-1] for one in some], **options)

    in_8_bits = scratch / "int8"
    with for_openvino(weights, config=CropConfig(runtime="openvino")) as file:
        placed = int8.place(file, pictures[:32], config=CropConfig())
        int8.quantize(file, placed, config=CropConfig(), folder=in_8_bits)
    carpipe = {
        "carpipe, torch": Detector(weights, config=CropConfig(runtime="torch")),
        "carpipe, OpenVINO": Detector(weights, config=CropConfig(runtime="openvino")),
        "carpipe, OpenVINO, 8-bit numbers": Detector(in_8_bits, config=CropConfig()),
    }
    return {
        ("ultralytics' predict, PyTorch", 1): predict(pytorch),
        ("ultralytics' predict, its OpenVINO export", 1): predict(exported),
        ("ultralytics' predict, its OpenVINO export", 8): predict(exported),
        **{(name, 8): detector.largest for name, detector in carpipe.items()},
    }


def measure(
    found: dict[tuple[str, int], Find], pictures: list[Image.Image], *, rounds: int
) -> dict[tuple[str, int], list[float]]:
    """Photos a second of each way, round by round; the first pictures come before the clock."""
    rates: dict[tuple[str, int], list[float]] = {way: [] for way in found}
    for _ in range(rounds):
        for (name, batch), find in found.items():
            find(pictures[:batch])
            started = time.monotonic()
            for start in range(0, len(pictures) - batch + 1, batch):
                find(pictures[start : start + batch])
            rates[name, batch].append(len(pictures) // batch * batch / (time.monotonic() - started))
    return rates


if __name__ == "__main__":
    main()
