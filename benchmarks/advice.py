"""Advice on classes where the truth is known: are all planted twins found, and is anything needless proposed?

    python benchmarks/advice.py drawn                     simulated cars, 512 classes as published
    python benchmarks/advice.py world                     drawn photos: three models get a second name
    python benchmarks/advice.py models196 <folder> <backbone.keras>   real photos, what comes first; and what tells
                                                          models of one class apart: kept answers or features

`drawn`: 512 classes of 2 to 300 unseen cars (log-normal, median 24). 20 pairs are one car under two names. 100 pairs
are neighbours, 3 % of whose cars are taken for the other: above chance, and no reason to merge. 8 % of all cars go
anywhere.
"""

import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from carpipe.evaluation.advice import Advice, advise_merges, count_looked_at, render
from carpipe.evaluation.confusion import count_cars, find_links, lower_bound
from carpipe.evaluation.confusion import group as group_links
from carpipe.evaluation.tell_apart import TIGHT, logs_of
from carpipe.evaluation.top_answers import TopAnswers, keep_top
from carpipe.evaluation.unseen import gather
from carpipe.pictures.model_input import to_array
from carpipe.sample.models import LOOKS
from carpipe.sample.photo import choose_car, draw_photo

CLASSES, TWINS, NEIGHBOURS = 512, 20, 100
NAMED_TWICE = 3
CARS, VIEWS = 40, ("front", "rear", "angle-front-left", "angle-rear-right")  # of a class in `world`
WEIGHTS = Path(__file__).parents[1] / "carpipe" / "sample" / "backbone.weights.h5"
SHOWN = 10


def main(what: str, *paths: str) -> None:
    """Run one of them."""
    ways: dict[str, Callable[..., None]] = {"drawn": drawn, "world": world, "models196": models196}
    ways[what](*map(Path, paths))


def drawn(trials: int = 20) -> None:
    """Simulated counts, several times."""
    rng = np.random.default_rng(18)
    rows = []
    for _ in range(trials):
        sizes, counts = simulate(rng)
        started = time.perf_counter()
        names = [f"c{number:03}" for number in range(CLASSES)]
        found = [tuple(int(name[1:]) for name in group) for group in group_links(find_links(counts, names))]
        seconds = time.perf_counter() - started
        planted = {(2 * number, 2 * number + 1) for number in range(TWINS)}
        right = planted & set(found)
        small = sum(min(sizes[a], sizes[b]) < 20 for a, b in planted - right)
        rows.append((len(right), len(planted - right) - small, small, len(set(found) - planted), seconds))
    table = pd.DataFrame(rows, columns=["found", "missed", "missed, one has < 20 cars", "needless", "seconds"])
    print(f"of {TWINS} twins among {CLASSES} classes, mean of {trials} worlds:")
    print(table.mean().round(3).to_string())


def simulate(rng: np.random.Generator) -> tuple[Any, Any]:
    """Cars by class, and by class and answer."""
    sizes = np.clip(rng.lognormal(np.log(24), 1, CLASSES), 2, 300).astype(int)
    chances = np.full((CLASSES, CLASSES), 0.08 / CLASSES) + np.diag(np.full(CLASSES, 0.92))
    for first in range(0, 2 * (TWINS + NEIGHBOURS), 2):
        pair = np.ix_([first, first + 1], [first, first + 1])
        swap = np.array([[0.5, 0.5], [0.5, 0.5]]) if first < 2 * TWINS else np.array([[0.97, 0.03], [0.03, 0.97]])
        chances[pair] = 0.92 * swap
    return sizes, np.stack([rng.multinomial(size, row / row.sum()) for size, row in zip(sizes, chances, strict=True)])


def world() -> None:
    """Drawn photos, a backbone that is frozen, a linear head; half of the cars are unseen."""
    rng = random.Random(18)
    rows, pictures = [], []
    for look, name, car in cars_of(rng):
        for view in VIEWS:
            image, boxes = draw_photo(rng, look, view)
            box = boxes[0]
            crop = image.crop((round(box.x0), round(box.y0), round(box.x1), round(box.y1)))
            rows.append((f"{name}/{car}_{view}.jpg", f"{name}-{car}", name, name))
            pictures.append(to_array(crop, 96))
    photos = pd.DataFrame(rows, columns=["key", "vehicle", "model", "class_name"])
    learnt = photos["vehicle"].str.rpartition("-")[2].astype(int).to_numpy() % 2 == 0
    show(ask(features(np.stack(pictures), sample_backbone()), photos, learnt))


def cars_of(rng: random.Random) -> Iterator[tuple[Any, str, int]]:
    """Every car, with the name of its class; some models have two names, of as many cars each."""
    for number, look in enumerate(LOOKS):
        for name in (look.name, f"{look.name}-twin")[: 1 + (number < NAMED_TWICE)]:
            for place in range(CARS):
                yield choose_car(rng, look), name, place


def sample_backbone() -> Any:
    """What the models of the sample world start from."""
    import keras

    network = keras.applications.MobileNetV2((96, 96, 3), alpha=0.35, include_top=False, pooling="avg", weights=None)
    network.load_weights(WEIGHTS)
    inputs = keras.Input((96, 96, 3))
    return keras.Model(inputs, network(inputs / 127.5 - 1))


def models196(folder: Path, backbone: Path) -> None:
    """Real photos of neighbouring years and bodies: half of the photos are unseen. A photo is a car here."""
    import keras

    network = keras.saving.load_model(backbone, compile=False)
    table = pd.read_csv(folder / "models196.csv")
    side = network.input_shape[1]
    found = [
        features(np.stack([read(folder / file, side) for file in table["file"][start : start + 512]]), network)
        for start in range(0, len(table), 512)
    ]
    x = np.concatenate(found)
    learnt = np.random.default_rng(18).random(len(table)) < 0.5
    photos = pd.DataFrame({"key": table["file"], "vehicle": table["file"], "model": table["class"]})
    show(ask(x, photos.assign(class_name=table["class"]), learnt))
    tell(x, photos.assign(class_name=table["make"] + "_" + table["model"].fillna("")), learnt)


def tell(x: Any, photos: pd.DataFrame, learnt: Any) -> None:
    """Of classes made of several: mean recall of their models, by the kept answers and by the features."""
    parts, rest = ask(x, photos, learnt), x[~learnt]
    rows = []
    for name, numbers in photos[~learnt].groupby("class_name")["model"]:
        if numbers.nunique() > 1 and numbers.value_counts().min() >= 5:
            mine = (parts.photos["class_name"] == name).to_numpy()
            by = {"kept answers": logs_of([parts], mine), "features": rest[mine]}
            rows.append({"class": name, **{key: mean_recall(one, numbers.to_numpy()) for key, one in by.items()}})
    result = pd.DataFrame(rows).set_index("class")
    print(f"\nmean recall of the models of {len(result)} classes:\n{result.mean().round(3).to_string()}")


def mean_recall(x: Any, truth: Any) -> float:
    """Cross-validated."""
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=TIGHT, class_weight="balanced", max_iter=500))
    told = cross_val_predict(linear, x, truth, cv=StratifiedKFold(5, shuffle=True, random_state=0))
    return float(np.mean([(told[truth == model] == model).mean() for model in np.unique(truth)]))


def ask(x: Any, photos: pd.DataFrame, learnt: Any) -> TopAnswers:
    """The kept answers of a linear head on the photos that it has not learnt from."""
    scale = StandardScaler().fit(x[learnt])
    head = LogisticRegression(C=0.01, max_iter=200).fit(scale.transform(x[learnt]), photos["class_name"][learnt])
    p = head.predict_proba(scale.transform(x[~learnt])).astype(np.float32)
    rest = photos[~learnt].reset_index(drop=True)
    return keep_top(rest, p, energy=np.zeros(len(p), np.float32), temperature=1.0, classes=list(head.classes_))


def show(answers: TopAnswers) -> None:
    """What comes first."""
    unseen = gather([answers])
    groups = answers.photos.groupby(["model", "class_name"])["vehicle"]
    dataset = groups.agg(photos="size", listings="nunique").reset_index()
    merges = advise_merges(unseen, dataset)
    right = (unseen.cars["answer"] == unseen.cars["class_name"]).mean()
    print(f"{len(unseen.classes)} classes, {right:.3f} of {len(unseen.cars):,} unseen cars right")
    looked_at = count_looked_at(unseen, asked=[], merged=set())
    print(render(Advice(len(unseen.photos), len(unseen.cars), merges[:SHOWN], (), looked_at)))
    nearest(count_cars(unseen.cars, unseen.classes), unseen.classes)


def nearest(counts: Any, classes: Sequence[str]) -> None:
    """The pairs that are confused most, proven or not."""
    mutual, cars = counts + counts.T, counts.sum(axis=1)
    low = lower_bound(mutual, cars[:, None] + cars[None, :], alpha=0.05)
    low = np.where(np.minimum(counts, counts.T) > 0, np.triu(low, 1), 0)
    print("\nconfused most, proven or not:")
    for i, j in zip(*np.unravel_index(np.argsort(-low, axis=None)[:SHOWN], low.shape), strict=True):
        ways = f"{counts[i, j]} of {cars[i]} one way, {counts[j, i]} of {cars[j]} the other"
        print(f"  {classes[i]} + {classes[j]}: {ways}; {low[i, j]:.3f} of both at least")


def features(pictures: Any, network: Any) -> Any:
    """Float32 (photos, features)."""
    parts: Sequence[Any] = [
        network.predict_on_batch(pictures[start : start + 64].astype(np.float32))
        for start in range(0, len(pictures), 64)
    ]
    return np.concatenate(parts)


def read(file: Path, side: int) -> Any:
    """RGB, float32 (side, side, 3), 0 to 255."""
    with Image.open(file) as image:
        return to_array(image.convert("RGB"), side)


if __name__ == "__main__":
    main(*sys.argv[1:])
