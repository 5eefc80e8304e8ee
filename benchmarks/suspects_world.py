"""The drawn world of `benchmarks/suspects.py`: cars from outside, wrong names planted on listings, and answers.

Half of the cars are answered by a classifier that was trained on the other half, wrong names and all, and the other way
round. It is trained by the code and the settings of `make run`.
"""

import io
import tempfile
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from carpipe.config import ClassifierConfig, load_config
from carpipe.sample.plan import plan_world
from carpipe.sample.world import draw_shot

SIDE = 96  # pixels of the crops' long side
SEED = 18
SAMPLE = Path(__file__).parents[1] / "carpipe" / "sample"
INSIDE = ("interior", "detail")
# Models of the drawn world that are nearest to each other.
TWINS = (
    ("volkswagen_golf", "volkswagen_golf-gti"),
    ("nissan_qashqai", "nissan_qashqai+2"),
    ("skoda_octavia", "skoda_rapid%2fspaceback"),
)
VAL_SHARE = 0.15  # of the photos that a classifier learns from
PLANTS = ("random", "twins", "dealer")


@dataclass(frozen=True)
class Photo:
    """A crop: which listing it is of, and which class that truly is."""

    key: str
    listing: str
    truth: str
    jpeg: bytes


def draw_cars(count: int, folder: Path) -> list[Photo]:
    """The crops of so many cars; what lies in the folder from an earlier run is taken from there."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for shot in plan_world(SEED, count):
        if shot.kind != "original" or shot.view in INSIDE or (shot.look.fixed and shot.look.fixed < 5):
            continue
        path = folder / shot.key.replace("/", "_")
        if not path.exists():
            data, boxes = draw_shot(shot)
            path.write_bytes(_crop(data, boxes[0]))
        found.append(Photo(shot.key, shot.listing, shot.look.name, path.read_bytes()))
    return found


def _crop(data: bytes, box: Any) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        cut = image.convert("RGB").crop((box.x0, box.y0, box.x1, box.y1))
    cut.thumbnail((SIDE, SIDE))
    sink = io.BytesIO()
    cut.save(sink, "JPEG", quality=88)
    return sink.getvalue()


def plant(truth: "pd.Series[str]", how: str) -> "pd.Series[str]":
    """The classes as sellers say them.

    Args:
        truth: class by listing.
        how: `random`: 3 % of the listings have any other class. `twins`: of the models of `TWINS`, 12 % have the name
            of the other. `dealer`: one with 3.5 % of all cars gives each of them the name of another class, for all
            cars of one class the same.
    """
    random = np.random.default_rng(SEED)
    names = sorted(truth.unique())
    said = truth.copy()
    draw = pd.Series(random.random(len(truth)), index=truth.index)
    if how == "random":
        for listing in truth.index[draw < 0.03]:
            said[listing] = random.choice([name for name in names if name != truth[listing]])
    elif how == "twins":
        other = {one: two for pair in TWINS for one, two in (pair, pair[::-1])}
        wrong = truth.isin(other) & (draw < 0.12)
        said[wrong] = truth[wrong].map(other)
    else:
        others = {name: names[(number + 5) % len(names)] for number, name in enumerate(names)}
        said[draw < 0.035] = truth[draw < 0.035].map(others)
    return said


def answer(
    photos: Sequence[Photo], said: "pd.Series[str]", *, left_out: Collection[str] = ()
) -> tuple[pd.DataFrame, Any, tuple[str, ...]]:
    """Photos with `key`, `listing_uuid`, `class_name`; a calibrated model's probabilities; and the classes.

    Args:
        said: class by listing, as it is learnt.
        left_out: listings that are answered, and not learnt from.
    """
    classes = tuple(sorted(said.unique()))
    halves = said.index.to_series().sample(frac=1, random_state=SEED)
    first = set(halves.iloc[::2])
    tables, found = [], []
    for half in (True, False):
        learn = [one for one in photos if (one.listing in first) != half and one.listing not in left_out]
        ask = [one for one in photos if (one.listing in first) == half]
        found.append(_train_and_ask(learn, ask, said, classes))
        rows = [(one.key, one.listing, said[one.listing]) for one in ask]
        tables.append(pd.DataFrame(rows, columns=["key", "listing_uuid", "class_name"]))
    return pd.concat(tables, ignore_index=True), np.concatenate(found), classes


def _train_and_ask(learn: Sequence[Photo], ask: Sequence[Photo], said: Any, classes: tuple[str, ...]) -> Any:
    from carpipe.evaluation.calibration import fit_temperature
    from carpipe.evaluation.predictions import Predictions
    from carpipe.probabilities import calibrate
    from carpipe.tfrecord import write_shard
    from carpipe.training import fit, predict
    from carpipe.training.data import Shards

    config: ClassifierConfig = load_config(
        SAMPLE / "sample.toml", {"classifier.weights": str(SAMPLE / "backbone.weights.h5")}
    ).classifier
    listings = sorted({one.listing for one in learn})
    val = set(listings[:: round(1 / VAL_SHARE)])
    parts = {"train": [o for o in learn if o.listing not in val], "val": [o for o in learn if o.listing in val]}
    with tempfile.TemporaryDirectory(prefix="carpipe-suspects-") as name:
        shards, records = {}, {}
        for part, own in parts.items():
            order = np.random.default_rng(0).permutation(len(own))
            records[part] = [(own[i].key, said[own[i].listing], own[i].jpeg) for i in order]
            path = Path(name) / f"{part}.tfrecord"
            shards[part] = Shards([path], write_shard(path, records[part]))
        counts = Counter(label for _, label, _ in records["train"])
        job = fit.Job(config, {one: counts[one] for one in classes}, shards, Path(config.weights), Path(name))
        fit.train(job, resume=None, report=lambda figures: None, pulse=lambda figures: None)
        asked = predict.load_predictor(job.best)
        _, on_val = predict.predict_records(records["val"], predict=asked)
        _, p = predict.predict_records([(one.key, "", one.jpeg) for one in ask], predict=asked)
    table = pd.DataFrame([(o[0], o[0], o[0], o[1], o[1]) for o in records["val"]],
                         columns=["key", "vehicle", "listing_uuid", "model", "class_name"])  # fmt: skip
    return calibrate(p, fit_temperature(Predictions(table, on_val, classes)))
