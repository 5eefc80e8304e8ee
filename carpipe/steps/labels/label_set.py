"""Label set: the labelled photos as a dataset that the car filter is trained on."""

import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from carpipe import manifest
from carpipe.errors import InputError
from carpipe.manifest import Manifest, Work
from carpipe.names import is_odd, match_key
from carpipe.steps import results
from carpipe.steps.data.labelled import clean_labelled, deciding, labelled_photos
from carpipe.steps.labels.rows import LABELS
from carpipe.steps.labels.store import current_labels
from carpipe.steps.reuse import reused
from carpipe.steps.session import Session
from carpipe.storage import ObjectInfo

if TYPE_CHECKING:
    import pandas as pd

VERSION = 1


def label_set(session: Session) -> Manifest:
    """Make the labelled photos a dataset to train the car filter on, split by listing.

    Photos are cleaned into thumbnails exactly as the pipeline does it: the filter sees later what it
    was trained on.

    Raises:
        InputError: there are no labels, they match no photo, or a label has too few photos.
    """
    from carpipe import photos as table

    labels, there = _of_photos(session, {key: label.label for key, label in current_labels(session).items()})
    # Of no input: not who gave the labels in which file makes a label set, but what they say.
    work = Work("label_set", VERSION, "all", deciding(session, labels, there), ())
    if done := manifest.find(session.store, work):
        return reused(done)
    started = time.monotonic()
    cleaned, read = clean_labelled(session, _objects(labels, there))
    if (cleaned.results["reason"] == "missing").all():
        raise InputError(
            f"The {len(labels)} labels match no photo under raw/, {next(iter(labels))!r} for one; "
            "a key is <folder>/<file name> below raw/."
        )
    photos = labelled_photos(session, cleaned, labels)
    alive = table.kept(photos)
    _check_enough(alive)
    return session.commit(
        work,
        {results.PHOTOS: table.to_parquet(photos), **_write_shards(alive, cleaned.thumbnails)},
        counts={"in": len(photos), "kept": len(alive), "dropped": photos["dropped"].value_counts().to_dict()},
        seconds=round(time.monotonic() - started, 3),
        bytes_read=read,
        extra={"classes": list(LABELS), "splits": alive["split"].value_counts().to_dict()},
    )


def _of_photos(session: Session, labels: Mapping[str, str]) -> tuple[dict[str, str], list[ObjectInfo]]:
    """The labels by the key that a photo has in the bucket, and the labelled photos that are there, without `raw/`.

    Labels are in composed Unicode (NFC); some other uploader may have named the photos in decomposed Unicode.
    """
    listed = (info for info in session.store.list_objects("raw") if not is_odd(info.key))
    photos = [replace(info, key=info.key.removeprefix("raw/")) for info in listed]
    there = [info for info in photos if match_key(info.key) in labels]
    named = {name: labels[name] for name in labels.keys() - {match_key(info.key) for info in there}}
    named |= {info.key: labels[match_key(info.key)] for info in there}
    return dict(sorted(named.items())), there


def _objects(labels: Mapping[str, str], there: Iterable[ObjectInfo]) -> list[ObjectInfo]:
    """Every labelled photo; one that was not listed may have come since."""
    known = {info.key: info for info in there}
    return [known.get(key, ObjectInfo(key, "", 0)) for key in sorted(labels)]


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
    from carpipe.tfrecord import write_shard

    rows = list(photos[["key", "class_name", "split"]].itertuples(index=False, name=None))
    files = {}
    with tempfile.TemporaryDirectory(prefix="carpipe-labels-") as folder:
        for name in SPLITS:
            path = Path(folder) / f"{name}.tfrecord"
            write_shard(path, ((key, label, thumbnails[key]) for key, label in shuffled(rows, name)))
            files[path.name] = path.read_bytes()
    return files
