"""View set: the photos whose view people have labelled, to fit and judge a head of the car filter on.

Cars keep the side that the label set has given them, so that no car the filter was trained on judges the views.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from carpipe import manifest
from carpipe.errors import InputError
from carpipe.manifest import Manifest, Work
from carpipe.names import match_key
from carpipe.steps import results
from carpipe.steps.data.labelled import clean_labelled, deciding, labelled_photos
from carpipe.steps.people.photos import photos_named
from carpipe.steps.reuse import reused
from carpipe.steps.session import Session
from carpipe.steps.viewpoints.store import current_views
from carpipe.storage import ObjectInfo

if TYPE_CHECKING:
    import pandas as pd

VERSION = 1


@dataclass(frozen=True)
class Wanted:
    """A view set to make.

    Attributes:
        views: the label that counts, by the key that a photo has in the bucket; sorted.
        there: the photos.
        work: what making it is.
    """

    views: Mapping[str, str]
    there: Sequence[ObjectInfo]
    work: Work


def find_wanted(session: Session, labelled: Manifest) -> Wanted | None:
    """The view set that the view labels ask for; None where there are none, or none of a photo that is there.

    Args:
        labelled: the label set that the filter was trained on.
    """
    labels = {key: label.view for key, label in current_views(session).items()}
    there = photos_named(session, labels.keys()) if labels else []
    if not there:
        return None
    views = {info.key: labels[match_key(info.key)] for info in there}
    settings = deciding(session, views, there)
    work = Work(results.VIEW_SET, VERSION, results.WHOLE, settings, (labelled.key,))
    return Wanted(views, there, work)


def view_set(session: Session, wanted: Wanted) -> Manifest:
    """Commit the photos with `class_name`, the view, and `split`, and their thumbnails.

    Raises:
        InputError: none of the photos can be used, or they show too few cars to be split.
    """
    if done := manifest.find(session.store, wanted.work):
        return reused(done)
    from carpipe import photos as table

    started = time.monotonic()
    labelled = manifest.read(session.store, wanted.work.inputs[0])
    cleaned, read = clean_labelled(session, wanted.there)
    if not len(cleaned.thumbnails):
        raise InputError(f"None of the {len(wanted.views):,} photos with a view label can be used.")
    photos = labelled_photos(session, cleaned, wanted.views, ledger=_sides(session, labelled, cleaned.results))
    alive = table.kept(photos)
    thumbnails = {key: cleaned.thumbnails[key] for key in alive["key"]}
    return session.commit(
        wanted.work,
        {results.PHOTOS: table.to_parquet(photos), results.THUMBNAILS: table.blobs_to_parquet(thumbnails)},
        counts={"in": len(photos), "kept": len(alive), "dropped": photos["dropped"].value_counts().to_dict()},
        seconds=round(time.monotonic() - started, 3),
        bytes_read=read,
    )


def _sides(session: Session, labelled: Manifest, cleaned: "pd.DataFrame") -> "pd.Series[str]":
    """Side by listing uuid, as the label set has it; also of a listing that shows a photo of that set again."""
    import pandas as pd

    from carpipe.stages import inventory

    columns = ["listing_uuid", "sha256", "split", "dropped"]
    known = results.read_photos(session.store, labelled, columns=columns)
    known = known[known["split"].notna() & known["listing_uuid"].notna()]
    sides = known.drop_duplicates("listing_uuid").set_index("listing_uuid")["split"]
    names = inventory.list_photos(ObjectInfo(key, "", 0) for key in cleaned["key"])
    again = names[["key", "listing_uuid"]].merge(cleaned[["key", "sha256"]], on="key")
    again = again[again["listing_uuid"].notna() & ~again["listing_uuid"].isin(sides.index)]
    shown = known.dropna(subset="sha256").drop_duplicates("sha256").set_index("sha256")["split"]
    again = again.assign(split=again["sha256"].map(shown)).dropna(subset="split")
    found: pd.Series[str] = pd.concat([sides, again.drop_duplicates("listing_uuid").set_index("listing_uuid")["split"]])
    return found
