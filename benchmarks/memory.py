"""Peak memory and speed of `clean` and `crop` on large photos, and of `clean` on small ones.

    python benchmarks/memory.py [--photos 200] [--megabytes 8] [--small 2000]

Photos are of noise, about as large as asked for, each in a listing of its own. `crop` has a detector that finds
nothing, so that what is seen is reading and decoding. Each task has a process of its own; that of `clean` has a child,
whose peak is told apart.
"""

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from uuid import UUID

import numpy as np
from PIL import Image

from carpipe import manifest
from carpipe import photos as table
from carpipe.config import load_config
from carpipe.local.s3server import s3server
from carpipe.pictures.detection.cut import Found
from carpipe.pictures.detection.detector import Detector
from carpipe.stages import crop as crop_stage
from carpipe.steps import results
from carpipe.steps.data.clean import clean
from carpipe.steps.data.inventory import inventory, latest_inventory
from carpipe.steps.data.raw import Raw, objects_of
from carpipe.steps.session import Session, open_session

QUALITY = 92


def key_of(number: int) -> str:
    """The key of a photo, in a listing of its own."""
    return f"vw_golf_2014/{number}_1_{UUID(int=number)}_{UUID(int=number)}.jpg"


def draw(megabytes: float) -> bytes:
    """A JPEG of about that size; noise takes some 0.9 bytes a pixel at this quality."""
    side = max(64, round((megabytes * 1e6 / 1.1) ** 0.5))
    noise = np.random.default_rng(20).integers(0, 256, (side, side, 3), dtype=np.uint8)
    sink = io.BytesIO()
    Image.fromarray(noise).save(sink, "JPEG", quality=QUALITY)
    return sink.getvalue()


def run_clean(session: Session) -> int:
    """The step, over all partitions; returns how many photos."""
    stock = latest_inventory(session)
    assert stock is not None
    return sum(clean(session, part["manifest"], inventory=stock.key).counts["in"] for part in stock.partitions)


class Blind(Detector):
    """A detector that finds nothing, and loads nothing."""

    def __init__(self) -> None:
        pass

    def shape_of(self, size: tuple[int, int]) -> tuple[int, int]:
        return size[::-1]

    def largest(self, pictures: list[Image.Image]) -> list[Found | None]:
        return [None] * len(pictures)


def run_crop(session: Session) -> int:
    """What the step does without its detector: read and decode."""
    stock, number = latest_inventory(session), 0
    assert stock is not None
    for part in stock.partitions:
        photos = results.read_photos(session.store, manifest.read(session.store, part["manifest"]))
        source = Raw(session, objects_of(session, table.kept(photos), partition=part["partition"]))
        config = session.config
        crop_stage.crop(source, detector=Blind(), config=config.crop, max_pixels=config.clean.max_pixels)
        number += len(photos)
    return number


def measure(task: str, url: str) -> None:
    """Run one task in this process, and print its figures as JSON."""
    session = open_session(load_config(None, {"store.url": url}))
    before = _peak()
    started = time.perf_counter()
    photos = {"clean": run_clean, "crop": run_crop}[task](session)
    seconds = time.perf_counter() - started
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024 if task == "clean" else 0
    print(json.dumps({"before": before, "peak": _peak(), "child": child, "rate": photos / seconds}))


def _peak() -> float:
    """MiB, of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def report(name: str, task: str, url: str) -> None:
    """Print a line about a task, run in a process of its own."""
    command = [sys.executable, __file__, "--task", task, "--url", url]
    done = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    print(
        f"{name:<22} {done['before']:>7.0f} MiB before, {done['peak']:>7.0f} at its peak, {done['child']:>7.0f} in the "
        f"child, {done['rate']:>8.1f} photos/s",
        flush=True,
    )


def main() -> None:
    """Print the peaks and the speed of each task, for large photos and for small ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--megabytes", type=float, default=8.0)
    parser.add_argument("--small", type=int, default=2000)
    parser.add_argument("--task", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        measure(options.task, options.url)
        return
    with tempfile.TemporaryDirectory() as folder, s3server(Path(folder)) as settings:
        os.environ.update(settings.env())
        for name, megabytes, count in (("large", options.megabytes, options.photos), ("small", 0.02, options.small)):
            url = f"s3://{settings.bucket}/{name}"
            session = open_session(load_config(None, {"store.url": url}))
            photo = draw(megabytes)
            for number in range(count):
                session.store.put(f"raw/{key_of(number)}", photo + number.to_bytes(4, "big"))
            inventory(session)
            print(f"{name}: {count} photos of {len(photo) / 1e6:.2f} MB")
            for task in ("clean", "crop"):
                report(f"{task}, {name} photos", task, url)


if __name__ == "__main__":
    main()
