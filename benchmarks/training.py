"""Feeding the training: photos per second, what they cost, how much of a step is spent waiting, and how much memory.

    python benchmarks/training.py <raw> [--photos 1500] [--steps 30] [--rounds 3] [--out <json>]

`<raw>` holds `<make>_<model>_<year>/*.jpg`. Its photos are scaled to the size of crops and written twice: as TFRecord
shards, which carpipe trains from, and as a folder per class, for what one would use instead: PyTorch's DataLoader with
simplejpeg and torchvision (a worker per core, the same augmentation), and `keras.utils.image_dataset_from_directory`,
which does not augment. Each feeds nobody first: how fast it could be. Then all feed the same network (MobileNetV2 0.35
at 240 px, from scratch). Each is measured in a process of its own, so that peak memory is its own too; that of
PyTorch's workers is not counted. Rounds take turns, and the median is shown: other programs slow down all alike.
"""

import argparse
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from kept import keep  # the module beside this one

from carpipe.config import ClassifierConfig

SIDE = 240
CONFIG = ClassifierConfig(backbone="MobileNetV2", alpha=0.35, weights="none", image_size=SIDE, batch=32)
# Of PyTorch's, as it wants to be told; tf.data takes all cores by itself.
WORKERS = os.cpu_count() or 1


# By name in the table: the way, and how often the photos are there.
WAYS = {
    "carpipe, training x1": ("shards", 1),
    "carpipe, training x8": ("shards", 8),
    "carpipe, evaluation x1": ("evaluation", 1),
    "PyTorch DataLoader x1": ("torch", 1),
    "image_dataset_from_directory x1": ("folders", 1),
}


def main() -> None:
    """Write the photos, measure each way to feed them, print the table."""
    options = parse()
    if options.measure:
        way, folder, copies = options.measure
        print(json.dumps(measure(way, Path(folder), copies=int(copies), steps=options.steps)))
        return
    with tempfile.TemporaryDirectory(prefix="carpipe-benchmark-") as folder:
        count = write(options.raw, Path(folder), most=options.photos)
        print(f"{count:,} photos, {options.steps} steps of {CONFIG.batch} at {SIDE} px, {os.cpu_count()} cores\n")
        print(f"{'':<32} {'data alone':>11} {'CPU a photo':>12} {'waiting':>8} {'training':>11} {'peak MB':>8}")
        rounds = [{name: run(options, folder, *way) for name, way in WAYS.items()} for _ in range(options.rounds)]
    found = {
        name: {key: statistics.median(one[name][key] for one in rounds) for key in rounds[0][name]} for name in WAYS
    }
    for name, row in found.items():
        speeds = f"{row['alone']:>9.0f}/s {row['cpu_ms']:>9.2f} ms {row['waiting']:>8.1%} {row['photos_s']:>9.1f}/s"
        print(f"{name:<32} {speeds} {row['peak_mb']:>8.0f}")
    compare(found)
    if options.out:
        rows = [
            [name, number, round(one["alone"]), round(one["cpu_ms"], 2), round(100 * one["waiting"], 1),
             round(one["photos_s"], 1), round(one["peak_mb"])]
            for name in WAYS for number, one in enumerate((of[name] for of in rounds), 1)
        ]  # fmt: skip
        columns = ("way", "round", "fed alone, photos/s", "CPU ms a photo", "waiting, % of a step",
                   "in a training, photos/s", "peak MB")  # fmt: skip
        keep(
            options.out, title=f"Feeding a training, batches of {CONFIG.batch} at {SIDE} px", columns=columns, rows=rows
        )


def parse() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("raw", type=Path)
    parser.add_argument("--photos", type=int, default=1500)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def compare(found: dict[str, dict[str, float]]) -> None:
    """Ratios to what one would use instead."""
    ours, more, _, *others = found
    print()
    for name in others:
        faster = found[ours]["alone"] / found[name]["alone"]
        cost = found[ours]["cpu_ms"] / found[name]["cpu_ms"]
        print(f"carpipe's data alone is {faster:.2f} times as fast as {name[:-3]}, at {cost:.2f} of its CPU time")
    print(f"8 times the photos take {found[more]['peak_mb'] / found[ours]['peak_mb']:.2f} times the memory")


def run(options: argparse.Namespace, folder: str, way: str, copies: int) -> dict[str, float]:
    """One measurement in a process of its own."""
    command = [sys.executable, __file__, str(options.raw), "--steps", str(options.steps)]
    done = subprocess.run([*command, "--measure", way, folder, str(copies)], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def write(raw: Path, folder: Path, *, most: int) -> int:
    """The photos as shards and as folders; returns how many."""
    from PIL import Image

    from carpipe.pictures.encode import encode_jpeg
    from carpipe.tfrecord import write_shard

    records = []
    for path in sorted(raw.glob("*/*.jpg")):
        try:
            image = Image.open(path).convert("RGB").resize((320, 214))
        except (OSError, Image.DecompressionBombError):  # raw/ holds broken files too
            continue
        class_name = path.parent.name.rpartition("_")[0]
        jpeg = encode_jpeg(image, quality=90)
        target = folder / "folders" / class_name.replace("/", "-") / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(jpeg)
        records.append((path.name, class_name, jpeg))
        if len(records) == most:
            break
    (folder / "shards").mkdir()
    for number in range(8):
        write_shard(folder / "shards" / f"{number}.tfrecord", records[number::8])
    return len(records)


def measure(way: str, folder: Path, *, copies: int, steps: int) -> dict[str, float]:
    """Photos/s and milliseconds of CPU each without training; share of steps spent waiting and photos/s with it."""
    classes = sorted(path.name for path in (folder / "folders").iterdir())
    batches = endless(way, folder, classes, copies)
    next(batches)
    started, before = time.monotonic(), cpu_seconds()
    for _ in range(3 * steps):
        next(batches)
    photos = 3 * steps * CONFIG.batch
    alone = {"alone": photos / (time.monotonic() - started), "cpu_ms": 1000 * (cpu_seconds() - before) / photos}

    # Not before: PyTorch's workers are forked, which a process with TensorFlow's threads should not be.
    import keras

    from carpipe.training import model

    keras.utils.set_random_seed(1)
    network = model.build(CONFIG, classes=len(classes), weights=None)
    network.compile("adam", "categorical_crossentropy", jit_compile=False)
    waited, total = train(network, batches, steps)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**alone, "waiting": waited / total, "photos_s": steps * CONFIG.batch / total, "peak_mb": peak}


def cpu_seconds() -> float:
    """Of this process and its children."""
    this = psutil.Process()
    times = [one.cpu_times() for one in (this, *this.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def train(network: Any, batches: Iterator[Any], steps: int) -> tuple[float, float]:
    """Seconds waited for batches, and seconds in all; the first step, which compiles, is left out."""
    network.train_on_batch(*next(batches))
    waited, started = 0.0, time.monotonic()
    for _ in range(steps):
        before = time.monotonic()
        batch = next(batches)
        waited += time.monotonic() - before
        network.train_on_batch(*batch)
    return waited, time.monotonic() - started


def endless(way: str, folder: Path, classes: list[str], copies: int) -> Iterator[Any]:
    """Epoch after epoch of batches."""
    if way == "torch":
        return by_torch(folder / "folders", classes)
    if way == "folders":
        return by_keras(folder / "folders")
    return by_carpipe(folder, classes, copies, augmented=way == "shards")


def by_carpipe(folder: Path, classes: list[str], copies: int, *, augmented: bool) -> Iterator[Any]:
    """From shards, augmented or as they are."""
    from carpipe.training.data import Shards, evaluation_batches, training_batches

    paths = sorted((folder / "shards").glob("*.tfrecord")) * copies
    shards = Shards(paths, len(list((folder / "folders").glob("*/*.jpg"))) * copies)
    for epoch in itertools.count():
        if augmented:
            yield from training_batches(shards, classes, config=CONFIG, epoch=epoch)
        else:
            yield from evaluation_batches(shards, classes, config=CONFIG)


def by_keras(folder: Path) -> Iterator[Any]:
    """From folders, without augmentation."""
    import keras

    photos = keras.utils.image_dataset_from_directory(
        folder, label_mode="categorical", image_size=(SIDE, SIDE), batch_size=CONFIG.batch, verbose=False
    )
    while True:
        yield from photos.prefetch(2)


def by_torch(folder: Path, classes: list[str]) -> Iterator[Any]:
    """From folders, augmented as ours, but for brightness, which torchvision multiplies."""
    import simplejpeg
    import torch
    from torchvision.transforms import v2

    paths = sorted(folder.glob("*/*.jpg"))
    turn = v2.RandomAffine(
        CONFIG.rotation, scale=(1 - CONFIG.zoom, 1 + CONFIG.zoom), interpolation=v2.InterpolationMode.BILINEAR
    )
    light = v2.ColorJitter(brightness=CONFIG.brightness)
    change = v2.Compose([v2.Resize((SIDE, SIDE), antialias=True), v2.RandomHorizontalFlip(), turn, light])

    class Photos(torch.utils.data.Dataset[Any]):  # type: ignore[misc]  # torch is taken to have no types
        def __len__(self) -> int:
            return len(paths)

        def __getitem__(self, number: int) -> Any:
            pixels = simplejpeg.decode_jpeg(paths[number].read_bytes())
            label = torch.zeros(len(classes))
            label[classes.index(paths[number].parent.name)] = 1
            return change(torch.from_numpy(pixels).permute(2, 0, 1)), label

    loader = torch.utils.data.DataLoader(
        Photos(), batch_size=CONFIG.batch, shuffle=True, num_workers=WORKERS, persistent_workers=True
    )
    while True:
        for pictures, labels in loader:
            yield pictures.permute(0, 2, 3, 1).numpy(), labels.numpy()


if __name__ == "__main__":
    main()
