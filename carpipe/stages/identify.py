"""Identify: which photos show the same car.

A vehicle is a connected component over listing uuid and picture: the photos of one listing, and of every
listing that shows one of its pictures again, byte for byte, re-encoded or edited. Pictures found in many listings
are dealers' banners; they are taken out first, else they would glue all cars of a dealer together. Of several
copies of one picture, one stays.

All photos that could be decoded bear witness, those that filter and crop have dropped too: a relisted car
is also known by its dashboard. Only an edited copy must show a car from outside.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from carpipe.config import IdentifyConfig
from carpipe.photos import drop
from carpipe.stages.banners import find_banners
from carpipe.stages.copies import components, find_copies
from carpipe.stages.split import STRONGEST

VERSION = 3
STAGE = "identify"
# Rows of the photo table in, `key` and `partition` of them; their signatures out: uint8 (n, SIGNATURE_BYTES).
Signatures = Callable[[pd.DataFrame], NDArray[np.uint8]]


@dataclass(frozen=True)
class Identified:
    """The photo table with `vehicle`, and the pairs of copies: `key_a`, `key_b` and what `find_copies` says of them."""

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
    car = photos["dropped"].isna()
    photos = _leave(photos.assign(vehicle=pd.Series(None, index=photos.index, dtype="str")), gone)
    seen, uuids = _in_numbers(photos, car)
    named = photos[[name for name in ("key", "partition") if name in photos]]
    pictures, pairs = find_copies(seen, config=config, signatures=lambda rows: signatures(named.loc[rows]))
    banner = find_banners(seen, pictures, many=config.banner_listings)
    photos = drop(photos, banner, stage=STAGE, reason="banner")
    mine = ~banner
    listing, numbers = pd.factorize(seen.loc[mine, "listing"])  # banners do not make a listing older
    photos.loc[seen.index[mine], "vehicle"] = uuids[numbers[_vehicles(listing, pictures[mine])]]
    copies = _copies(photos.loc[photos["dropped"].isna(), "listing_uuid"], pictures, ledger)
    keys = {f"key_{end}": photos.loc[pairs[name], "key"].to_numpy() for end, name in (("a", "one"), ("b", "other"))}
    pairs = pairs.assign(**keys)[["key_a", "key_b", "difference", "edited"]]
    return Identified(drop(photos, copies, stage=STAGE, reason="duplicate"), pairs)


def _in_numbers(photos: pd.DataFrame, car: "pd.Series[bool]") -> tuple[pd.DataFrame, "NDArray[np.object_]"]:
    """What copies, banners and vehicles of decoded photos are found by; and the uuid of each `listing`, oldest first.

    Equal texts have equal numbers. A copy of the texts of millions of rows would be most of what the step holds.
    """
    decoded = photos["dhash"].notna()
    folder = photos.loc[decoded, "key"].str.replace("/[^/]*$", "", regex=True)
    seen = pd.DataFrame({"folder": pd.factorize(folder)[0], "car": car[decoded]}, index=photos.index[decoded])
    for name, column in {"model": "model", "file": "sha256"}.items():
        seen[name] = pd.factorize(photos.loc[decoded, column])[0]
    for name in ("dhash", "dhash_inner"):
        seen[name] = np.frombuffer(bytes.fromhex("".join(photos.loc[decoded, name].tolist())), ">u8").astype(np.uint64)
    seen["listing"], uuids = pd.factorize(photos.loc[decoded, "listing_uuid"])
    return seen, uuids.to_numpy()


def _leave(photos: pd.DataFrame, gone: pd.DataFrame | None) -> pd.DataFrame:
    """Drop what is no longer under raw/, and of a photo that was overwritten all versions but the last."""
    key = pd.Series(pd.factorize(photos["key"])[0], index=photos.index)  # numbers take a tenth of the room
    if gone is not None:
        named = photos.loc[photos["key"].isin(gone["key"]), ["key", "etag"]]
        left = pd.MultiIndex.from_frame(named).isin(pd.MultiIndex.from_frame(gone[["key", "etag"]]))
        photos = drop(photos, pd.Series(left, index=named.index), stage=STAGE, reason="deleted")
    there = photos["dropped_by"] != STAGE
    return drop(photos, key[there].duplicated(keep="last"), stage=STAGE, reason="superseded")


def _copies(
    listing: "pd.Series[str]", pictures: "pd.Series[int]", ledger: "pd.Series[str] | None"
) -> "pd.Series[bool]":
    """All copies of a picture but the one that stays."""
    sides = listing.map(ledger if ledger is not None else {})
    rank = sides.map(STRONGEST.index, na_action="ignore").fillna(len(STRONGEST)).astype(int)
    order = rank.sort_values(kind="stable").index
    return pictures[order].duplicated()


def _vehicles(listing: "NDArray[np.intp]", picture: "pd.Series[int]") -> "NDArray[np.intp]":
    """The oldest listing of the component that each photo is in. Listings are numbered in order of appearance."""
    listings, pictures = int(listing.max(initial=-1)) + 1, picture.to_numpy()
    component = components(listing, listings + pictures, size=listings + int(pictures.max(initial=-1)) + 1)
    oldest = np.full(component.max(initial=-1) + 1, listings)
    np.minimum.at(oldest, component[:listings], np.arange(listings))
    return oldest[component[listing]]
