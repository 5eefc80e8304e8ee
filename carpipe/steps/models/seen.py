"""What a model has been trained on, it and those that it started from: cars that cannot judge it.

Sides of the split are for ever. But two vehicles may turn out to be one. Where one of them was trained on, the car that
is tested on today was not new to an older model, nor to any that started from it.
"""

import re
from typing import TYPE_CHECKING

from carpipe import manifest
from carpipe.manifest import Manifest
from carpipe.steps import results
from carpipe.steps.data.inventory import forgotten_listings
from carpipe.steps.models.start import Start
from carpipe.steps.session import Session

if TYPE_CHECKING:
    import pandas as pd

# Photos that the models before were trained on, and a training itself is not.
SEEN = "seen.parquet"


def seen_files(session: Session, start: Start, data: Manifest) -> dict[str, bytes]:
    """The file of a warm training that names them; none of a cold one."""
    if start.live is None or start.trained is None:
        return {}
    from carpipe.photos import to_parquet

    before = trained_on(session, start.trained)
    known = before.isin(_training_keys(session, data)) | _is_forgotten(session, before)
    return {SEEN: to_parquet(before[~known].to_frame("key"))}


def _is_forgotten(session: Session, keys: "pd.Series[str]") -> "pd.Series[bool]":
    """Photos of listings that were forgotten: their names are not handed on. A key holds its listing's uuid."""
    gone = forgotten_listings(session)
    if not gone:
        return keys.isna()
    return keys.str.lower().str.contains("|".join(map(re.escape, gone)), regex=True)


def count_seen(session: Session, trained: Manifest, data: Manifest) -> dict[str, int]:
    """Of a dataset's test photos, those of vehicles that a training has seen: `photos`, and their `vehicles`."""
    photos = results.read_photos(session.store, data, columns=["key", "split", "dropped", "vehicle"])
    # Where two sides met, the photos that were trained on have left the dataset; the table still has them.
    known = photos.loc[photos["key"].isin(trained_on(session, trained)), "vehicle"].dropna()
    test = photos[photos["dropped"].isna() & (photos["split"] == "test")]
    seen = test[test["vehicle"].isin(known)]
    return {"photos": len(seen), "vehicles": int(seen["vehicle"].nunique())}


def listings_before(session: Session, trained: Manifest, photos: "pd.DataFrame") -> set[str]:
    """Listings that a training knew: all of its dataset, whatever became of them, and those learnt from before it.

    Args:
        photos: of a later dataset, `key` and `listing_uuid`.
    """
    from carpipe.photos import from_parquet

    data = manifest.read(session.store, trained.extra["dataset"])
    listings = results.read_photos(session.store, data, columns=["listing_uuid"])["listing_uuid"]
    known = set(listings.dropna())
    if SEEN in trained.files:
        earlier = from_parquet(manifest.read_file(session.store, trained, SEEN))["key"]
        known |= set(photos.loc[photos["key"].isin(earlier), "listing_uuid"].dropna())
    return known


def trained_on(session: Session, trained: Manifest) -> "pd.Series[str]":
    """Keys of all photos that a training has learnt from, or one that it started from."""
    import pandas as pd

    from carpipe.photos import from_parquet

    own = _training_keys(session, manifest.read(session.store, trained.extra["dataset"]))
    if SEEN not in trained.files:
        return own
    earlier = from_parquet(manifest.read_file(session.store, trained, SEEN))["key"]
    return pd.concat([own, earlier], ignore_index=True)


def _training_keys(session: Session, data: Manifest) -> "pd.Series[str]":
    from carpipe.photos import kept

    photos = kept(results.read_photos(session.store, data, columns=["key", "split", "dropped"]))
    return photos.loc[photos["split"] == "train", "key"]
