"""Recipes of training, compared on real cars: the published project's, carpipe's before 0.2, and carpipe's today.

    python benchmarks/recipe.py <models196> --weights <backbone weights> [--size 224] [--epochs 30] [--seeds 3]

`<models196>` holds `<class>/*.jpg` and a table `models196.csv` of (file, class, split). Every recipe sees the same
photos as often, starts from the same backbone (MobileNetV2 0.35) and goes through the code that a night goes through.
Reports accuracy, macro-F1 and the expected calibration error (15 bins) on the test part: mean of the seeds, with half
the width of a 95 % interval over test photos and seeds. `--frozen <model.keras>` adds a control that costs next to
nothing: logistic regression on the features of a backbone that is not trained at all.
"""

import argparse
import csv
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from carpipe.config import ClassifierConfig

Answers = np.ndarray[Any, np.dtype[np.float32]]
NEVER = 10_000
PUBLISHED: dict[str, Any] = {
    "schedule": "plateau",
    "batch_norm": "trained",
    "finetune_learning_rate": 1e-4,
    "stop_patience": NEVER,
    "zoom": 0.0,
    "brightness": 0.0,
    "label_smoothing": 0.0,
    "max_class_weight": 1.0,
}
BEFORE: dict[str, Any] = {
    "schedule": "plateau",
    "batch_norm": "frozen",
    "finetune_learning_rate": 1e-4,
    "stop_patience": NEVER,
}
# By recipe: epochs of the head, and what differs from carpipe's defaults.
RECIPES: dict[str, tuple[int, dict[str, Any]]] = {
    "published": (5, PUBLISHED),
    "carpipe before 0.2": (5, BEFORE),
    "carpipe": (2, {}),
}


@dataclass(frozen=True)
class Crops:
    """Photos of one part: (key, class name, JPEG)."""

    records: list[tuple[str, str, bytes]]

    @property
    def truth(self) -> list[str]:
        return [name for _, name, _ in self.records]


def main() -> None:
    """Train each recipe with each seed, print what it came to."""
    options = parse()
    parts = read(options.models, only=options.classes)
    classes = sorted({*parts["train"].truth})
    print(", ".join(f"{len(part.records):,} {name}" for name, part in parts.items()), f"of {len(classes)} classes\n")
    print(f"{'':<34} {'top-1':>14} {'macro-F1':>9} {'ECE':>6} {'seconds':>8}")
    chosen = {name: RECIPES[name] for name in options.recipes} if options.recipes else RECIPES
    for name, (head, settings) in chosen.items():
        runs = [
            trained(parts, classes, config_of(options, head, {**settings, **options.set}, seed))
            for seed in range(options.seeds)
        ]
        show(name, runs, parts["test"].truth, classes)
    if options.frozen:
        show(f"{options.frozen.stem}, frozen", [frozen(options.frozen, parts, classes)], parts["test"].truth, classes)


def parse() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path)
    parser.add_argument("--weights", required=True, help="of MobileNetV2 0.35 without its top, as Keras keeps them")
    parser.add_argument("--size", type=int, default=224, help="pixels of the pictures' side")
    parser.add_argument("--epochs", type=int, default=30, help="of head and fine-tuning together")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--classes", type=int, default=0, help="the first so many alone, for a quick look; 0: all")
    parser.add_argument("--recipes", nargs="*", choices=RECIPES, help="these alone")
    parser.add_argument("--set", type=json.loads, default={}, help='settings for all recipes, as JSON: {"batch": 64}')
    parser.add_argument("--frozen", type=Path, help="a backbone as a .keras file, for the control")
    return parser.parse_args()


def read(folder: Path, *, only: int) -> dict[str, Crops]:
    """The photos by part: train, val, test."""
    with (folder / "models196.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = sorted({row["class"] for row in rows})[: only or None]
    parts: dict[str, list[tuple[str, str, bytes]]] = {"train": [], "val": [], "test": []}
    for row in rows:
        if row["class"] in names:
            parts[row["split"]].append((row["file"], row["class"], (folder / row["file"]).read_bytes()))
    return {name: Crops(records) for name, records in parts.items()}


def config_of(options: argparse.Namespace, head: int, settings: dict[str, Any], seed: int) -> ClassifierConfig:
    """A recipe as the section `classifier` of the configuration."""
    given = {
        "backbone": "MobileNetV2",
        "alpha": 0.35,
        "weights": options.weights,
        "image_size": options.size,
        "head_epochs": head,
        "finetune_epochs": options.epochs - head,
        "seed": seed,
    }
    return ClassifierConfig(**{**given, **settings})


def trained(parts: dict[str, Crops], classes: list[str], config: ClassifierConfig) -> tuple[Answers, float]:
    """Train; returns the test part's probabilities and the seconds that it took."""
    from carpipe.tfrecord import write_shard
    from carpipe.training import fit, predict
    from carpipe.training.data import Shards

    with tempfile.TemporaryDirectory(prefix="carpipe-recipe-") as name:
        folder = Path(name)
        shards = {}
        for part in ("train", "val"):
            path = folder / f"{part}.tfrecord"
            shuffled = np.random.default_rng(0).permutation(len(parts[part].records))
            shards[part] = Shards([path], write_shard(path, (parts[part].records[number] for number in shuffled)))
        counts = Counter(parts["train"].truth)
        job = fit.Job(config, {name: counts[name] for name in classes}, shards, Path(config.weights), folder)
        started = time.monotonic()
        fit.train(job, resume=None, report=lambda figures: None, pulse=lambda figures: None)
        seconds = time.monotonic() - started
        _, answers = predict.predict_records(parts["test"].records, predict=predict.load_predictor(job.best))
    return answers, seconds


def frozen(backbone: Path, parts: dict[str, Crops], classes: list[str]) -> tuple[Answers, float]:
    """Logistic regression on the features of a backbone; how strongly it is held back is chosen on the val part."""
    import keras
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    from carpipe.pictures.model_input import to_batch

    started = time.monotonic()
    network = keras.saving.load_model(backbone, compile=False)

    def features(part: Crops) -> Any:
        jpegs = [jpeg for _, _, jpeg in part.records]
        chunks = [to_batch(jpegs[at : at + 64], network.input_shape[1]) for at in range(0, len(jpegs), 64)]
        return np.concatenate([network.predict_on_batch(chunk.astype("float32")) for chunk in chunks])

    scaler = StandardScaler().fit(features(parts["train"]))
    seen = {name: scaler.transform(features(part)) for name, part in parts.items()}
    models = [
        LogisticRegression(C=c, max_iter=300).fit(seen["train"], parts["train"].truth) for c in (3e-4, 1e-3, 3e-3, 1e-2)
    ]
    best = max(models, key=lambda one: one.score(seen["val"], parts["val"].truth))
    return best.predict_proba(seen["test"]).astype(np.float32), time.monotonic() - started


def show(name: str, runs: list[tuple[Answers, float]], truth: list[str], classes: list[str]) -> None:
    """One row of the table."""
    numbers = np.array([classes.index(one) for one in truth])
    right = np.array([answers.argmax(1) == numbers for answers, _ in runs])
    spread = interval(right)
    mean: Callable[[Any], float] = lambda values: float(np.mean(list(values)))  # noqa: E731
    f1 = mean(macro_f1(answers.argmax(1), numbers, len(classes)) for answers, _ in runs)
    ece = mean(calibration_error(answers, numbers) for answers, _ in runs)
    seconds = mean(seconds for _, seconds in runs)
    print(f"{name:<34} {right.mean():>7.4f} ±{spread:.4f} {f1:>9.4f} {ece:>6.3f} {seconds:>8.0f}", flush=True)


def interval(right: Any, *, draws: int = 2000) -> float:
    """Half the width of a 95 % interval of the mean over (seeds, photos): bootstrap over both."""
    random = np.random.default_rng(0)
    seeds, photos = right.shape
    means = [
        right[random.integers(0, seeds, seeds)][:, random.integers(0, photos, photos)].mean() for _ in range(draws)
    ]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(high - low) / 2


def macro_f1(answers: Any, truth: Any, classes: int) -> float:
    """Mean of the classes' F1."""
    hits = np.bincount(truth[answers == truth], minlength=classes)
    both = np.bincount(truth, minlength=classes) + np.bincount(answers, minlength=classes)
    return float(np.mean(2 * hits / np.maximum(both, 1)))


def calibration_error(answers: Answers, truth: Any, *, bins: int = 15) -> float:
    """Expected calibration error (Guo et al., 2017): mean gap of confidence and accuracy over equal bins."""
    sure, right = answers.max(1), answers.argmax(1) == truth
    place = np.minimum((sure * bins).astype(int), bins - 1)
    gaps = [abs(right[place == one].mean() - sure[place == one].mean()) * np.mean(place == one) for one in {*place}]
    return float(sum(gaps))


if __name__ == "__main__":
    main()
