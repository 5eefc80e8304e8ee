"""Which photos are recognised as one car: real ones against their truth, edited copies, and repainted cars.

    python benchmarks/copies.py <folder of photos> <truth.csv>

`truth.csv` says which vehicle each photo shows (`key,vehicle,kind,label`). Of 200 of them, one a vehicle, copies are
made as sellers and programs do, each kind offered in new listings beside all photos: they should join their car. In
other copies the car has another colour: they should not. The alternative is what duplicate finders do: all pairs whose
dHash differs in at most 10 of 64 bits.
"""

import io
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from cv2.typing import MatLike
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from carpipe.config import CleanConfig, IdentifyConfig
from carpipe.photos import add_results, kept
from carpipe.stages.clean import Cleaned, clean
from carpipe.stages.copies import components
from carpipe.stages.identify import identify
from carpipe.stages.inventory import list_photos
from carpipe.storage import ObjectInfo

COPIES = 200
LOOSE = 10  # bits; the default of widely used duplicate finders
Picture = Image.Image
Pixels = NDArray[np.uint8]


def cut(left: float, top: float, right: float, bottom: float) -> Callable[[Picture], Picture]:
    """Cut off shares of the sides."""

    def edit(picture: Picture) -> Picture:
        w, h = picture.size
        return picture.crop((round(left * w), round(top * h), round((1 - right) * w), round((1 - bottom) * h)))

    return edit


def painted_over(picture: Picture) -> Picture:
    """A white line around, on the picture itself."""
    inner = cut(0.02, 0.02, 0.02, 0.02)(picture)
    canvas = Image.new("RGB", picture.size, "white")
    canvas.paste(inner, ((picture.width - inner.width) // 2, (picture.height - inner.height) // 2))
    return canvas


def then(first: Callable[[Picture], Picture], second: Callable[[Picture], Picture]) -> Callable[[Picture], Picture]:
    """One edit after the other."""
    return lambda picture: second(first(picture))


brighter = lambda picture: ImageEnhance.Brightness(picture).enhance(1.15)  # noqa: E731  # one line a kind
EDITS: dict[str, Callable[[Picture], Picture]] = {
    "half the size": lambda picture: picture.resize((picture.width // 2, picture.height // 2)),
    "15 % brighter": brighter,
    "15 % darker": lambda picture: ImageEnhance.Brightness(picture).enhance(0.85),
    "levels stretched": lambda picture: ImageOps.autocontrast(picture, cutoff=2),
    "levels equalised": ImageOps.equalize,
    "30 % more colour": lambda picture: ImageEnhance.Color(picture).enhance(1.3),
    "4 % cut, each side": cut(0.04, 0.04, 0.04, 0.04),
    "4 % cut, in all": cut(0.02, 0.02, 0.02, 0.02),
    "4 % cut, left": cut(0.04, 0, 0, 0),
    "4 % cut, bottom": cut(0, 0, 0, 0.04),
    "4 % cut, two sides": cut(0.04, 0.04, 0, 0),
    "2 % frame, white": lambda picture: ImageOps.expand(picture, round(picture.width * 0.02), "white"),
    "2 % frame, black": lambda picture: ImageOps.expand(picture, round(picture.width * 0.02), "black"),
    "2 % frame, over it": painted_over,
    "mirrored": ImageOps.mirror,
    "mirrored, brighter": then(ImageOps.mirror, brighter),
    "cut and brighter": then(cut(0.04, 0.04, 0.04, 0.04), brighter),
}


def hue(picture: Picture, degrees: int) -> Picture:
    """All colours turned."""
    turned = cv2.cvtColor(np.asarray(picture), cv2.COLOR_RGB2HSV)
    turned[..., 0] = (turned[..., 0].astype(int) + degrees // 2) % 180
    return Image.fromarray(cv2.cvtColor(turned, cv2.COLOR_HSV2RGB))


def paint(blue: int, red: int) -> Callable[[Picture], Picture]:
    """The middle of the picture in one colour, its grey as it was: Cb and Cr, from no colour on."""

    def edit(picture: Picture) -> Picture:
        pixels = cv2.cvtColor(np.asarray(picture), cv2.COLOR_RGB2YCrCb)
        pixels[..., 1:] = 128 + red, 128 + blue
        return in_the_middle(picture, cv2.cvtColor(pixels, cv2.COLOR_YCrCb2RGB))

    return edit


def in_the_middle(picture: Picture, pixels: MatLike) -> Picture:
    """An ellipse as large as a car usually is, a quarter of the picture, of other pixels."""
    mask = np.zeros((picture.height, picture.width), np.float32)
    middle, axes = (
        (picture.width // 2, picture.height // 2),
        (round(picture.width * 0.32), round(picture.height * 0.25)),
    )
    cv2.ellipse(mask, middle, axes, 0, 0, 360, 1.0, -1)
    soft = cv2.GaussianBlur(mask, (9, 9), 0)[..., None]
    return Image.fromarray((np.asarray(picture) * (1 - soft) + pixels * soft).astype(np.uint8))


REPAINTS: dict[str, Callable[[Picture], Picture]] = {
    "red": paint(-20, 40),
    "blue": paint(40, -15),
    "green": paint(-15, -35),
    "black": lambda picture: in_the_middle(picture, np.asarray(picture) * 0.4),
    "white": lambda picture: in_the_middle(picture, 255 - (255.0 - np.asarray(picture)) * 0.4),
    "all colours by 120 degrees": lambda picture: hue(picture, 120),
    "all colours by 60 degrees": lambda picture: hue(picture, 60),
}


def main(folder: Path, truth: Path) -> None:
    """Print how the truth is met, then a line per kind of copy."""
    keys = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    cleaned = clean(((key, (folder / key).read_bytes()) for key in keys), config=CleanConfig())
    told = pd.read_csv(truth, dtype=str).set_index("key")
    against_truth(find(cleaned), told)
    photos = kept(as_table(cleaned))["key"]
    there = told[told.index.isin(photos) & (told["kind"] == "original") & (told["label"] == "auto")]
    chosen = there.groupby("vehicle").head(1).sample(COPIES, random_state=1).index
    print(f"\n{'edited copies':<28} {'joined':>8} {'dHash <= 10':>12}")
    for name, edit in EDITS.items():
        report(name, cleaned, offered_again(folder, list(chosen), edit))
    print(f"\n{'repainted cars':<28} {'joined':>8} {'dHash <= 10':>12}")
    for name, edit in REPAINTS.items():
        report(name, cleaned, offered_again(folder, list(chosen), edit))


def offered_again(folder: Path, keys: list[str], edit: Callable[[Picture], Picture]) -> dict[str, tuple[str, bytes]]:
    """By photo key: the key of its edited copy in a new listing, and the file."""
    found = {}
    for number, key in enumerate(keys):
        sink = io.BytesIO()
        edit(Image.open(folder / key).convert("RGB")).save(sink, "JPEG", quality=85)
        names = uuid.uuid5(uuid.NAMESPACE_URL, key), uuid.uuid5(uuid.NAMESPACE_URL, key + "photo")
        found[key] = (f"{key.split('/')[0]}/{900_000 + number}_1_{names[0]}_{names[1]}.jpg", sink.getvalue())
    return found


def report(name: str, originals: Cleaned, copies: dict[str, tuple[str, bytes]]) -> None:
    """How many copies are the car of their original, for carpipe and for hashes alone."""
    more = clean(copies.values(), config=CleanConfig())
    both = Cleaned(
        pd.concat([originals.results, more.results], ignore_index=True),
        signatures={**originals.signatures, **more.signatures},
    )
    photos = find(both).set_index("key")
    ours = [photos["vehicle"][key] == photos["vehicle"][copy] for key, (copy, _) in copies.items()]
    loose = by_hash_alone(as_table(both))
    theirs = [loose[key] == loose[copy] for key, (copy, _) in copies.items()]
    print(f"{name:<28} {np.mean(ours):>8.1%} {np.mean(theirs):>12.1%}")


def against_truth(photos: pd.DataFrame, truth: pd.DataFrame) -> None:
    """Cars that are offered again and are one, and vehicles that are several cars."""
    photos = photos.join(truth[["vehicle", "kind"]].add_prefix("true_"), on="key")
    loose = photos.assign(vehicle=photos["key"].map(by_hash_alone(photos)))
    print(f"{'truth':<28} {'found':>8} {'dHash <= 10':>12}")
    both = photos, loose
    for kind in ("relist_exact", "relist_near"):
        cars = photos.loc[photos["true_kind"] == kind, "true_vehicle"].unique()
        joined = [one_each(table[table["true_vehicle"].isin(cars)], "true_vehicle", "vehicle") for table in both]
        print(f"{kind + ', joined':<28} {joined[0]:>8.1%} {joined[1]:>12.1%}")
    wrong = [1 - one_each(table, "vehicle", "true_vehicle") for table in both]
    print(f"{'vehicles of several cars':<28} {wrong[0]:>8.2%} {wrong[1]:>12.2%}")


def one_each(photos: pd.DataFrame, by: str, of: str) -> float:
    """Share of `by` that have one `of`, among photos that are no banners."""
    known = photos[photos["vehicle"].notna() & (photos["true_kind"] != "banner")]
    return float((known.groupby(by)[of].nunique() == 1).mean())


def as_table(cleaned: Cleaned) -> pd.DataFrame:
    """The photo table after `clean`."""
    photos = list_photos(ObjectInfo(key, "e", 1) for key in cleaned.results["key"])
    return add_results(photos, cleaned.results, stage="clean")


def find(cleaned: Cleaned) -> pd.DataFrame:
    """The photo table after `identify`."""

    def signatures(rows: pd.DataFrame) -> NDArray[np.uint8]:
        width = len(next(iter(cleaned.signatures.values())))
        joined = b"".join(cleaned.signatures[key] for key in rows["key"])
        return np.frombuffer(joined, np.uint8).reshape(-1, width)

    return identify(as_table(cleaned), config=IdentifyConfig(), signatures=signatures).photos


def by_hash_alone(photos: pd.DataFrame) -> "pd.Series[int]":
    """Vehicles if hashes decided: photos of one listing, or with nearly one hash."""
    seen = photos[photos["dhash"].notna()]
    hashes = np.array([int(text, 16) for text in seen["dhash"]], np.uint64)
    listing = pd.factorize(seen["listing_uuid"])[0]
    near = [np.flatnonzero(np.bitwise_count(hashes ^ one) <= LOOSE) for one in hashes]
    one = np.repeat(np.arange(len(near)), [len(found) for found in near])
    other = np.concatenate(near)
    edges = np.concatenate([one, np.arange(len(seen))]), np.concatenate([other, len(seen) + listing])
    return pd.Series(components(*edges, size=len(seen) + len(seen))[: len(seen)], index=seen["key"])


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
