"""Inventory: what lies under `raw/`, and which of it is new.

New photos are cut into partitions by a hash of their listing, so that every partition is a random
sample of the listings it was cut from, and photos of one listing are neighbours. Old partitions never
change: a nightly run costs what is new, not what is there.
"""

import hashlib
import logging
import re
from collections.abc import Collection, Iterable, Iterator

import pandas as pd

from carpipe.names import is_printable, model_name, shown, storable
from carpipe.photos import drop
from carpipe.storage import ObjectInfo

log = logging.getLogger(__name__)

VERSION = 1

# More digits than int64 holds are no number.
_NUMBER = r"[0-9]{1,18}"
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
# Greedy: the year is the last number of the folder; makes hold no underscore, models may.
_LAYOUT = re.compile(
    rf"(?P<model>[^/_]+_[^/]+)_(?P<year>(?:19|20)[0-9]{{2}})/"
    rf"(?P<listing>{_NUMBER})_(?P<photo>{_NUMBER})_(?P<listing_uuid>{_UUID})_(?P<photo_uuid>{_UUID})\.jpe?g",
    re.IGNORECASE,
)
# What is left of make and model without the spaces around them.
_MODEL = re.compile(r"[^_]+_.+")
LAYOUT = "<make>_<model>_<year>/<listing>_<photo>_<listing uuid>_<photo uuid>.jpg"


def list_photos(
    objects: Iterable[ObjectInfo], *, forgotten: Collection[str] = (), unaskable: Collection[str] = ()
) -> pd.DataFrame:
    """The photo table of a listing.

    A name that is not in the layout, or cannot be printed or asked for, is dropped as `name_not_understood`, a photo
    of a listing that was forgotten and has come back as `forgotten`. Several objects of one name have one row: what a
    server cannot write it replaces, so that names look the same.

    Args:
        objects: what lies under `raw/`, keys without that prefix.
        forgotten: listing uuids.
        unaskable: keys that are listed so, but are others in truth; may grow while `objects` are gone through.
    """
    rows = (_row(info, understood=info.key not in unaskable) for info in objects)
    photos = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    photos = _once(photos)
    photos = drop(photos, photos["model"].isna(), stage="inventory", reason="name_not_understood")
    return drop(photos, photos["listing_uuid"].isin(forgotten), stage="inventory", reason="forgotten")


def compare(photos: pd.DataFrame, known: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The photos that no earlier partition holds in this version, and those held that are there no longer.

    Args:
        photos: what lies under `raw/` now.
        known: `key` and `etag` of every photo in a partition.
    """
    now, before = (pd.MultiIndex.from_frame(table[["key", "etag"]]) for table in (photos, known))
    gone = known.loc[~before.isin(now), ["key", "etag"]].sort_values(["key", "etag"])
    return photos[~now.isin(before)].reset_index(drop=True), gone.reset_index(drop=True)


def cut(photos: pd.DataFrame, *, first: int, partition_photos: int) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield (partition id, photos). Ids count on from `first` and end in a digest of what they hold."""
    listing = photos["listing_uuid"].fillna(photos["key"])
    order = listing.map(lambda uuid: hashlib.sha256(uuid.encode()).hexdigest()[:16])
    photos = photos.assign(_order=order).sort_values(["_order", "key"]).drop(columns="_order")
    parts = -(-len(photos) // partition_photos)
    # Equal sizes: the last partition is not a crumb that costs a task of its own.
    size = -(-len(photos) // parts) if parts else 1
    for number in range(parts):
        part = photos.iloc[number * size : (number + 1) * size].reset_index(drop=True)
        yield name_partition(first + number, part), part


def name_partition(number: int, photos: pd.DataFrame) -> str:
    """`p<number>-<digest of the photos>`."""
    content = hashlib.sha256("\n".join(photos["key"] + "\t" + photos["etag"]).encode()).hexdigest()
    return f"p{number:05d}-{content[:8]}"


# Of the photo table, as this stage writes it.
COLUMNS = {
    "key": "str",
    "etag": "str",
    "size": "int64",
    "model": "str",
    "year": "Int16",
    "listing": "Int64",
    "photo": "Int64",
    "listing_uuid": "str",
    "photo_uuid": "str",
    "dropped": "str",
    "dropped_by": "str",
}


def _once(photos: pd.DataFrame) -> pd.DataFrame:
    again = photos["key"].duplicated()
    if again.any():
        names = photos["key"][again].unique()
        log.warning("inventory: several names under raw/ read '%s'; they count as one", shown(names[0]))
        if len(names) > 1:
            log.warning("inventory: so do %d others", len(names) - 1)
    return photos[~again].reset_index(drop=True)


def _row(info: ObjectInfo, *, understood: bool) -> tuple[object, ...]:
    match = _LAYOUT.fullmatch(info.key) if understood and is_printable(info.key) else None
    model = model_name(match["model"]) if match else ""
    if not match or not _MODEL.fullmatch(model):
        return (storable(info.key), info.etag, info.size, *(None,) * 8)
    name = match.groupdict()
    return (
        info.key,
        info.etag,
        info.size,
        model,
        int(name["year"]),
        int(name["listing"]),
        int(name["photo"]),
        name["listing_uuid"].lower(),
        name["photo_uuid"].lower(),
        None,
        None,
    )
