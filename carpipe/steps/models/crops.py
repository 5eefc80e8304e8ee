"""The crops of a dataset's photos, also of those that it has no use for: what is dropped behind `crop` has one too."""

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from carpipe import manifest
from carpipe.errors import InputError
from carpipe.manifest import Manifest
from carpipe.names import shown
from carpipe.steps import results
from carpipe.steps.session import Session

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

# Stages behind `crop`: what they have dropped has a crop too.
BEHIND = ("identify", "classes", "split")


def crops_of(session: Session, data: Manifest) -> dict[str, str]:
    """Manifest key of the crops by partition, found by the chain of results that a dataset was made from.

    Raises:
        InputError: a result of the chain does not say what it was made from.
        MissingError: one is gone.
    """
    found = data
    for _ in BEHIND:
        if not found.inputs:
            raise InputError(f"{found.key} does not say what it was made from.")
        found = manifest.read(session.store, found.inputs[0])
    return {key.split("/")[2]: key for key in found.inputs if key.startswith("stages/crop/")}


def by_partition(session: Session, data: Manifest, photos: "pd.DataFrame") -> "Iterator[tuple[Manifest, pd.DataFrame]]":
    """What `crop` has committed of each partition, with its photos; partitions without any are not looked at.

    Args:
        photos: some of the dataset, with a column `partition`.

    Raises:
        InputError: the dataset does not say where the crops of one are.
    """
    crops = crops_of(session, data) if len(photos) else {}
    for named, rows in photos.groupby("partition", sort=True):
        partition = str(named)
        if partition not in crops:
            raise InputError(f"{data.key} does not say where the crops of partition {partition} are.")
        yield manifest.read(session.store, crops[partition]), rows


def read_each(session: Session, data: Manifest, photos: "pd.DataFrame") -> "Iterator[tuple[pd.DataFrame, list[bytes]]]":
    """Of each partition the photos whose crops can be read, and these. Args and errors are those of `by_partition`."""
    for cropped, rows in by_partition(session, data, photos):
        jpegs = read_crops(session, cropped, rows["key"])
        rows = rows[rows["key"].isin([*jpegs])]
        if len(rows):
            yield rows, [jpegs[key] for key in rows["key"]]


def read_crops(session: Session, cropped: Manifest, keys: "pd.Series[str]") -> dict[str, bytes]:
    """The crops that are pictures: one that is none must not cost the others their answers."""
    from carpipe.pictures.model_input import check_jpeg

    found = {}
    for key, jpeg in results.read_blobs(session.store, cropped, results.CROPS, keys=keys).items():
        try:
            check_jpeg(jpeg)
        except InputError as error:
            log.warning("The crop of %s in %s is not answered: %s", shown(key), cropped.key, error)
        else:
            found[key] = jpeg
    return found
