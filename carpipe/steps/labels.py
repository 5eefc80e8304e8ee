"""Labels: car / no car, by people, kept append-only under `labels/<name>/`."""

import csv
import io
import logging
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.errors import InputError
from carpipe.manifest import Manifest, Work
from carpipe.steps import artefacts
from carpipe.steps.artefacts import CAR, NOT_CAR
from carpipe.steps.inventory import forgotten_listings
from carpipe.steps.partition import Raw
from carpipe.steps.reuse import reused
from carpipe.steps.session import Session
from carpipe.storage import normalise_key

if TYPE_CHECKING:
    import pandas as pd

    from carpipe.stages.clean import Cleaned

log = logging.getLogger(__name__)

LABELS = (CAR, NOT_CAR)
VERSION = 1


def import_labels(session: Session, data: bytes, *, at: str) -> str:
    """Add a CSV with the columns `key` (below raw/) and `label` to the label set; returns its key.

    The same file twice is one file. Rows without a label are those nobody has decided, and skipped.

    Args:
        at: time of the import, UTC, `YYYYmmddTHHMMSSZ`: of two labels for a photo the later counts.

    Raises:
        InputError: the columns or labels are not those, or no row has a label.
    """
    from carpipe.images import sha256

    if not parse_labels(data):
        raise InputError("The labels are empty: no row has a label.")
    name = f"{sha256(data)[:12]}.csv"
    folder = f"labels/{session.config.car_filter.labels}"
    for info in session.store.list_objects(folder):
        if info.key.endswith(name):
            return info.key
    key = f"{folder}/{at}-{name}"
    session.store.create(key, data)
    return key


def parse_labels(data: bytes) -> dict[str, str]:
    """Label by photo key of one CSV. Raises InputError that names the line."""
    try:
        rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"The labels are not CSV in UTF-8: {error}.") from None
    if rows and not {"key", "label"} <= set(rows[0]):
        columns = ", ".join(str(name) for name in rows[0])
        raise InputError(f"The labels need the columns key and label; found {columns}.")
    labels: dict[str, str] = {}
    for line, row in enumerate(rows, start=2):
        label = (row["label"] or "").strip()
        if label and label not in LABELS:
            raise InputError(f"Line {line} of the labels says {label!r}; known are {', '.join(LABELS)}.")
        if label:
            labels[normalise_key((row["key"] or "").strip().removeprefix("raw/"))] = label
    return labels


def label_set(session: Session) -> Manifest:
    """Make the labelled photos a dataset to train the car filter on, split by listing.

    Photos are cleaned into thumbnails exactly as the pipeline does it: the filter sees later what it
    was trained on.

    Raises:
        InputError: there are no labels, they match no photo, or a label has too few photos.
    """
    from carpipe import photos as table
    from carpipe.stages import clean

    labels, sources = _read_labels(session)
    work = Work("label_set", VERSION, "all", _settings(session, labels), tuple(sources))
    if done := manifest.find(session.store, work):
        return reused(done)
    started = time.monotonic()
    source = Raw(session, sorted(labels))
    cleaned = clean.clean(source, config=session.config.clean)
    if (cleaned.results["reason"] == "missing").all():
        raise InputError(
            f"The {len(labels)} labels match no photo under raw/, {next(iter(labels))!r} for one; "
            "a key is <folder>/<file name> below raw/."
        )
    photos = _photo_table(session, cleaned, labels)
    alive = table.kept(photos)
    _check_enough(alive)
    return manifest.commit(
        session.store,
        work,
        {artefacts.PHOTOS: table.to_parquet(photos), **_write_shards(alive, cleaned.thumbnails)},
        counts={"in": len(photos), "kept": len(alive), "dropped": photos["dropped"].value_counts().to_dict()},
        seconds=round(time.monotonic() - started, 3),
        bytes_read=source.bytes,
        extra={"classes": list(LABELS), "splits": alive["split"].value_counts().to_dict()},
    )


def _settings(session: Session, labels: Mapping[str, str]) -> dict[str, Any]:
    """What decides the label set beside the labels: settings, code, and which of the photos are there."""
    from carpipe.stages import clean, identify, split

    listing = ((info.key.removeprefix("raw/"), info.etag) for info in session.store.list_objects("raw"))
    there = [(key, etag) for key, etag in listing if key in labels]
    sections = ("clean", "identify", "split")
    return {
        **{name: getattr(session.config, name).model_dump() for name in sections},
        "versions": [clean.VERSION, identify.VERSION, split.VERSION],
        "labels": manifest.digest(dict(labels)),
        "photos": manifest.digest(there),
        "forgotten": manifest.digest(forgotten_listings(session)),
    }


def _read_labels(session: Session) -> tuple[dict[str, str], list[str]]:
    """All labels, later files over earlier ones, and the keys of the files."""
    folder = f"labels/{session.config.car_filter.labels}"
    sources = sorted(info.key for info in session.store.list_objects(folder))
    if not sources:
        raise InputError(f"There are no labels under {folder}/; add some with `carpipe labels <csv>`.")
    labels: dict[str, str] = {}
    for key in sources:
        labels |= parse_labels(session.store.get(key))
    return labels, sources


def _photo_table(session: Session, cleaned: "Cleaned", labels: Mapping[str, str]) -> "pd.DataFrame":
    """The labelled photos as a photo table, split by vehicle whatever their label is."""
    import numpy as np

    from carpipe import photos as table
    from carpipe.images import SIGNATURE_SIDE
    from carpipe.stages import identify, inventory
    from carpipe.stages import split as splitting
    from carpipe.storage import ObjectInfo

    def signatures(rows: "pd.DataFrame") -> Any:
        joined = b"".join(cleaned.signatures[key] for key in rows["key"])
        return np.frombuffer(joined, np.uint8).reshape(-1, SIGNATURE_SIDE**2)

    listing = (ObjectInfo(key, "", 0) for key in cleaned.results["key"])
    photos = inventory.list_photos(listing, forgotten=forgotten_listings(session))
    photos = table.add_results(photos, cleaned.results, stage="clean")
    photos = identify.identify(photos, config=session.config.identify, signatures=signatures).photos
    photos, _ = splitting.split(photos.assign(class_name="labelled"), config=session.config.split)
    return photos.assign(class_name=photos["key"].map(labels))


def _check_enough(photos: "pd.DataFrame") -> None:
    found = {(str(label), str(name)) for label, name in zip(photos["class_name"], photos["split"], strict=True)}
    for label in LABELS:
        for name in ("train", "val", "test"):
            if (label, name) not in found:
                total = int((photos["class_name"] == label).sum())
                raise InputError(
                    f"There are too few photos labelled {label} to train the car filter: {total} usable ones, and none "
                    f"in the {name} part; label photos of more listings."
                )


def _write_shards(photos: "pd.DataFrame", thumbnails: Mapping[str, bytes]) -> dict[str, bytes]:
    from carpipe.photos import SPLITS
    from carpipe.stages.pack import shuffled
    from carpipe.training.data import write_shard

    rows = list(photos[["key", "class_name", "split"]].itertuples(index=False, name=None))
    files = {}
    with tempfile.TemporaryDirectory(prefix="carpipe-labels-") as folder:
        for name in SPLITS:
            path = Path(folder) / f"{name}.tfrecord"
            write_shard(path, ((key, label, thumbnails[key]) for key, label in shuffled(rows, name)))
            files[path.name] = path.read_bytes()
    return files
