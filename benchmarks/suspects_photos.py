"""The real cars of `benchmarks/suspects.py`: each photo of models196 is a listing, answered out of sample.

The classifier is logistic regression on the features of a frozen backbone, which `carpipe` does not have: the fit takes
seconds, so that every photo can be answered by one that was not trained on it.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FOLDS = 3
COMPONENTS = 384  # of the features, as principal components
SETTINGS: dict[str, Any] = {"C": 0.02, "max_iter": 30}
PLANTS = ("random", "most confused")


@dataclass(frozen=True)
class Cars:
    """Features float32 (photos, components), class numbers, and names of files, classes and parts."""

    x: Any
    truth: Any
    files: list[str]
    classes: list[str]
    part: Any
    doubtful: Any  # photos of which an equal one has another name: nobody knows which is right


def read_cars(folder: Path, backbone: Path, cache: Path) -> Cars:
    """Photos with their features, which are kept for another run."""
    with (folder / "models196.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    kept = cache / f"features-{backbone.stem}.npy"
    if not kept.exists():
        np.save(kept, _features(folder, rows, backbone))
    classes = sorted({row["class"] for row in rows})
    files = [row["file"] for row in rows]
    with (folder / "duplicates.csv").open(newline="", encoding="utf-8") as file:
        pairs = [row for row in csv.DictReader(file) if row["kind"] in ("exact", "near") and row["same_class"] == "0"]
    doubtful = {row[name] for row in pairs for name in ("file_a", "file_b")}
    return Cars(
        _components(np.load(kept)),
        np.array([classes.index(row["class"]) for row in rows]),
        files,
        classes,
        np.array([row["split"] for row in rows]),
        np.array([one in doubtful for one in files]),
    )


def _features(folder: Path, rows: list[dict[str, str]], backbone: Path) -> Any:
    import keras

    from carpipe.pictures.model_input import to_batch

    network = keras.saving.load_model(backbone, compile=False)
    found = []
    for at in range(0, len(rows), 64):
        jpegs = [(folder / row["file"]).read_bytes() for row in rows[at : at + 64]]
        found.append(network.predict_on_batch(to_batch(jpegs, network.input_shape[1]).astype("float32")))
    return np.concatenate(found)


def _components(features: Any) -> Any:
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    scaled = StandardScaler().fit_transform(features)
    return PCA(COMPONENTS, svd_solver="randomized", random_state=0).fit_transform(scaled).astype(np.float32)


def plant(cars: Cars, how: str, *, seed: int, clean: Any) -> Any:
    """Class numbers in which 3 % are wrong: any other class, or the one that its class is most often taken for.

    Args:
        clean: answers (photos, classes) of a classifier that has learnt the truth.
    """
    random, count = np.random.default_rng(seed), len(cars.classes)
    wrong = random.random(len(cars.truth)) < 0.03
    if how == "random":
        other = (cars.truth + random.integers(1, count, len(cars.truth))) % count
    else:
        taken = np.zeros((count, count))
        np.add.at(taken, (cars.truth, clean.argmax(axis=1)), 1)
        np.fill_diagonal(taken, 0)
        other = taken.argmax(axis=1)[cars.truth]
    return np.where(wrong, other, cars.truth)


def answer(cars: Cars, said: Any, *, kept: Path) -> Any:
    """Probabilities float32 (photos, classes), each by a classifier that was not trained on the photo."""
    from sklearn.model_selection import StratifiedKFold

    if not kept.exists():
        p = np.zeros((len(said), len(cars.classes)), np.float32)
        for learn, ask in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(cars.x, said):
            model = fit(cars.x[learn], said[learn])
            p[np.ix_(ask, model.classes_)] = model.predict_proba(cars.x[ask])
        np.save(kept, p)
    return np.load(kept)


def fit(x: Any, said: Any) -> Any:
    """A classifier."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        # It is stopped early on purpose: seconds count, and more steps gain nothing.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(**SETTINGS).fit(x, said)


def accuracy(cars: Cars, said: Any, keep: Any) -> float:
    """On the test part, by the truth, of a classifier that has learnt the rest as it is said, where kept."""
    learn = (cars.part != "test") & keep
    test = (cars.part == "test") & ~cars.doubtful
    return float(fit(cars.x[learn], said[learn]).score(cars.x[test], cars.truth[test]))
