"""One listing for people: from where its photos show the car, which views it lacks, and which photo to put first."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.errors import InputError
from carpipe.manifest import Manifest
from carpipe.names import shown
from carpipe.steps import results
from carpipe.steps.data.datasets import find_dataset
from carpipe.steps.listings.rows import check_listing
from carpipe.steps.models.crops import crops_of, read_crops
from carpipe.steps.session import Session
from carpipe.viewpoints import RECOMMENDED, WORDS, Shot, choose_cover, is_whole, missing_views, share_of

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ["key", "listing_uuid", "photo", "partition", "width", "height", "box"]
VEHICLE = "vehicle"


@dataclass(frozen=True)
class ListingViews:
    """What is known of the views of a listing.

    Attributes:
        photos: in the seller's order: `key`, and `view` and `p`, None where none is told of it.
        missing: recommended views that no photo shows.
        cover: number of the photo to put first; None where there is none.
        others: uuids of other listings that show the same car.
        untold: why no view is told of any photo, a sentence; empty where views are told.
    """

    photos: list[dict[str, Any]]
    missing: list[str]
    cover: int | None
    others: list[str] = field(default_factory=list)
    untold: str = ""


def listing_views(session: Session, listing: str, dataset: str | None = None) -> ListingViews:
    """The views of a listing's photos, and its car's other listings, as the dataset's table has them.

    How sharp photos are, their crops tell.

    Args:
        listing: its uuid.
        dataset: manifest key; None means the newest.

    Raises:
        InputError: there is no such listing.
    """
    from carpipe.photos import VIEWED

    data, uuid = find_dataset(session, dataset), check_listing(listing, "The command")
    photos = results.read_photos(session.store, data, columns=COLUMNS, also=(*VIEWED, VEHICLE))
    mine = photos[photos["listing_uuid"] == uuid].sort_values(["photo", "key"])
    if mine.empty:
        raise InputError(f"No photo of {data.key} is of the listing {uuid}.")
    others = _same_car(photos, mine)
    if "view" not in photos:
        untold = (
            f"{data.key} says nothing of views: its car filter tells none. Label views, train the car filter, and run "
            "`prepare_dataset` again."
        )
        return ListingViews([{"key": key, "view": None, "p": None} for key in mine["key"]], [], None, others, untold)
    crops = _crops(session, data, mine)
    sharp = _sharpness(session, crops, mine)
    rows = mine.to_dict("records")
    told = [row["view"] if isinstance(row["view"], str) else None for row in rows]
    shots = [_shot(row, sharp) if view else None for row, view in zip(rows, told, strict=True)]
    found = [
        {"key": row["key"], "view": view, "p": float(row["view_p"]) if view else None}
        for row, view in zip(rows, told, strict=True)
    ]
    missing = missing_views(filter(None, told), recommended=_recommended(session, crops))
    return ListingViews(found, missing, choose_cover(shots), others)


def describe_listing(found: ListingViews) -> str:
    """As text: a line per photo, then what is missing, then the car's other listings."""
    lines = []
    for number, photo in enumerate(found.photos):
        said = f"{photo['view']} ({photo['p']:.2f})" if photo["view"] else "no view is told"
        lines.append(f"{'cover' if number == found.cover else '':<5}  {said:<28}  {shown(photo['key'])}")
    missing = [f"  {view}: {WORDS.get(view, view)}" for view in found.missing]
    views = [found.untold] if found.untold else ["missing views:", *missing] if missing else ["no view is missing"]
    others = ["", "other listings of the same car:", *(f"  {uuid}" for uuid in found.others)] if found.others else []
    return "\n".join([*lines, "", *views, *others])


def _same_car(photos: "pd.DataFrame", mine: "pd.DataFrame") -> list[str]:
    """Other listings of the vehicles that some photos show, sorted."""
    if VEHICLE not in photos:
        return []
    cars = mine[VEHICLE].dropna().unique()
    found = photos.loc[photos[VEHICLE].isin(cars), "listing_uuid"].dropna().unique()
    return sorted({*map(str, found)} - {*map(str, mine["listing_uuid"])})


def _shot(row: Mapping[Any, Any], sharp: Mapping[str, float]) -> Shot:
    box = row["box"]
    if box is None or not hasattr(box, "__len__"):
        return Shot(row["view"])
    size = (int(row["width"]), int(row["height"]))
    return Shot(row["view"], is_whole(box, size), sharp.get(row["key"], 0.0), share_of(box, size))


def _crops(session: Session, data: Manifest, photos: "pd.DataFrame") -> dict[str, Manifest]:
    """What `crop` has committed, by partition, of those that the photos are in."""
    found = crops_of(session, data)
    return {name: manifest.read(session.store, found[name]) for name in photos["partition"].unique() if name in found}


def _recommended(session: Session, crops: Mapping[str, Manifest]) -> Sequence[str]:
    """The views that a good listing has, as far as the car filter tells them."""
    for cropped in crops.values():
        told = manifest.read(session.store, cropped.inputs[0]).extra.get("views")
        if isinstance(told, dict) and isinstance(told.get("recommended"), list):
            return list(map(str, told["recommended"]))
    return RECOMMENDED


def _sharpness(session: Session, crops: Mapping[str, Manifest], photos: "pd.DataFrame") -> dict[str, float]:
    """By photo key, of those that have a crop."""
    from PIL import Image

    from carpipe.pictures.sharpness import sharpness

    found = {}
    for partition, rows in photos.groupby("partition"):
        if source := crops.get(str(partition)):
            for key, jpeg in read_crops(session, source, rows["key"]).items():
                with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
                    found[key] = sharpness(image)
    return found
