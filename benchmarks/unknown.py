"""Cars that no class knows: carpipe's score against others, on real classes left out in turn; and pictures of no car.

    python benchmarks/unknown.py <models196> --backbone <backbone.keras> [--data <folder>] [--detector <weights>]

`<models196>` holds `<class>/*.jpg` and a table `models196.csv` of (file, class, split). Seven times, a seventh of the
classes is left out. Photos go through a backbone that is not trained; logistic regression on its features answers the
classes that are left. Photos of the classes left out, of the test part, are the unknown ones. The rule is fitted on
validation photos: once with fixed weights, and once on photos of classes left out, of the validation part.

Reports the AUROC against test photos of known classes, and the share refused where 2 % of validation photos are.
`--data` holds `raw/`, `truth.csv` and `interior_web/`: photos of a marketplace. Reports which share of interiors and
details is refused: by the score alone, and by the API's way, which looks for a vehicle first (`--detector`).
"""

import argparse
import csv
import io
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
import recipe

from carpipe.config import CropConfig
from carpipe.evaluation.likeness import fit_means, likeness_apart
from carpipe.evaluation.unknown import auroc, familiarity_of, fit_rule
from carpipe.familiarity import stand_out

FOLDS, NEIGHBOURS, REFUSED = 7, 5, 0.02
FIXED, FITTED = "carpipe, fixed weights", "carpipe, fitted weights"
Found = dict[str, Any]  # by score, of some photos: the higher, the more familiar


def main() -> None:
    """Answer all folds and print both tables."""
    options = parse()
    parts = recipe.read(options.models, only=0)
    see = Backbone(options.backbone, options.cache)
    seen = {name: see(f"models-{name}", [jpeg for *_, jpeg in part.records]) for name, part in parts.items()}
    truth = {name: np.array(part.truth) for name, part in parts.items()}
    pictures, refused = no_cars(options)
    other = {name: see(name, jpegs) for name, jpegs in pictures.items()}
    areas, shares = defaultdict(list), defaultdict(list)
    right = []
    for left_out in np.array_split(np.random.default_rng(5).permutation(np.unique(truth["train"])), FOLDS):
        found, correct = fold(seen, truth, left_out, other)
        right.extend(correct)
        for score in found["val"]:
            limit = np.quantile(found["val"][score], REFUSED)
            for name in ("unknown", *other):
                areas[score, name].append(auroc(found["test"][score], found[name][score]))
                shares[score, name].append((found[name][score] < limit).mean())
            shares[score, "test"].append((found["test"][score] < limit).mean())
        print(f"  left out {len(left_out)} classes, {np.mean(correct):.3f} right", flush=True)
    show(areas, shares, ["unknown", *other], np.mean(right), refused)


def parse() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path)
    parser.add_argument("--backbone", type=Path, required=True, help="a .keras file: float pictures in, features out")
    parser.add_argument("--data", type=Path, help="folder with raw/, truth.csv and interior_web/")
    parser.add_argument("--detector", default="", help="detector of vehicles, for the API's way")
    parser.add_argument("--photos", type=int, default=250, help="of each view, at most")
    parser.add_argument("--cache", type=Path, help="folder to keep features in, for the next run")
    return parser.parse_args()


class Backbone:
    """Features of JPEGs by a network that is not trained, kept in a folder where one is given."""

    def __init__(self, file: Path, cache: Path | None):
        import keras

        self._network = keras.saving.load_model(file, compile=False)
        self._cache = cache

    def __call__(self, name: str, jpegs: Sequence[bytes]) -> Any:
        kept = self._cache / f"{name.replace(' ', '-')}-{len(jpegs)}.npy" if self._cache else None
        if kept and kept.exists():
            return np.load(kept)
        from carpipe.pictures.model_input import to_batch

        side, found = self._network.input_shape[1], [np.zeros((0, self._network.output_shape[1]), np.float32)]
        for start in range(0, len(jpegs), 64):
            batch = to_batch(jpegs[start : start + 64], side).astype("float32")
            full = np.concatenate([batch, np.zeros((64 - len(batch), *batch.shape[1:]), "float32")])
            found.append(self._network.predict_on_batch(full)[: len(batch)])
        if kept:
            kept.parent.mkdir(parents=True, exist_ok=True)
            np.save(kept, np.concatenate(found))
        return np.concatenate(found)


def fold(seen: Found, truth: Found, left_out: Any, other: Found) -> tuple[dict[str, Found], Any]:
    """Every score of `val` and `test` (known classes), `unknown`, and other pictures; and which test photos are right.

    Two files of one picture may be on one side: each photo counts as a car of its own.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    known = {name: ~np.isin(names, left_out) for name, names in truth.items()}
    scaler = StandardScaler().fit(seen["train"][known["train"]])
    head = LogisticRegression(C=3e-3, max_iter=200)
    head.fit(scaler.transform(seen["train"][known["train"]]), truth["train"][known["train"]])
    photos = {
        "val": seen["val"][known["val"]], "test": seen["test"][known["test"]],
        "fitting": seen["val"][~known["val"]], "unknown": seen["test"][~known["test"]], **other,
    }  # fmt: skip
    number = {name: np.searchsorted(head.classes_, truth[name][known[name]]) for name in ("val", "test")}
    means = fit_means(photos["val"], number["val"], classes=len(head.classes_))
    looks, found = {}, {}
    for name, features in photos.items():
        logits = head.decision_function(scaler.transform(features))
        looks[name], found[name] = look(features, logits, means), baselines(logits)
        found[name]["kNN on features"] = neighbours(features, seen["train"][known["train"]])
    vehicles = pd.Series(np.arange(len(number["val"])).astype(str))
    looks["val"]["likeness"] = likeness_apart(means, photos["val"], truth=number["val"], vehicles=vehicles)
    for score, unknown in ((FIXED, None), (FITTED, looks["fitting"])):
        rule = fit_rule(looks["val"], unknown, refused=REFUSED)
        if rule is None:
            raise ValueError("All photos look alike to this backbone.")
        for name, rows in looks.items():
            found[name][score] = familiarity_of(rows, rule).to_numpy()
    answers = head.predict(scaler.transform(photos["test"]))
    return found, answers == truth["test"][known["test"]]


def look(features: Any, logits: Any, means: Any) -> pd.DataFrame:
    """What the rule goes by, a row per photo."""
    cars = np.arange(len(logits)).astype(str)
    made = {"stand_out": stand_out(softmax(logits)), "likeness": means.of(features)}
    return pd.DataFrame({"vehicle": cars, "listing_uuid": cars, **made, "surest": softmax(logits).max(axis=1)})


def softmax(logits: Any) -> Any:
    """In 32 bits, as networks answer."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def baselines(logits: Any) -> Found:
    """What others take.

    Sources: D. Hendrycks and K. Gimpel, ICLR 2017 (largest probability); W. Liu et al., NeurIPS 2020 (energy);
    S. Vaze et al., ICLR 2022 (largest logit).
    """
    from scipy.special import logsumexp

    return {
        "largest probability": softmax(logits).max(axis=1).astype(float),
        "largest logit": logits.max(axis=1),
        "energy": logsumexp(logits, axis=1),
        "standing out alone": stand_out(softmax(logits)).astype(float),
    }


def neighbours(features: Any, train: Any) -> Any:
    """The cosine to the fifth nearest training photo. Source: Y. Sun et al., ICML 2022."""
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (features, train)]
    return np.partition(unit[0] @ unit[1].T, -NEIGHBOURS, axis=1)[:, -NEIGHBOURS].astype(float)


def no_cars(options: argparse.Namespace) -> tuple[dict[str, list[bytes]], dict[str, float]]:
    """Pictures by kind: whole, and as the API would cut them; and the share in which it finds no vehicle at all."""
    if options.data is None:
        return {}, {}
    with (options.data / "truth.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == "original"]
    kinds = {"interiors": ["in"], "details": ["d"]}
    files = {
        kind: [options.data / "raw" / row["key"] for row in rows if row["view"] in views][: options.photos]
        for kind, views in kinds.items()
    }
    files["interiors of the web"] = sorted((options.data / "interior_web").iterdir())
    images = {kind: [image for path in paths if (image := opened(path))] for kind, paths in files.items()}
    pictures = {kind: [as_jpeg(image) for image in some] for kind, some in images.items()}
    shares = {}
    if options.detector:
        for kind, some in images.items():
            cut = cut_out(some, options.detector)
            pictures[f"{kind}, cut out"], shares[kind] = cut, 1 - len(cut) / len(some)
    return pictures, shares


def cut_out(images: Sequence[Image.Image], weights: str) -> list[bytes]:
    """The crops of those in which a vehicle is found that is large enough, by the default settings."""
    from carpipe.pictures.detection.cut import crop_photo
    from carpipe.pictures.detection.detector import Detector

    config = CropConfig()
    detector = Detector(Path(weights), config=config)
    found = [crop_photo(image, detector.largest([image])[0], config=config)[1] for image in images]
    return [jpeg for jpeg in found if jpeg is not None]


def opened(path: Path) -> Image.Image | None:
    """The picture, or None: some are broken on purpose."""
    try:
        return Image.open(path).convert("RGB")
    except (OSError, SyntaxError):
        return None


def as_jpeg(image: Image.Image) -> bytes:
    """As the pipeline keeps crops."""
    sink = io.BytesIO()
    image.save(sink, "JPEG", quality=90)
    return sink.getvalue()


def show(areas: Any, shares: Any, names: Sequence[str], right: float, refused: dict[str, float]) -> None:
    """Means over the folds: AUROC, and in brackets the share refused."""
    print(f"\n{right:.3f} of test photos of known classes are right. AUROC (share refused), mean of {FOLDS} folds:\n")
    scores = [*dict.fromkeys(score for score, _ in areas)]
    print(f"{'':<24} {'known':>8}", *(f"{name:>30}" for name in names))
    for score in scores:
        cells = [f"{np.mean(areas[score, name]):.3f} ({np.mean(shares[score, name]):.3f})" for name in names]
        print(f"{score:<24} {np.mean(shares[score, 'test']):>8.3f}", *(f"{cell:>30}" for cell in cells))
    gains = np.array(areas[FITTED, "unknown"]) - np.array(areas["largest probability", "unknown"])
    print(f"\nfitted - largest probability: {gains.mean():+.3f}, by fold {gains.min():+.3f} to {gains.max():+.3f}")
    for kind, none in refused.items():
        for score in ("largest probability", FIXED, FITTED):
            after = np.mean(shares[score, f"{kind}, cut out"])
            print(f"{kind}: no vehicle in {none:.3f}; with {score} {none + (1 - none) * after:.3f} refused")


if __name__ == "__main__":
    main()
