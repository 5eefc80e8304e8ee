"""From where a photo shows a car: how well views are told, on real photos and by car; and whether the cover is right.

    python benchmarks/views.py <folder> --weights <MobileNetV2 0.35 weights> [--filter <model.keras>]

`<folder>` holds `raw/` and a table `truth.csv` of (key, view, vehicle, kind). A frozen backbone sees each photo, and
mirrored. A linear head on its features, pooled over a grid, is fitted on four fifths of the cars and judged on the
rest, five times. `--filter` takes the backbone of a trained car filter in place of the weights.

Reports accuracy with a 95 % interval over cars: by grid, with and without mirrored photos, and by view. Then, of each
listing with photos of several views, which one is chosen as the cover. Its boxes are of `--detector`, where given.
"""

import argparse
import csv
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.model_selection import GroupKFold

from carpipe.config import CarFilterConfig, CropConfig
from carpipe.evaluation.viewpoints import fit_head, interval
from carpipe.pictures import encode
from carpipe.pictures.detection.cut import crop_photo
from carpipe.pictures.detection.detector import Detector
from carpipe.pictures.model_input import to_array
from carpipe.pictures.sharpness import sharpness
from carpipe.viewpoints import VIEWS, Shot, choose_cover, is_whole, kind_of, mirrored, share_of

FOLDS, SIDE, BATCH = 5, 224, 32
# (grid, mirrored photos are training photos too)
BEST = (2, True)
WAYS = ((1, False), (1, True), (2, False), (2, True), (3, True))


def main() -> None:
    """Print all tables."""
    options = parse()
    rows = [row for row in read_truth(options.folder) if row["view"] in VIEWS]
    views, cars = (np.array([row[name] for row in rows], dtype=object) for name in ("view", "vehicle"))
    plain, turned = maps(options, [photo(options.folder, row["key"]) for row in rows])
    print(f"{len(rows):,} photos of {len({*cars}):,} cars\n\n| grid | mirrored | right | 95 % | outside alone |")
    for grid, both in [BEST] if options.best else WAYS:
        said = answer(pooled(plain, grid), pooled(turned, grid) if both else None, views, cars)
        right, out = said == views, ~np.isin(views, ["in", "d"])
        low, high = interval(right, list(cars))
        print(f"| {grid} x {grid} | {both} | {right.mean():.3f} | {low:.3f} to {high:.3f} | {right[out].mean():.3f} |",
              flush=True)  # fmt: skip
        if (grid, both) == BEST:
            best = said
    by_view(best, views, cars)
    covers(options, rows, best)


def parse() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", type=Path, help="of MobileNetV2 at 0.35, without top")
    parser.add_argument("--filter", type=Path, help="model.keras of a trained car filter")
    parser.add_argument("--detector", default="", help="detector of vehicles, for boxes and sharpness")
    parser.add_argument("--best", action="store_true", help="the way that carpipe takes alone")
    parser.add_argument("--cache", type=Path, help="a file to keep features in, for the next run")
    return parser.parse_args()


def read_truth(folder: Path) -> list[dict[str, str]]:
    """The rows of photos that are what they were."""
    with (folder / "truth.csv").open(encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["kind"] == "original"]


def photo(folder: Path, key: str) -> Image.Image:
    """A photo as the pipeline's thumbnail has it, but for its encoding."""
    with Image.open(folder / "raw" / key) as image:
        return encode.fit(image.convert("RGB"), 256)


def maps(options: argparse.Namespace, images: list[Image.Image]) -> tuple[Any, Any]:
    """Maps of features (n, h, w, channels) of the photos and of the mirrored ones, in halves."""
    if options.cache and options.cache.exists():
        with np.load(options.cache) as kept:
            return kept["plain"], kept["turned"]
    see = backbone(options)
    pictures = np.stack([to_array(image, SIDE) for image in images])
    found = []
    for batch in (pictures, pictures[:, :, ::-1]):
        chunks = (np.ascontiguousarray(batch[at : at + BATCH]) for at in range(0, len(batch), BATCH))
        found.append(np.concatenate([np.asarray(see(chunk), np.float16) for chunk in chunks]))
    if options.cache:
        np.savez(options.cache, plain=found[0], turned=found[1])
    return found[0], found[1]


def backbone(options: argparse.Namespace) -> Any:
    """Pictures in, maps of features out: of the trained filter, or of the weights."""
    import keras

    from carpipe.training.model import build
    from carpipe.training.predict import load_network

    if options.filter:
        network = load_network(options.filter)
    else:
        config = CarFilterConfig(alpha=0.35, weights=str(options.weights))
        network = build(config, classes=2, weights=options.weights)
    inside = network.get_layer("backbone")
    flat = keras.Model(inside.inputs, inside.layers[-1].input)
    prepare = keras.applications.mobilenet_v2.preprocess_input
    return lambda pictures: flat(prepare(pictures.astype(np.float32)), training=False)


def pooled(found: Any, grid: int) -> Any:
    """Means over each field of a grid; fields overlap where the map does not divide."""
    side = found.shape[1]
    size = -(-side // grid)
    starts = np.round(np.linspace(0, side - size, grid)).astype(int)
    fields = [found[:, y : y + size, x : x + size].mean(axis=(1, 2), dtype=np.float32) for y in starts for x in starts]
    return np.concatenate(fields, axis=1)


def answer(features: Any, turned: Any | None, views: Any, cars: Any) -> Any:
    """The view of each photo, by heads that were fitted on other cars."""
    said = np.empty(len(views), dtype=object)
    other = np.array([mirrored(view) for view in views], dtype=object)
    for train, test in GroupKFold(FOLDS, shuffle=True, random_state=1).split(features, groups=cars):
        seen, truth = features[train], views[train]
        if turned is not None:
            seen, truth = np.concatenate([seen, turned[train]]), np.concatenate([truth, other[train]])
        names = [view for view in VIEWS if view in truth]
        head = fit_head(seen, truth, names)
        said[test] = np.array(names, dtype=object)[head.of(features[test]).argmax(axis=1)]
    return said


def by_view(said: Any, views: Any, cars: Any) -> None:
    """Accuracy of each view, and what it is taken for."""
    print("\n| view | photos | cars | found | 95 % | right when said | most often taken for |")
    for view in VIEWS:
        mine = views == view
        low, high = interval(said[mine] == view, cars[mine])
        wrong = [str(one) for one in said[mine] if one != view]
        most = max({*wrong}, key=wrong.count, default="-")
        print(f"| {view} | {mine.sum()} | {len({*cars[mine]})} | {(said[mine] == view).mean():.3f} | {low:.3f} to "
              f"{high:.3f} | {(views[said == view] == view).mean():.3f} | {most} ({wrong.count(most)}) |")  # fmt: skip


def covers(options: argparse.Namespace, rows: list[dict[str, str]], said: Any) -> None:
    """Of listings with a photo in three-quarter front and others, the kind of view that the cover has in truth."""
    listings = defaultdict(list)
    for row, view in zip(rows, said, strict=True):
        listings[row["vehicle"]].append((row, str(view)))
    wanted = {
        car: shots for car, shots in listings.items() if {kind_of(row["view"]) for row, _ in shots} > {"angle-front"}
    }
    detector = Detector(Path(options.detector), config=CropConfig()) if options.detector else None
    chosen = defaultdict[str, int](int)
    whole = first = 0
    for shots in wanted.values():
        shots.sort(key=lambda shot: int(shot[0]["key"].rpartition("/")[2].split("_")[1]))  # the seller's order
        seen = [look(options.folder, row["key"], view, detector) for row, view in shots]
        best = choose_cover(seen)
        assert best is not None  # each can be used
        chosen[kind_of(shots[best][0]["view"])] += 1
        whole += seen[best].whole
        first += kind_of(shots[0][0]["view"]) == "angle-front"
    total = len(wanted)
    print(f"\ncover of {total} listings: {json.dumps(dict(chosen))}; in three-quarter front "
          f"{chosen['angle-front'] / total:.3f}, whole {whole / total:.3f}; the seller's first photo is "
          f"so in {first / total:.3f}")  # fmt: skip


def look(folder: Path, key: str, view: str, detector: Detector | None) -> Shot:
    """What decides about a cover, with the largest vehicle where there is a detector."""
    if detector is None:
        return Shot(view)
    with Image.open(folder / "raw" / key) as file:
        image = file.convert("RGB")
    [vehicle] = detector.largest([image])
    if vehicle is None:
        return Shot(view)
    _, jpeg = crop_photo(image, vehicle, config=CropConfig())
    x0, y0, x1, y1 = box = vehicle.box
    cut = image.crop((x0, y0, x1, y1)) if jpeg else image
    return Shot(view, is_whole(box, image.size), sharpness(cut), share_of(box, image.size))


if __name__ == "__main__":
    main()
