"""Train the small backbone that the sample world's models start from, as real ones start from ImageNet.

    python -m carpipe.sample.train_backbone --out carpipe/sample/backbone.weights.h5

It learns on worlds of other seeds which model a car is, and what is no car; only the features are kept. So
the sample world's car filter and classifier train in a minute. It has seen the drawn models before: the
accuracy of the sample world shows that the plumbing works, and nothing else.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from carpipe.config import load_config
from carpipe.pictures.decode import decode
from carpipe.pictures.model_input import to_array
from carpipe.sample.world import Truth, draw_world, parse_boxes, read_truth
from carpipe.training import model as networks

# Far from the seed of the sample world, and of the detector's.
SEED, LISTINGS, HELD_OUT = 82000, 420, 60
SIDE, EPOCHS, BATCH = 96, 14, 32


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw, train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    options = parser.parse_args(arguments)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        pictures, names = _examples(Path(folder) / "train", SEED, LISTINGS)
        others, truth = _examples(Path(folder) / "held-out", SEED + 1, HELD_OUT)
    classes = sorted(set(names) | set(truth))
    network = _fit(pictures, _one_hot(names, classes), others, _one_hot(truth, classes), epochs=options.epochs)
    accuracy = float(network.evaluate(others, _one_hot(truth, classes), verbose=0, return_dict=True)["accuracy"])
    network.get_layer("backbone").save_weights(options.out)
    facts = {
        "held_out_accuracy": round(accuracy, 4),
        "classes": len(classes),
        "training_pictures": len(pictures),
        "held_out_pictures": len(others),
        "image_size": SIDE,
        "epochs": options.epochs,
        "seed": SEED,
        "keras": keras.__version__,
        "seconds": round(time.monotonic() - started),
        "command": "python -m carpipe.sample.train_backbone --out carpipe/sample/backbone.weights.h5",
    }
    options.out.with_name("backbone.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(facts, indent=2))


def _examples(folder: Path, seed: int, listings: int) -> tuple[Any, list[str]]:
    """Whole pictures, and the cars cut out of them, with the model or `no_auto` of each."""
    draw_world(folder, seed=seed, listings=listings, workers=2)
    pictures, names = [], []
    for row in read_truth(folder / "truth.csv"):
        if row.expect != "keep" or row.kind != "original":
            continue
        image, _ = decode((folder / "raw" / row.key).read_bytes(), max_pixels=40_000_000)
        name = row.key.split("/")[0].rpartition("_")[0] if row.label == "auto" else "no_auto"
        pictures.append(to_array(image, SIDE))
        names.append(name)
        if row.label == "auto":
            pictures.append(to_array(image.crop(_car(row)), SIDE))
            names.append(name)
    return np.stack(pictures), names


def _car(row: Truth) -> tuple[int, int, int, int]:
    box = parse_boxes(row.boxes)[0]
    return round(box.x0), round(box.y0), round(box.x1), round(box.y1)


def _one_hot(names: list[str], classes: list[str]) -> Any:
    return keras.utils.to_categorical([classes.index(name) for name in names], len(classes))


def _fit(pictures: Any, labels: Any, others: Any, truth: Any, *, epochs: int) -> Any:
    config = load_config(
        overrides={
            "classifier.backbone": "MobileNetV2",
            "classifier.alpha": 0.35,
            "classifier.weights": "none",
        }
        | {"classifier.image_size": SIDE}
    ).classifier
    keras.utils.set_random_seed(SEED)
    network = networks.build(config, classes=labels.shape[1], weights=None)
    steps = epochs * -(-len(pictures) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=2e-3, warmup_steps=steps // 20)
    network.compile(keras.optimizers.Adam(rate), keras.losses.CategoricalCrossentropy(0.05), metrics=["accuracy"])
    network.fit(pictures, labels, validation_data=(others, truth), batch_size=BATCH, epochs=epochs, verbose=2)
    return network


if __name__ == "__main__":
    main()
