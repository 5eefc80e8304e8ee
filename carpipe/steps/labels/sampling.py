"""Which photos people should label next, written down for them, and the photos themselves where asked for.

At random, to train a first car filter and to judge one fairly; or those that the filter is least sure of, from
which the next one learns most.
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
from carpipe.steps.labels.files import blank_csv
from carpipe.steps.labels.store import image_url, read_labels
from carpipe.steps.people.files import refuse_existing, write_new
from carpipe.steps.session import Session

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

How = Literal["random", "unsure"]
Format = Literal["csv", "label-studio"]

# A file system's limit is 255 bytes for a name; the rest is for a digest.
MAX_NAME_BYTES = 200
SUFFIX_CHARACTERS = 5
# No percent signs: Label Studio's local files are found by a URL.
_UNSAFE = re.compile(r"[^\w.+!@ -]")


@dataclass(frozen=True)
class Drawn:
    """A photo of a sample, and where it stands: a row of the photo table of a committed result."""

    key: str
    manifest: str
    row: int


def sample(session: Session, count: int, *, how: How, seed: int) -> list[str]:
    """Keys of photos that nobody has labelled yet; see `draw`."""
    return [photo.key for photo in draw(session, count, how=how, seed=seed)]


def draw(session: Session, count: int, *, how: How, seed: int) -> list[Drawn]:
    """Photos that nobody has labelled yet, `count` of them or as many as there are; equal for equal seeds.

    Args:
        how: `random`, all photos of the newest inventory being equally likely; or `unsure`, those whose p(car), as
            the newest results of `filter` have it, is nearest to the threshold. The seed then only breaks ties.

    Raises:
        InputError: there is no inventory, nothing was filtered yet, or all is labelled.
    """
    stock = latest_inventory(session)
    if not stock:
        raise InputError("There is no inventory of raw/ yet; run `carpipe step inventory`.")
    photos = _photos(session, stock, how)
    photos = photos[~photos["key"].map(match_key).isin({label.key for label in read_labels(session)})]
    if photos.empty:
        raise InputError(f"There is no photo left to label among the {stock.photos:,} of the newest inventory.")
    # By a digest, not a generator: the next sample of a seed goes on where labels ended this one.
    order = photos["key"].map(lambda key: hashlib.sha256(f"{seed} {key}".encode()).hexdigest())
    distance = (photos["p_car"] - session.config.filter.threshold).abs() if how == "unsure" else 0.0
    drawn = photos.assign(distance=distance, order=order).sort_values(["distance", "order"])
    places = drawn[["key", "manifest", "row"]].head(count).itertuples(index=False)
    return [Drawn(str(key), str(source), int(row)) for key, source, row in places]


def write_sample(session: Session, out: Path, keys: Sequence[str], *, file_format: Format, photos: Path | None) -> int:
    """Write the photos to a new file for people to fill in, the photos first where a folder is named; returns how many.

    Photos that have been deleted since the inventory are left out, and logged.

    Args:
        out: the file: a CSV, or tasks to import into Label Studio.
        photos: where the photos go. Label Studio's tasks then refer to them as local files, below the folder that
            holds `photos`; else to the bucket.

    Raises:
        InputError: the file exists, or a photo would lie outside of the folder or on another file.
    """
    refuse_existing(out, "labels")
    places = _download(session, keys, photos) if photos else {}
    wanted = [key for key in keys if key in places or not photos]
    if file_format == "csv":
        write_new(out, blank_csv(wanted))
    else:
        images = (_local_url(photos, places[key]) if photos else image_url(session, key) for key in wanted)
        tasks = [label_studio.write_task(key, image) for key, image in zip(wanted, images, strict=True)]
        write_new(out, label_studio.to_json(tasks))
    return len(wanted)


def format_of(path: Path) -> Format:
    """The format that a file's name asks for."""
    return "label-studio" if path.suffix.lower() == ".json" else "csv"


def local_name(key: str) -> PurePosixPath:
    """A path below a folder for a photo, equal to its key where that is harmless; different for different keys."""
    return PurePosixPath(*(_local_part(part) for part in key.split("/")))


def _photos(session: Session, stock: Inventory, how: How) -> "pd.DataFrame":
    """`key`, `manifest`, `row`, and `p_car` where asked for, of each present photo in its present version."""
    import pandas as pd

    tables = [_partition(session, part, how) for part in stock.partitions]
    if how == "unsure" and all(found is None for found in tables):
        raise InputError(
            "Nothing was filtered yet, so no photo is known to be unsure; draw a random sample, or run the DAG "
            "`prepare_dataset` first."
        )
    photos = pd.concat([found for found in tables if found is not None], ignore_index=True)
    if stock.gone:
        from carpipe.photos import from_parquet

        gone = pd.MultiIndex.from_frame(from_parquet(manifest.verified(session.store, stock.gone))[["key", "etag"]])
        photos = photos[~pd.MultiIndex.from_frame(photos[["key", "etag"]]).isin(gone)]
    return photos[~photos["listing_uuid"].isin(forgotten_listings(session))]


def _partition(session: Session, part: dict[str, Any], how: How) -> "pd.DataFrame | None":
    """The photos of a partition that a sample may hold; None where they were not filtered but should be."""
    columns = ["key", "etag", "listing_uuid", "dropped_by"]
    if how == "random":
        source = manifest.read(session.store, part["manifest"])
        photos = _with_places(results.read_photos(session.store, source, columns=columns), source)
        return photos[photos["dropped_by"].isna()]
    newest = results.newest_result(session.store, "filter", part["partition"])
    if newest is None:
        return None
    source = manifest.read(session.store, newest)
    photos = _with_places(results.read_photos(session.store, source, columns=[*columns, "p_car"]), source)
    return photos[photos["p_car"].notna()]


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
