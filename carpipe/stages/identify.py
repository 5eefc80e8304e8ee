"""Identify: which photos show the same car.

A vehicle is a connected component over listing uuid and equal sha256: the photos of one listing, and
of every listing that shares a file with it. Files found in many listings are dealers' banners; they are
taken out first, else they would glue all cars of a dealer together. Of several copies of one file, one
stays.
"""

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from carpipe.config import IdentifyConfig
from carpipe.photos import drop, kept

VERSION = 1
STAGE = "identify"


def identify(photos: pd.DataFrame, *, config: IdentifyConfig) -> pd.DataFrame:
    """Add `vehicle` to every kept photo; drop `superseded` versions, `banner`s and `duplicate` files."""
    photos = _supersede(photos)
    alive = kept(photos)
    listings = alive.groupby("sha256")["listing_uuid"].transform("nunique")
    photos = drop(photos, listings >= config.banner_listings, stage=STAGE, reason="banner")
    alive = kept(photos)
    photos["vehicle"] = _vehicles(alive).reindex(photos.index)
    copies = alive.sort_values("key").duplicated("sha256")
    return drop(photos, copies, stage=STAGE, reason="duplicate")


def _supersede(photos: pd.DataFrame) -> pd.DataFrame:
    """A photo overwritten in `raw/` is in two partitions; the later one counts."""
    return drop(photos, photos["key"].duplicated(keep="last"), stage=STAGE, reason="superseded")


def _vehicles(alive: pd.DataFrame) -> "pd.Series[str]":
    """The smallest listing uuid of the component that each photo is in."""
    listing, uuids = pd.factorize(alive["listing_uuid"], sort=True)
    file, files = pd.factorize(alive["sha256"])
    size = len(uuids) + len(files)
    edges = coo_matrix((np.ones(len(alive), np.int8), (listing, len(uuids) + file)), shape=(size, size))
    component = connected_components(edges, directed=False)[1][: len(uuids)]
    # Listings are sorted: the first of a component is the smallest.
    representative = pd.Series(uuids).groupby(component).transform("first").to_numpy()
    return pd.Series(representative[listing], index=alive.index, dtype="str")
