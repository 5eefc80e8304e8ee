"""Identify: which photos show the same car.

A vehicle is a connected component over listing uuid and picture: the photos of one listing, and of every
listing that shows one of its pictures again, byte for byte, re-encoded or edited. Pictures found in many listings
are dealers' banners; they are taken out first, else they would glue all cars of a dealer together. Of several
copies of one picture, one stays.

All photos that could be decoded bear witness, those that filter and crop have dropped too: a relisted car
is also known by its dashboard. Only an edited copy must show a car from outside.
"""

from dataclasses import dataclass

import pandas as pd

from carpipe.config import IdentifyConfig
from carpipe.photos import drop
from carpipe.stages.banners import find_banners
from carpipe.stages.copies import Signatures, components, find_copies
from carpipe.stages.split import STRONGEST

VERSION = 3
STAGE = "identify"
# Columns that copies, banners and signatures are found by.
LOOKED_AT = ("key", "model", "listing_uuid", "sha256", "dhash", "dhash_inner", "partition")


@dataclass(frozen=True)
class Identified:
    """The photo table with `vehicle`, and the pairs of copies: those of `find_copies`."""

    photos: pd.DataFrame
    pairs: pd.DataFrame


def identify(
    photos: pd.DataFrame,
    *,
    config: IdentifyConfig,
    signatures: Signatures,
    gone: pd.DataFrame | None = None,
    ledger: "pd.Series[str] | None" = None,
) -> Identified:
    """Add `vehicle` to every photo that was decoded and is no banner; drop what must not be in a dataset.

    Dropped are `deleted` photos, `superseded` versions, `banner`s, and each `duplicate` of a picture but one: the
    first, or where the copies are on two sides of the split, the first on the side that will win. A vehicle is named
    after its oldest listing, so it keeps its name when others join it.

    Args:
        photos: all partitions, oldest first.
        signatures: fetches the pixels that near-duplicates are verified on.
        gone: `key` and `etag` of photos that are no longer under raw/.
        ledger: side of the split by listing uuid, of all earlier datasets.
    """
    car, decoded = photos["dropped"].isna(), photos["dhash"].notna()
    photos = _leave(photos.assign(vehicle=pd.Series(None, index=photos.index, dtype="str")), gone)
    # A copy of all columns of so many rows would be the most that the step holds.
    seen = photos.loc[decoded, [name for name in LOOKED_AT if name in photos]].assign(car=car[decoded])
    pictures, pairs = find_copies(seen, config=config, signatures=signatures)
    banner = find_banners(seen, pictures, many=config.banner_listings)
    photos = drop(photos, banner, stage=STAGE, reason="banner")
    mine = ~banner
    photos.loc[seen.index[mine], "vehicle"] = _vehicles(seen.loc[mine, "listing_uuid"], pictures[mine])
    copies = _copies(photos.loc[photos["dropped"].isna(), "listing_uuid"], pictures, ledger)
    return Identified(drop(photos, copies, stage=STAGE, reason="duplicate"), pairs)


def _leave(photos: pd.DataFrame, gone: pd.DataFrame | None) -> pd.DataFrame:
    """Drop what is no longer under raw/, and of a photo that was overwritten all versions but the last."""
    if gone is not None:
        left = pd.MultiIndex.from_frame(photos[["key", "etag"]]).isin(pd.MultiIndex.from_frame(gone[["key", "etag"]]))
        photos = drop(photos, pd.Series(left, index=photos.index), stage=STAGE, reason="deleted")
    there = photos.loc[photos["dropped_by"] != STAGE, "key"]
    return drop(photos, there.duplicated(keep="last"), stage=STAGE, reason="superseded")


def _copies(
    listing: "pd.Series[str]", pictures: "pd.Series[int]", ledger: "pd.Series[str] | None"
) -> "pd.Series[bool]":
    """All copies of a picture but the one that stays."""
    sides = listing.map(ledger if ledger is not None else {})
    rank = sides.map(STRONGEST.index, na_action="ignore").fillna(len(STRONGEST)).astype(int)
    order = rank.sort_values(kind="stable").index
    return pictures[order].duplicated()


def _vehicles(listing: "pd.Series[str]", picture: "pd.Series[int]") -> "pd.Series[str]":
    """The oldest listing of the component that each photo is in."""
    node, uuids = pd.factorize(listing)
    pictures = picture.to_numpy()
    component = components(node, len(uuids) + pictures, size=len(uuids) + int(pictures.max(initial=-1)) + 1)
    # Listings are numbered in order of appearance: the first of a component is the oldest.
    oldest = pd.Series(uuids).groupby(component[: len(uuids)]).transform("first").to_numpy()
    return pd.Series(oldest[node], index=listing.index, dtype="str")
