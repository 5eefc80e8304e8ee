"""Nights on real cars: what a training that starts from the last night's model costs, and whether it is as good.

    python benchmarks/warm_starts.py <models196> --weights <backbone weights> [--nights 10] [--classes 60] [--size 128]
        [--first-photos 0.5] [--first-classes 0.8] [--cold-every 1] [--folder <kept models>]

`<models196>` and `<backbone weights>` are those of `benchmarks/recipe.py`. Photos arrive from night to night, and so do
classes; on some nights two classes become one. Each night is trained three times, by the code of a night:

- cold, with `--epochs` epochs,
- warm, with a fifth of them, from the warm model of the night before; the first night is cold,
- cold with that fifth: what the warm start has to beat.

With `--cold-every 3` the two cold ones are trained on the first night and on each third after it: the chain of warm
starts is as long, and costs less to judge. With `--folder` a run that was stopped goes on with the models it has.

All answer the same test photos. Reports their accuracy by night, and the mean difference over all nights with a
95 % interval over photos (a photo counts with all of its nights). `--repeat` trains on photos of the last night so many
times more; `--set '{"warm_shrink": 0.8}'` tries settings.
"""

import argparse
import contextlib
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import recipe  # the benchmark beside this one

from carpipe.config import ClassifierConfig

Record = tuple[str, str, bytes]
# How a night is trained.
WAYS = ("cold", "warm", "short")
# Two classes become one on every so many nights.
MERGES = 3


@dataclass(frozen=True)
class Night:
    """What there is: records by part, keys of those that came last, and by class the classes of before."""

    parts: dict[str, list[Record]]
    new: frozenset[str]
    before: dict[str, list[str]]

    @property
    def classes(self) -> list[str]:
        return sorted({name for _, name, _ in self.parts["train"]})


def main() -> None:
    """Run the nights, print the table."""
    options = parse()
    data = recipe.read(options.models, only=options.classes)
    records = {name: part.records for name, part in data.items()}
    nights = nights_of(records, options.nights, photos=options.first_photos, classes=options.first_classes)
    print(f"{'night':>5} {'classes':>8} {'photos':>7} {'cold':>7} {'warm':>7} {'cold, as short':>15}", flush=True)
    right: list[dict[str, dict[str, bool]]] = []
    with contextlib.ExitStack() as stack:
        home = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="carpipe-warm-")))
        model, known = None, list[str]()
        for number, night in enumerate(nights, 1):
            ways = WAYS if (number - 1) % options.cold_every == 0 else ("warm",)
            found, model = judged(night, options, ways, folder=home / str(number), model=model, known=known)
            known = night.classes
            shares = " ".join(
                f"{np.mean([*found[way].values()]):>7.4f}" if way in found else f"{'':>7}" for way in WAYS
            )
            print(f"{number:>5} {len(known):>8} {len(night.parts['train']):>7,} {shares}", flush=True)
            right.append(found)
    right = [found for found in right[1:] if "cold" in found]
    for name in ("warm", "short"):
        mean, low, high = difference(right, name, "cold")
        print(f"{name} - cold: {100 * mean:+.2f} points, 95 % from {100 * low:+.2f} to {100 * high:+.2f}")


def parse() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path)
    parser.add_argument("--weights", required=True, help="of MobileNetV2 0.35 without its top, as Keras keeps them")
    parser.add_argument("--nights", type=int, default=10)
    parser.add_argument("--classes", type=int, default=60, help="the first so many alone; 0: all")
    parser.add_argument("--first-photos", type=float, default=0.5, help="share of the photos there on the first night")
    parser.add_argument(
        "--first-classes", type=float, default=0.8, help="share of the classes there on the first night"
    )
    parser.add_argument("--cold-every", type=int, default=1, help="nights from one cold training to the next")
    parser.add_argument("--folder", type=Path, help="keep the models here, and go on from those that are there")
    parser.add_argument("--size", type=int, default=128, help="pixels of the pictures' side")
    parser.add_argument("--epochs", type=int, default=30, help="of a cold training; a warm one has a fifth")
    parser.add_argument("--repeat", type=int, default=0, help="how often more a new photo is trained on")
    parser.add_argument("--set", type=json.loads, default={}, help="settings, as JSON")
    return parser.parse_args()


def nights_of(parts: dict[str, list[Record]], count: int, *, photos: float, classes: float) -> list[Night]:
    """What there is on each night, the same on every run."""
    random = np.random.default_rng(5)
    names = sorted({name for _, name, _ in parts["train"]})
    first_seen = dict(zip(random.permutation(names), arrivals(len(names), classes, count), strict=True))
    came: dict[str, int] = {}
    for records in parts.values():
        keys = [key for key, _, _ in records]
        came |= dict(zip(random.permutation(keys), arrivals(len(keys), photos, count), strict=True))
    pairs = iter(list(zip(names[::2], names[1::2], strict=False)))
    merged: dict[str, str] = {}
    found = []
    for night in range(count):
        fresh = dict([next(pairs)[::-1]]) if night and night % MERGES == 0 else {}
        merged |= fresh
        there = {
            part: [
                (key, merged.get(name, name), jpeg)
                for key, name, jpeg in records
                if first_seen[name] <= night and (part != "train" or came[key] <= night)
            ]
            for part, records in parts.items()
        }
        new = frozenset(key for key, name, _ in parts["train"] if max(came[key], first_seen[name]) == night)
        became: dict[str, list[str]] = {}
        for name in names:
            became.setdefault(fresh.get(name, name), []).append(name)
        found.append(Night(there, new, became))
    return found


def arrivals(count: int, first: float, nights: int) -> list[int]:
    """The night on which each of so many comes: a share on the first, the rest evenly."""
    early = round(first * count)
    return [0] * early + [1 + number * (nights - 1) // (count - early) for number in range(count - early)]


def judged(
    night: Night,
    options: argparse.Namespace,
    ways: Sequence[str],
    *,
    folder: Path,
    model: Path | None,
    known: Sequence[str],
) -> tuple[dict[str, dict[str, bool]], Path]:
    """By way of training, whether each test photo is answered rightly; and the model of the night to start from."""
    short = max(1, options.epochs // 5)
    base = {
        "backbone": "MobileNetV2", "alpha": 0.35, "weights": options.weights, "image_size": options.size,
        "warm_epochs": short, **options.set,
    }  # fmt: skip
    cold = ClassifierConfig(**{**base, "head_epochs": 2, "finetune_epochs": options.epochs - 2})
    brief = ClassifierConfig(**{**base, "head_epochs": 1, "finetune_epochs": max(1, short - 1)})
    settings = {"cold": (cold, None), "warm": (cold, model), "short": (brief, None)}
    files: dict[str, Path] = {}
    for name in ways:
        config, start = settings[name]
        if name == "warm" and start is None:
            files[name] = files["cold"]
            continue
        files[name] = trained(night, config, folder / name, start=start, known=known, repeat=options.repeat)
    return {name: answers(night, file) for name, file in files.items()}, files["warm"]


def trained(
    night: Night, config: ClassifierConfig, folder: Path, *, start: Path | None, known: Sequence[str], repeat: int
) -> Path:
    """Train, unless that was done before; returns the model."""
    from carpipe.tfrecord import write_shard
    from carpipe.training import fit
    from carpipe.training.data import Shards
    from carpipe.training.warm import Warm

    folder.mkdir(parents=True, exist_ok=True)
    records = {name: night.parts[name] for name in ("train", "val")}
    if start:
        records["train"] = [one for one in records["train"] for _ in range(1 + repeat * (one[0] in night.new))]
    shards = {}
    for part, own in records.items():
        path, order = folder / f"{part}.tfrecord", np.random.default_rng(0).permutation(len(own))
        shards[part] = Shards([path], write_shard(path, (own[number] for number in order)))
    counts = Counter(name for _, name, _ in night.parts["train"])
    parts = {name: [one for one in night.before.get(name, ()) if one in known] for name in night.classes}
    warm = Warm(start, known, parts) if start else None
    job = fit.Job(config, {name: counts[name] for name in night.classes}, shards, Path(config.weights), folder, warm)
    if (done := folder / "done").exists():
        return job.best
    checkpoint = folder / "checkpoint.tar"
    resume = checkpoint if checkpoint.exists() else None
    fit.train(job, resume=resume, report=lambda figures: None, pulse=lambda figures: None)
    done.touch()
    return job.best


def answers(night: Night, model: Path) -> dict[str, bool]:
    """By test photo, whether it is answered rightly."""
    from carpipe.training import predict

    records, classes = night.parts["test"], night.classes
    _, found = predict.predict_records(records, predict=predict.load_predictor(model))
    said = found.argmax(axis=1)
    return {key: classes[said[number]] == name for number, (key, name, _) in enumerate(records)}


def difference(nights: Sequence[Any], one: str, other: str, *, draws: int = 2000) -> tuple[float, float, float]:
    """Mean difference of two ways over all nights, and its 95 % interval: bootstrap over photos."""
    keys = sorted({key for night in nights for key in night[one]})
    sums = np.array([sum(key in night[one] for night in nights) for key in keys])
    gains = np.array([
        sum(int(night[one][key]) - int(night[other][key]) for night in nights if key in night[one]) for key in keys
    ])  # fmt: skip
    random = np.random.default_rng(0)
    means = []
    for _ in range(draws):
        drawn = random.integers(0, len(keys), len(keys))
        means.append(gains[drawn].sum() / sums[drawn].sum())
    low, high = np.quantile(means, [0.025, 0.975])
    return float(gains.sum() / sums.sum()), float(low), float(high)


if __name__ == "__main__":
    main()
