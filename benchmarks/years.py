"""Years of cars told from features, against always saying the median year of the class; and what else was tried.

    python benchmarks/years.py <data> --backbone <network.keras> [--of marketplace|makes] [--cache <folder>]

`<data>` holds `raw/` and `truth.csv`, photos of a marketplace in folders `<make>_<model>_<year>`, and `models196/`,
crops with a table `models196.csv` of (file, make, model, body, year, split). A class is a model of the marketplace with
five cars and more (`marketplace`), or a make of `models196` (`makes`), whose cars differ in more than their year.
Photos of the marketplace are whole ones. Four times, a quarter of the cars judges, and the others are fitted on.

Reports how many years each way is off on average, a car counting once, with a 95 % interval by cars (bootstrap); and of
the interval of 80 % which share of true years it holds, by the photos of a car, and how many years it has.
"""

import argparse
import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from carpipe.evaluation import years as module
from carpipe.evaluation.years import car_weights, fit_years

SHARE, ROUNDS, MIN_CARS = 0.8, 4, 5


def main() -> None:
    """Read, look, fit four times, and print the table."""
    options = parse()
    photos, jpegs = (marketplace if options.of == "marketplace" else makes)(options.data)
    features = look(options, jpegs)
    kept = photos["kept"].to_numpy()
    photos, features = photos[kept].reset_index(drop=True), features[kept]
    cars = photos["vehicle"].nunique()
    print(f"{len(photos):,} photos of {cars:,} cars in {photos['class_name'].nunique()} classes")
    side = photos["vehicle"].map(dict(zip(photos["vehicle"].unique(), deal(cars), strict=True))).to_numpy()
    found = pd.concat([judge(photos, features, side == number) for number in range(ROUNDS)])
    show(found)


def parse() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--backbone", type=Path, required=True, help="a .keras file: pictures in, features out")
    parser.add_argument("--of", choices=("marketplace", "makes"), default="marketplace")
    parser.add_argument("--cache", type=Path, help="folder to keep features in, for the next run")
    return parser.parse_args()


def deal(cars: int) -> Any:
    """A number of a round for each car."""
    return np.random.default_rng(0).permutation(cars) % ROUNDS


def marketplace(data: Path) -> tuple[pd.DataFrame, list[bytes]]:
    """Exteriors by listing; a class is a model, and `kept` says whether it has cars enough, of several years."""
    with (data / "truth.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == "original" and row["label"] == "auto"]
    found, jpegs = [], []
    for row in rows:
        try:
            image = Image.open(data / "raw" / row["key"]).convert("RGB")
        except (OSError, SyntaxError):  # some are broken on purpose
            continue
        sink = io.BytesIO()
        image.save(sink, "JPEG", quality=90)
        model, _, year = row["key"].split("/")[0].rpartition("_")
        found.append({"vehicle": row["vehicle"], "class_name": model, "year": float(year)})
        jpegs.append(sink.getvalue())
    return with_kept(pd.DataFrame(found)), jpegs


def makes(data: Path) -> tuple[pd.DataFrame, list[bytes]]:
    """Crops of `models196`, each taken for a car of its own; a class is a make."""
    with (data / "models196" / "models196.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    table = pd.DataFrame({"vehicle": [row["file"] for row in rows], "class_name": [row["make"] for row in rows],
                          "year": [float(row["year"]) for row in rows]})  # fmt: skip
    return with_kept(table), [(data / "models196" / row["file"]).read_bytes() for row in rows]


def with_kept(photos: pd.DataFrame) -> pd.DataFrame:
    """Of classes with several years and cars enough; a car in folders of two years does not count."""
    by_class = photos.groupby("class_name")
    one = photos.groupby("vehicle")["year"].transform("nunique") == 1
    several = by_class["year"].transform("nunique") > 1
    return photos.assign(kept=one & several & (by_class["vehicle"].transform("nunique") >= MIN_CARS))


def look(options: argparse.Namespace, jpegs: list[bytes]) -> Any:
    """The features of each picture, of halves as the evaluation keeps them."""
    kept = options.cache / f"years-{options.of}-{options.backbone.stem}-{len(jpegs)}.npy" if options.cache else None
    if kept and kept.exists():
        return np.load(kept).astype(np.float16)
    import keras

    from carpipe.pictures.model_input import to_batch
    from carpipe.training.likeness import features_of

    network = keras.saving.load_model(options.backbone, compile=False)
    if (seen := features_of(network)) is not None:  # a trained classifier
        network = keras.Model(network.inputs, seen)
    side, dtype, found = network.input_shape[1], network.inputs[0].dtype, []
    for start in range(0, len(jpegs), 64):
        batch = to_batch(jpegs[start : start + 64], side).astype(dtype)
        full = np.concatenate([batch, np.zeros((64 - len(batch), *batch.shape[1:]), dtype)])
        found.append(network.predict_on_batch(full)[: len(batch)])
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, np.concatenate(found))
    return np.concatenate(found).astype(np.float16)


def judge(photos: pd.DataFrame, features: Any, judging: Any) -> pd.DataFrame:
    """What each way says of the photos that judge, fitted on the others; answers are taken for right."""
    fitting, rest = photos[~judging], photos[judging]
    cars = fitting.drop_duplicates("vehicle").sort_values("year").groupby("class_name")["year"]
    built = {str(name): years.to_numpy("int64") for name, years in cars}
    rest, seen = (
        rest[rest["class_name"].isin(built).to_numpy()],
        features[judging][photos[judging]["class_name"].isin(built)],
    )
    median = rest["class_name"].map({name: years[(len(years) - 1) // 2] for name, years in built.items()})
    found: pd.DataFrame = rest.assign(median=median, without_class=ridge_alone(features[~judging], fitting, seen))
    for name, strengths in (("carpipe", module.STRENGTHS), ("class_alone", (np.inf,))):
        before, module.STRENGTHS = module.STRENGTHS, strengths
        fitted = fit_years(features[~judging], fitting.assign(answer=fitting["class_name"]), built=built, share=SHARE)
        module.STRENGTHS = before
        if fitted is None:
            raise ValueError(f"{name} cannot hold {SHARE} of these cars.")
        newer = fitted.head.newer(seen)
        rows = [fitted.rule.classes[one] for one in found["class_name"]]
        both = np.array([row.interval(new) for row, new in zip(rows, newer, strict=True)])
        found[name] = [min(max(row.offset + new, row.first), row.last) for row, new in zip(rows, newer, strict=True)]
        found[f"{name}_held"] = (both[:, 0] <= found["year"]) & (found["year"] <= both[:, 1])
        found[f"{name}_years"] = both[:, 1] - both[:, 0] + 1
        print(f"  {name}: strength {fitted.strength:g}", flush=True)
    return found


def ridge_alone(features: Any, fitting: pd.DataFrame, seen: Any) -> Any:
    """The year from features alone, as if no class were known; how strongly is chosen by leaving one out."""
    from sklearn.linear_model import RidgeCV

    scale = features.astype(np.float64).std(axis=0).mean() + 1e-9
    ridge = RidgeCV(alphas=[30.0, 100.0, 300.0, 1000.0])
    ridge.fit(features.astype(np.float64) / scale, fitting["year"], sample_weight=car_weights(fitting["vehicle"]))
    return ridge.predict(seen.astype(np.float64) / scale)


def show(found: pd.DataFrame) -> None:
    """Years off with bounds, and the intervals."""
    for name in ("median", "class_alone", "without_class", "carpipe"):
        error = (found[name] - found["year"]).abs()
        print(f"{name:<16} {bounds(found, error)} years off")
    gain = (found["median"] - found["year"]).abs() - (found["carpipe"] - found["year"]).abs()
    print(f"{'carpipe nearer by':<16} {bounds(found, gain)}")
    photos = found.groupby("vehicle")["year"].transform("size").clip(upper=3)
    for name in ("class_alone", "carpipe"):
        held = found[f"{name}_held"].astype(float)
        years = np.average(found[f"{name}_years"], weights=car_weights(found["vehicle"]))
        print(f"{name:<16} interval holds {bounds(found, held)}, has {years:.1f} years")
        for count, rows in found.groupby(photos):
            print(f"  of cars with {count} photos{' and more' if count == 3 else ''}: {bounds(rows, held[rows.index])}")


def bounds(rows: pd.DataFrame, values: "pd.Series[float]", *, draws: int = 2000) -> str:
    """The mean over cars, with the 95 % interval of a bootstrap of cars."""
    cars = values.groupby(rows["vehicle"]).mean().to_numpy()
    random = np.random.default_rng(0)
    low, high = np.quantile(cars[random.integers(0, len(cars), (draws, len(cars)))].mean(axis=1), [0.025, 0.975])
    return f"{cars.mean():.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
