"""Identify: which photos show the same car.

A vehicle is a connected component over listing uuid and picture: the photos of one listing, and of every
listing that shows one of its pictures again, byte for byte or re-encoded. Pictures found in many listings
are dealers' banners; they are taken out first, else they would glue all cars of a dealer together. Of several
copies of one picture, one stays.

All photos that could be decoded bear witness, those that filter and crop have dropped too: a relisted car
is also known by its dashboard.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from carpipe.config import IdentifyConfig
from carpipe.photos import drop, kept
from carpipe.stages.near_duplicates import candidates, differences
from carpipe.stages.split import STRONGEST

VERSION = 2
STAGE = "identify"

# Rows of the photo table in, their signatures out: uint8 (n, pixels).
Signatures = Callable[[pd.DataFrame], NDArray[np.uint8]]

# A flat picture (fog, a blank page) is near every other flat picture: the difference must also be small
# against the contrast.
CONTRAST_SHARE = 0.25
# Listings of one car that is offered again and again share most of their pictures; those that share a banner
# share it alone. And such a car stays in its folder, while a banner goes with whatever the dealer sells.
RELISTED_SHARE, RELISTED_PICTURES = 0.6, 2
RELISTED_TIMES = 10


@dataclass(frozen=True)
class Identified:
    """The photo table with `vehicle`, and the verified near-duplicates: `key_a`, `key_b`, `difference`."""

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
    photos = _leave(photos.assign(vehicle=pd.Series(None, index=photos.index, dtype="str")), gone)
    seen = photos[photos["dhash"].notna()]
    pictures, pairs = _pictures(seen, config, signatures)
    banner = _banners(seen, pictures, config.banner_listings)
    photos = drop(photos, banner, stage=STAGE, reason="banner")
    mine = ~banner
    photos.loc[seen.index[mine], "vehicle"] = _vehicles(seen.loc[mine, "listing_uuid"], pictures[mine])
    copies = _copies(kept(photos)["listing_uuid"], pictures, ledger)
    return Identified(drop(photos, copies, stage=STAGE, reason="duplicate"), pairs)


def _leave(photos: pd.DataFrame, gone: pd.DataFrame | None) -> pd.DataFrame:
    """Drop what is no longer under raw/, and of a photo that was overwritten all versions but the last."""
    if gone is not None:
        left = pd.MultiIndex.from_frame(photos[["key", "etag"]]).isin(pd.MultiIndex.from_frame(gone[["key", "etag"]]))
        photos = drop(photos, pd.Series(left, index=photos.index), stage=STAGE, reason="deleted")
    there = photos[photos["dropped_by"] != STAGE]
    return drop(photos, there["key"].duplicated(keep="last"), stage=STAGE, reason="superseded")


def _pictures(
    seen: pd.DataFrame, config: IdentifyConfig, signatures: Signatures
) -> tuple["pd.Series[int]", pd.DataFrame]:
    """The picture that each photo is a copy of, as a number, and the pairs of near-duplicates among them."""
    file, files = pd.factorize(seen["sha256"])
    first = seen[~seen["sha256"].duplicated()]
    hashes = np.array([int(text, 16) for text in first["dhash"]], np.uint64)
    one, other = candidates(hashes, distance=config.hash_distance)
    asked = np.unique(np.concatenate([one, other]))
    rows = np.searchsorted(asked, np.arange(len(first)))
    difference, contrast = differences((one, other), signatures(first.iloc[asked]), rows=rows)
    near = (difference <= config.max_difference) & (difference <= CONTRAST_SHARE * contrast)
    one, other = one[near], other[near]
    picture = _components(one, other, size=len(files))
    keys = first["key"].to_numpy()
    pairs = pd.DataFrame({"key_a": keys[one], "key_b": keys[other], "difference": difference[near]})
    return pd.Series(picture[file], index=seen.index), pairs


def _banners(seen: pd.DataFrame, picture: "pd.Series[int]", many: int) -> "pd.Series[bool]":
    """Photos of pictures found in `many` listings or more, unless these are one car offered again and again."""
    table = pd.DataFrame(
        {"picture": picture, "listing": seen["listing_uuid"], "folder": seen["key"].str.extract("(.*)/", expand=False)}
    )
    by_picture = table.groupby("picture")
    listings, folders = by_picture["listing"].transform("nunique"), by_picture["folder"].transform("nunique")
    common = listings >= many
    if not common.any():
        return common
    again = table["listing"].map(_mostly_shared(table, common)).groupby(picture).transform("mean") > 0.5
    return common & ~again & ((folders > 1) | (listings >= RELISTED_TIMES))


def _mostly_shared(table: pd.DataFrame, common: "pd.Series[bool]") -> "pd.Series[bool]":
    """For each listing, whether most of its pictures are found in many listings."""
    unique = table.assign(common=common).drop_duplicates(["listing", "picture"])
    shared = unique.groupby("listing")["common"].agg(["sum", "mean"])
    return (shared["sum"] >= RELISTED_PICTURES) & (shared["mean"] >= RELISTED_SHARE)


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
    component = _components(node, len(uuids) + pictures, size=len(uuids) + int(pictures.max(initial=-1)) + 1)
    # Listings are numbered in order of appearance: the first of a component is the oldest.
    oldest = pd.Series(uuids).groupby(component[: len(uuids)]).transform("first").to_numpy()
    return pd.Series(oldest[node], index=listing.index, dtype="str")


def _components(one: NDArray[Any], other: NDArray[Any], *, size: int) -> NDArray[np.int32]:
    edges = coo_matrix((np.ones(len(one), np.int8), (one, other)), shape=(size, size))
    component: NDArray[np.int32] = connected_components(edges, directed=False)[1]
    return component
