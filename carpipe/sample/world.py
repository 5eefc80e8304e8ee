"""The sample world: a small dealer world, drawn, in the layout of a real bucket, with its truth beside it.

    folder/raw/<make>_<model>_<year>/<listing>_<photo>_<listing uuid>_<photo uuid>.jpg
    folder/labels.csv   key, label            a hand-labelled part: auto / no_auto
    folder/truth.csv    one row per file      what every file is; written last

It proves plumbing, not accuracy: drawn cars are easier to tell apart than real ones.
"""

import csv
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass, fields
from multiprocessing import get_context
from pathlib import Path

from PIL import Image

from carpipe.errors import InputError
from carpipe.sample.details import draw_banner
from carpipe.sample.faults import break_photo
from carpipe.sample.photo import SIZES, Box, choose_car, draw_photo, encode
from carpipe.sample.plan import Shot, plan_world

LISTINGS = 240  # cars in the default world: about 1,800 photos, 45 MB
LABELLED = 0.4  # share of the listings that somebody has labelled by hand
BATCH = 32  # photos that a worker process draws before it reports


@dataclass(frozen=True)
class Truth:
    """What one file is; the columns of truth.csv."""

    key: str  # relative to raw/
    view: str  # front, rear, side-*, angle-*, interior, detail, banner
    label: str  # auto, no_auto; empty where no picture is left to judge
    vehicle: str  # the car that it belongs to: relisted copies share it
    fault: str
    expect: str  # what cleaning may do: keep, drop, any
    kind: str  # original, fault, relist_exact, relist_near, banner
    boxes: str  # `class x0 y0 x1 y1;...`, pixels of the upright picture, the listing's own car first


@dataclass(frozen=True)
class World:
    """A drawn world."""

    folder: Path
    photos: tuple[Truth, ...]

    @property
    def raw(self) -> Path:
        """The folder with the photos."""
        return self.folder / "raw"

    @property
    def labels(self) -> Path:
        """The table of hand-given labels."""
        return self.folder / "labels.csv"

    @property
    def truth(self) -> Path:
        """The table of what every file is."""
        return self.folder / "truth.csv"

    def counts(self, column: str) -> dict[str, int]:
        """How many files there are of each value of a `Truth` column."""
        return dict(sorted(Counter(str(getattr(photo, column)) for photo in self.photos).items()))


def draw_world(
    folder: Path,
    *,
    seed: int = 0,
    listings: int = LISTINGS,
    workers: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> World:
    """Draws a world into an empty folder: the same bytes for the same seed and size, whatever `workers` is.

    `listings` is the number of cars; about one in twelve is listed twice. The three cars of the two rare
    models are in every world, however small. `on_progress` gets files done and files in all. More than one
    worker starts fresh interpreters, so the caller's main module must be importable. Raises InputError if
    `folder/raw` holds anything.
    """
    if listings < 1:
        raise InputError(f"a sample world needs at least 1 listing, not {listings}")
    raw = folder / "raw"
    if raw.exists() and any(raw.iterdir()):
        raise InputError(f"{raw} is not empty: a sample world is only drawn into an empty folder")
    shots = plan_world(seed, listings)
    for name in {shot.key.split("/")[0] for shot in shots}:
        (raw / name).mkdir(parents=True)
    photos: list[Truth] = []
    for batch in _draw(raw, shots, workers):
        photos += batch
        if on_progress:
            on_progress(len(photos), len(shots))
    world = World(folder, tuple(sorted(photos, key=lambda photo: photo.key)))
    _write_table(world.labels, ("key", "label"), _label(world.photos, shots, seed))
    _write_table(world.truth, [f.name for f in fields(Truth)], map(astuple, world.photos))
    return world


def read_truth(path: Path) -> tuple[Truth, ...]:
    """The rows of a truth.csv."""
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(Truth(**row) for row in csv.DictReader(file))


def parse_boxes(text: str) -> list[Box]:
    """The boxes of a truth row."""
    parts = [part.split(" ") for part in text.split(";") if part]
    return [Box(kind, *(int(number) for number in numbers)) for kind, *numbers in parts]


def _draw(raw: Path, shots: list[Shot], workers: int) -> Iterator[list[Truth]]:
    batches = [shots[i : i + BATCH] for i in range(0, len(shots), BATCH)]
    if workers < 2 or len(batches) < 2:
        yield from (draw_batch(raw, batch) for batch in batches)
        return
    # Fresh interpreters: forking a process that runs threads (torch, obstore) can hang.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(draw_batch, [raw] * len(batches), batches)


def draw_batch(raw: Path, shots: list[Shot]) -> list[Truth]:
    """Draws and writes some photos."""
    rows = []
    for shot in shots:
        data, boxes = draw_shot(shot)
        (raw / shot.key).write_bytes(data)
        gone = shot.expect == "drop"
        label = "" if gone else "no_auto" if shot.view in ("interior", "detail", "banner") else "auto"
        marks = "" if gone else ";".join(map(str, boxes))
        rows.append(Truth(shot.key, shot.view, label, shot.vehicle, shot.fault, shot.expect, shot.kind, marks))
    return rows


def draw_shot(shot: Shot) -> tuple[bytes, list[Box]]:
    """The bytes of one file, and the cars in it."""
    rng = random.Random(shot.photo_seed)
    if shot.kind == "banner":
        size = rng.choice(SIZES)
        return encode(draw_banner(rng, (size[0] * 2, size[1] * 2)).reduce(2)), []
    car = choose_car(random.Random(shot.car_seed), shot.look)
    image, boxes = draw_photo(rng, car, shot.view)
    if shot.kind == "relist_near":
        image, boxes = _shrink(rng, image, boxes)
        return encode(image, rng.randint(68, 80)), boxes
    data = encode(image)
    return (break_photo(shot.fault, image, data, rng) if shot.fault else data), boxes


def _shrink(rng: random.Random, image: Image.Image, boxes: list[Box]) -> tuple[Image.Image, list[Box]]:
    """The picture as another site serves it: re-encoded, and often smaller."""
    scale = rng.choice((1.0, 0.9, 0.75))
    size = (round(image.width * scale), round(image.height * scale))
    small = [Box(b.kind, *(round(side * scale) for side in (b.x0, b.y0, b.x1, b.y1))) for b in boxes]
    return image.resize(size, Image.Resampling.LANCZOS), small


def _label(photos: Iterable[Truth], shots: list[Shot], seed: int) -> list[tuple[str, str]]:
    """Labels of the readable photos of some listings, whole listings together."""
    listings = sorted({shot.listing for shot in shots})
    chosen = set(random.Random(f"labels {seed}").sample(listings, max(1, round(len(listings) * LABELLED))))
    labelled = {shot.key for shot in shots if shot.listing in chosen}
    return [(p.key, p.label) for p in photos if p.expect == "keep" and p.key in labelled]


def _write_table(path: Path, header: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
