"""Feeding the training: how much of a step is spent waiting for photos, and how much memory that takes.

    python benchmarks/training.py <raw> [--photos 1500] [--steps 30]

`<raw>` holds `<make>_<model>_<year>/*.jpg`. Its photos are scaled to the size of crops and written twice: as TFRecord
shards, which carpipe trains from, and as a folder per class for `keras.utils.image_dataset_from_directory`, which one
would use instead; carpipe also augments. Both feed the same network (MobileNetV2 0.35 at 240 px, from scratch), and
then nobody: how fast they could be. Each is measured in a process of its own, so that peak memory is its own too.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from carpipe.config import ClassifierConfig

SIDE = 240
CONFIG = ClassifierConfig(backbone="MobileNetV2", alpha=0.35, weights="none", image_size=SIDE, batch=32)


def main() -> None:
    """Write the photos, measure each way to feed them, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("raw", type=Path)
    parser.add_argument("--photos", type=int, default=1500)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        way, folder, copies = options.measure
        print(json.dumps(measure(way, Path(folder), copies=int(copies), steps=options.steps)))
        return
    with tempfile.TemporaryDirectory(prefix="carpipe-benchmark-") as folder:
        count = write(options.raw, Path(folder), most=options.photos)
        print(f"{count:,} photos, {options.steps} steps of {CONFIG.batch} at {SIDE} px\n")
        print(f"{'':<34} {'waiting':>8} {'photos/s':>9} {'data alone':>11} {'peak MB':>8}")
        found = {}
        for way, copies in (("shards", 1), ("shards", 8), ("folders", 1)):
            found[way, copies] = row = run(options, folder, way, copies)
            name = f"{'carpipe, TFRecord' if way == 'shards' else 'image_dataset_from_directory'} x{copies}"
            speeds = f"{row['photos_s']:>9.1f} {row['alone']:>9.0f}/s"
            print(f"{name:<34} {row['waiting']:>8.1%} {speeds} {row['peak_mb']:>8.0f}")
        ours, theirs = found["shards", 1], found["folders", 1]
        print(f"\ncarpipe's data alone is {ours['alone'] / theirs['alone']:.2f} times as fast")
        print(f"8 times the photos take {found['shards', 8]['peak_mb'] / ours['peak_mb']:.2f} times the memory")


def run(options: argparse.Namespace, folder: str, way: str, copies: int) -> dict[str, float]:
    """One measurement in a process of its own."""
    command = [sys.executable, __file__, str(options.raw), "--steps", str(options.steps)]
    done = subprocess.run([*command, "--measure", way, folder, str(copies)], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def write(raw: Path, folder: Path, *, most: int) -> int:
    """The photos as shards and as folders; returns how many."""
    from PIL import Image

    from carpipe.pictures.encode import encode_jpeg
    from carpipe.training.data import write_shard

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
    """Share of the steps' time spent waiting, photos/s with and without training, and peak memory."""
    import keras

    from carpipe.training import model

    classes = sorted(path.name for path in (folder / "folders").iterdir())
    network = model.build(CONFIG, classes=len(classes), weights=None)
    network.compile("adam", "categorical_crossentropy", jit_compile=False)
    keras.utils.set_random_seed(1)
    waited, total = train(network, endless(way, folder, classes, copies), steps)
    batches = endless(way, folder, classes, copies)
    next(batches)
    started = time.monotonic()
    for _ in range(3 * steps):
        next(batches)
    alone = 3 * steps * CONFIG.batch / (time.monotonic() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"waiting": waited / total, "photos_s": steps * CONFIG.batch / total, "alone": alone, "peak_mb": peak}


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
    """Epoch after epoch of batches, ours augmented."""
    import keras

    from carpipe.training.data import Shards, training_batches

    if way == "shards":
        paths = sorted((folder / "shards").glob("*.tfrecord")) * copies
        photos = len(list((folder / "folders").glob("*/*.jpg"))) * copies
        epoch = 0
        while True:
            yield from training_batches(Shards(paths, photos), classes, config=CONFIG, epoch=epoch)
            epoch += 1
    photos_of = keras.utils.image_dataset_from_directory(
        folder / "folders", label_mode="categorical", image_size=(SIDE, SIDE), batch_size=CONFIG.batch, verbose=False
    )
    while True:
        yield from photos_of.prefetch(2)


if __name__ == "__main__":
    main()
