"""The car filter without a GPU: thumbnails a second, by what runs it, and what 8-bit numbers cost.

    python benchmarks/car_filter.py <folder> --weights <MobileNetV2 0.35 weights> [--rounds 3] [--out <json>]

`<folder>` holds `raw/` and a table `truth.csv` of (key, label, vehicle, kind). A linear head on the frozen backbone is
fitted on two thirds of the cars, and the network is exported as carpipe publishes one. In 8-bit numbers it is made of
thumbnails of the same cars. Both are judged on the other cars: share of right decisions at p(car) >= 0.7, and the
difference with a 95 % interval over cars.

The opponent is OpenVINO's own `benchmark_app` with the same networks: what the machine gives where nothing but the
network runs, by throughput, in the better one of batches of 1 and 32. carpipe is timed twice: the network alone, and
from JPEGs on as the stage has it.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from kept import keep  # the modules beside this one
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupShuffleSplit
from views import SIDE, photo, read_truth

from carpipe.config import CarFilterConfig
from carpipe.evaluation.viewpoints import interval
from carpipe.pictures import encode
from carpipe.pictures.model_input import to_batch
from carpipe.stages.quantize import CALIBRATED
from carpipe.steps.data.filter_network import decode_thumbnails
from carpipe.training.export import export_portable
from carpipe.weights import int8
from carpipe.weights.runtime import Network

THRESHOLD, BATCH, SECONDS = 0.7, 64, 8


def main() -> None:
    """Fit, judge, measure; print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", type=Path, required=True, help="of MobileNetV2 at 0.35, without top")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = [row for row in read_truth(options.folder) if row["label"] and row["expect"] == "keep"]
    jpegs = [encode.encode_jpeg(photo(options.folder, row["key"]), quality=85) for row in rows]
    cars, truth = (np.array([row[name] for row in rows], dtype=object) for name in ("vehicle", "label"))
    [(train, test)] = GroupShuffleSplit(1, test_size=1 / 3, random_state=1).split(cars, groups=cars)
    with tempfile.TemporaryDirectory() as scratch:
        files = networks(Path(scratch), options.weights, [jpegs[at] for at in train], truth[train] == "auto")
        says = judge(files, [jpegs[at] for at in test], truth[test] == "auto", cars[test])
        rates = measure(files, [jpegs[at] for at in test[:512]], rounds=options.rounds)
    first = float(np.median(next(iter(rates.values()))))
    table: list[list[Any]] = [
        [way, *(round(one) for one in found), round(float(np.median(found)) / first, 2)] for way, found in rates.items()
    ]
    for row in table:
        print(f"{row[0]:45} {float(np.median(row[1:-1])):7.0f} thumbnails/s, {row[-1]:.2f} times")
    print(says)
    if options.out:
        columns = ("way", *(f"thumbnails/s, round {number + 1}" for number in range(options.rounds)), "times the first")
        keep(options.out, title="The car filter, no GPU", columns=columns, rows=table, says=says)


def networks(folder: Path, weights: Path, jpegs: list[bytes], truth: Any) -> dict[str, Path]:
    """Files of the exported network and of the one made of it, by name."""
    import keras

    from carpipe.training.model import build

    network = build(CarFilterConfig(alpha=0.35, weights=str(weights)), classes=2, weights=weights)
    head = network.layers[-1]
    features = keras.Model(network.inputs, head.input).predict(to_batch(jpegs, SIDE), batch_size=32, verbose=0)
    fitted = LogisticRegression(C=0.1, max_iter=2000).fit(features, truth)
    weight, bias = fitted.coef_[0], float(fitted.intercept_[0])
    head.set_weights([np.stack([weight, np.zeros_like(weight)], axis=1), np.array([bias, 0.0])])
    network.save(folder / "filter.keras")
    made = {"float32": export_portable(folder / "filter.keras")}
    plain = save(folder / "float32", made["float32"])
    return {"float32": plain, "int8": save(folder / "int8", int8.quantize(plain, to_batch(jpegs[:CALIBRATED], SIDE)))}


def save(folder: Path, files: dict[str, bytes]) -> Path:
    """Write them; returns the network's file."""
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder / "model.xml"


def judge(files: dict[str, Path], jpegs: list[bytes], truth: Any, cars: Any) -> str:
    """What decisions are worth on cars that nothing was fitted on, in a sentence."""
    pictures = to_batch(jpegs, SIDE)
    kept = {name: Network(file).predict(pictures)[:, 0] >= THRESHOLD for name, file in files.items()}
    right = {name: found == truth for name, found in kept.items()}
    change = right["int8"].astype(float) - right["float32"]
    low, high = interval(change, cars)
    return (
        f"On {len(truth):,} photos of {len({*cars}):,} other cars {right['float32'].mean():.2%} of the decisions are "
        f"right in float32 and {right['int8'].mean():.2%} in 8-bit numbers ({100 * change.mean():+.2f} points, 95 % "
        f"from {100 * low:+.2f} to {100 * high:+.2f}); on {np.mean(kept['int8'] == kept['float32']):.2%} both decide "
        "alike."
    )


def measure(files: dict[str, Path], jpegs: list[bytes], *, rounds: int) -> dict[str, list[float]]:
    """Thumbnails a second of each way, round by round."""
    pictures = to_batch(jpegs, SIDE)
    ways: dict[str, Callable[[], float]] = {}
    for name, file in files.items():
        ways |= ways_of(name, file, jpegs, pictures)
    rates: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, rate in ways.items():
            rates[way].append(rate())
    return rates


def ways_of(name: str, file: Path, jpegs: list[bytes], pictures: Any) -> dict[str, Callable[[], float]]:
    """How to time a network: in carpipe from JPEGs on and alone, and in OpenVINO's own program."""
    network = Network(file)
    return {
        f"carpipe, {name}, from JPEGs on": timed(lambda some: network.run(decode_thumbnails(some, SIDE)), jpegs),
        f"carpipe, {name}, the network alone": timed(network.run, pictures),
        f"benchmark_app, {name}": lambda: max(benchmark_app(file, batch) for batch in (1, 32)),
    }


def timed(run: Callable[[Any], Any], what: Any) -> Callable[[], float]:
    """How many a second, in batches as the stage has them; the first comes before the clock."""

    def rate() -> float:
        run(what[:BATCH])
        started, done = time.monotonic(), 0
        while time.monotonic() < started + SECONDS:
            some = what[done % len(what) :][:BATCH]
            run(some)
            done += len(some)
        return done / (time.monotonic() - started)

    return rate


def benchmark_app(file: Path, batch: int) -> float:
    """Pictures a second, as it says itself."""
    command = [Path(sys.executable).with_name("benchmark_app"), "-m", file, "-d", "CPU", "-hint", "throughput", "-t",
               str(SECONDS), "-data_shape", f"[{batch},{SIDE},{SIDE},3]", "-infer_precision", "f32"]  # fmt: skip
    said = subprocess.run([*map(str, command)], capture_output=True, text=True, check=True).stdout
    return float(re.findall(r"Throughput:\s*([0-9.]+)", said)[0])


if __name__ == "__main__":
    main()
