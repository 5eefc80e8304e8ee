"""Which photos people should label next, written down for them, and the photos themselves where asked for.

At random, to train a first car filter and to judge one fairly; those that the filter is least sure of, from which the
next one learns most; or cars from outside first, for labels of views.
"""

import hashlib
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from carpipe import manifest
from carpipe.errors import InputError
from carpipe.manifest import Manifest
from carpipe.names import match_key, shown
from carpipe.steps import results
from carpipe.steps.data.inventory import Inventory, forgotten_listings, latest_inventory
from carpipe.steps.data.raw import Raw, objects_named
from carpipe.steps.labels import label_studio
from carpipe.steps.labels.questions import CARS, Question
from carpipe.steps.labels.store import image_url, read_labels
from carpipe.steps.people.files import refuse_existing, write_new
from carpipe.steps.session import Session
from carpipe.weights.contract import CAR

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

How = Literal["random", "unsure", "cars"]
Format = Literal["csv", "label-studio"]

# A file system's limit is 255 bytes for a name; the rest is for a digest.
MAX_NAME_BYTES = 200
SUFFIX_CHARACTERS = 5
# Of a photo table, what decides whether a photo may be drawn.
COLUMNS = ["key", "etag", "listing_uuid", "dropped_by"]
# No percent signs: Label Studio's local files are found by a URL.
_UNSAFE = re.compile(r"[^\w.+!@ -]")


@dataclass(frozen=True)
class Drawn:
    """A photo of a sample, and where it stands: a row of the photo table of a committed result."""

    key: str
    manifest: str
    row: int


def sample(session: Session, count: int, *, how: How, seed: int, question: Question = CARS) -> list[str]:
    """Keys of photos that nobody has labelled yet; see `draw`."""
    return [photo.key for photo in draw(session, count, how=how, seed=seed, question=question)]


def draw(session: Session, count: int, *, how: How, seed: int, question: Question = CARS) -> list[Drawn]:
    """Photos that nobody has labelled yet, `count` of them or as many as there are; equal for equal seeds.

    Args:
        how: `random`, all photos of the newest inventory being equally likely; `unsure`, those of which the filter is
            least sure by its newest results: p(car) nearest to the threshold, or the likeliest view the least likely;
            the seed then only breaks ties. `cars`: at random, but first those that show a car from outside, as a label
            says, or else the filter.
        question: the one whose answer nobody has given.

    Raises:
        InputError: there is no inventory, nothing was filtered yet, or all is labelled.
    """
    stock = latest_inventory(session)
    if not stock:
        raise InputError("There is no inventory of raw/ yet; run `carpipe step inventory`.")
    photos = _photos(session, stock, how, question)
    names = photos["key"].map(match_key)
    photos = photos[~names.isin({label.key for label in question.read(session)})]
    if photos.empty:
        raise InputError(f"There is no photo left to label among the {stock.photos:,} of the newest inventory.")
    # By a digest, not a generator: the next sample of a seed goes on where labels ended this one.
    order = photos["key"].map(lambda key: hashlib.sha256(f"{seed} {key}".encode()).hexdigest())
    drawn = photos.assign(first=_first(session, photos, how), order=order).sort_values(["first", "order"])
    places = drawn[["key", "manifest", "row"]].head(count).itertuples(index=False)
    return [Drawn(str(key), str(source), int(row)) for key, source, row in places]


def write_sample(
    session: Session,
    out: Path,
    keys: Sequence[str],
    *,
    file_format: Format,
    photos: Path | None,
    question: Question = CARS,
) -> int:
    """Write the photos to a new file for people to fill in, the photos first where a folder is named; returns how many.

    Photos that have been deleted since the inventory are left out, and logged.

    Args:
        out: the file: a CSV, or tasks to import into Label Studio.
        photos: where the photos go. Label Studio's tasks then refer to them as local files, below the folder that
            holds `photos`; else to the bucket.
        question: which is asked. Tasks for Label Studio there are of `CARS` alone.

    Raises:
        InputError: the file exists, a photo would lie outside of the folder or on another file, or there are no such
            tasks.
    """
    check_format(file_format, question)
    refuse_existing(out, "labels")
    places = _download(session, keys, photos) if photos else {}
    wanted = [key for key in keys if key in places or not photos]
    if file_format == "csv":
        write_new(out, question.blank_csv(wanted))
    else:
        images = (_local_url(photos, places[key]) if photos else image_url(session, key) for key in wanted)
        tasks = [label_studio.write_task(key, image) for key, image in zip(wanted, images, strict=True)]
        write_new(out, label_studio.to_json(tasks))
    return len(wanted)


def format_of(path: Path) -> Format:
    """The format that a file's name asks for."""
    return "label-studio" if path.suffix.lower() == ".json" else "csv"


def check_format(file_format: Format, question: Question) -> None:
    """Raise InputError where there are no files of that format for the question."""
    if file_format != "csv" and question is not CARS:
        raise InputError("Label Studio's tasks ask for cars alone; name a file that ends in .csv for views.")


def local_name(key: str) -> PurePosixPath:
    """A path below a folder for a photo, equal to its key where that is harmless; different for different keys."""
    return PurePosixPath(*(_local_part(part) for part in key.split("/")))


def _first(session: Session, photos: "pd.DataFrame", how: How) -> Any:
    """What photos are sorted by before chance decides: the least comes first."""
    if how == "random":
        return 0.0
    if how == "unsure":
        return photos["first"]
    said = {label.key: float(label.label != CAR) for label in read_labels(session)}
    return [said.get(match_key(key), first) for key, first in zip(photos["key"], photos["first"], strict=True)]


def _photos(session: Session, stock: Inventory, how: How, question: Question) -> "pd.DataFrame":
    """`key`, `manifest`, `row`, and `first` where asked for, of each present photo in its present version."""
    import pandas as pd

    tables = [_partition(session, part, how, question) for part in stock.partitions]
    if how == "unsure" and all(found is None for found in tables):
        raise InputError(
            f"{question.untold}, so no photo is known to be unsure; draw a random sample, or run the DAG "
            "`prepare_dataset` first."
        )
    photos = pd.concat([found for found in tables if found is not None], ignore_index=True)
    if stock.gone:
        from carpipe.photos import from_parquet

        gone = pd.MultiIndex.from_frame(from_parquet(manifest.verified(session.store, stock.gone))[["key", "etag"]])
        photos = photos[~pd.MultiIndex.from_frame(photos[["key", "etag"]]).isin(gone)]
    return photos[~photos["listing_uuid"].isin(forgotten_listings(session))]


def _partition(session: Session, part: dict[str, Any], how: How, question: Question) -> "pd.DataFrame | None":
    """The photos of a partition that a sample may hold; None where they were not filtered but should be.

    `first` is what the filter says of them: how far from unsure, or 0 for a car and 1 for none.
    """
    newest = results.newest_result(session.store, "filter", part["partition"]) if how != "random" else None
    if newest is None:
        return _unfiltered(session, part["manifest"]) if how != "unsure" else None
    source = manifest.read(session.store, newest)
    column = question.told if how == "unsure" else CARS.told
    photos = results.read_photos(session.store, source, columns=COLUMNS, also=(column,))
    if column not in photos:
        return None
    photos = _with_places(photos, source)[photos[column].notna()]
    if how == "unsure":
        return photos.assign(first=(photos[column] - question.unsure_at(session)).abs())
    return photos.assign(first=(photos[column] < session.config.filter.threshold).astype(float))


def _unfiltered(session: Session, key: str) -> "pd.DataFrame":
    """The photos of a partition of an inventory."""
    source = manifest.read(session.store, key)
    photos = _with_places(results.read_photos(session.store, source, columns=COLUMNS), source)
    return photos[photos["dropped_by"].isna()].assign(first=1.0)


def _with_places(photos: "pd.DataFrame", source: Manifest) -> "pd.DataFrame":
    return photos.assign(manifest=source.key, row=range(len(photos)))


def _download(session: Session, keys: Sequence[str], folder: Path) -> dict[str, Path]:
    """Copy photos into the folder; returns where each is."""
    places = {}
    source = Raw(session, objects_named(session, keys))
    for key, data in source:
        if data is None:
            why = (
                "is larger than clean.max_bytes" if key in source.too_large else "has been deleted since the inventory"
            )
            log.warning("%s %s; it is left out", shown(key), why)
            continue
        places[key] = _place(folder, key)
        try:
            write_new(places[key], data)
        except FileExistsError:
            if places[key].read_bytes() != data:
                raise InputError(f"{places[key]} exists and is another photo; name another folder.") from None
    return places


def _place(folder: Path, key: str) -> Path:
    """Where the photo goes, its folder made; links do not lead it out of the folder."""
    path = folder / local_name(key)
    if not path.parent.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{path.parent} is a link that leads out of {folder}; name another folder.")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _local_part(part: str) -> str:
    safe = _UNSAFE.sub("_", part).strip(". ")
    if safe == part and len(part.encode()) <= MAX_NAME_BYTES:
        return part
    stem, dot, suffix = safe.rpartition(".")
    if not dot or len(suffix) > SUFFIX_CHARACTERS:
        stem, dot, suffix = safe, "", ""
    stem = stem.encode()[:MAX_NAME_BYTES].decode(errors="ignore")
    return f"{stem}-{hashlib.sha256(part.encode()).hexdigest()[:12]}{dot}{suffix}"


def _local_url(folder: Path, path: Path) -> str:
    """As Label Studio serves local files, its document root being the folder that holds `folder`.

    Source: https://labelstud.io/guide/storage#Local-storage
    """
    return f"/data/local-files/?d={quote(f'{folder.resolve().name}/{path.relative_to(folder).as_posix()}')}"
