"""Copies: which photos are one picture, be it the same file, encoded anew, or edited."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from carpipe.config import IdentifyConfig
from carpipe.pictures import agreement
from carpipe.pictures.hashes import SIGNATURE_BYTES
from carpipe.stages import edited_copies
from carpipe.stages.near_duplicates import CHUNK, Pairs, candidates, differences

# Labels of rows in, the signatures of their photos out: uint8 (n, SIGNATURE_BYTES).
Signatures = Callable[["pd.Index[int]"], NDArray[np.uint8]]

# A flat picture (fog, a blank page) is near every other flat picture: the difference must also be small
# against the contrast.
CONTRAST_SHARE = 0.25


def find_copies(
    seen: pd.DataFrame, *, config: IdentifyConfig, signatures: Signatures
) -> tuple["pd.Series[int]", pd.DataFrame]:
    """Which photos are one picture.

    Args:
        seen: a row for each photo that could be decoded: numbers of its `model`, `listing` and `file`, equal for equal
            ones, `dhash` and `dhash_inner` (uint64), and `car`: whether the photo shows one from outside.
        config: how near is near.
        signatures: fetches the pixels that pairs are verified on.

    Returns:
        The picture that each photo is a copy of, as a number; and the pairs of unequal files that are copies: labels of
        their rows `one` and `other`, `difference` (grey levels, mean over the pixels; of edited ones, apart from
        brightness and contrast) and `edited`.
    """
    file, files = pd.factorize(seen["file"])
    first = seen[~seen["file"].duplicated()]
    near_pairs = candidates(first["dhash"].to_numpy(), distance=config.hash_distance)
    edited_pairs = _may_be_edited(first)
    # Signatures are read once, for both kinds: at full size that is gigabytes from the storage.
    one, other = np.concatenate([near_pairs[0], edited_pairs.one]), np.concatenate([near_pairs[1], edited_pairs.other])
    asked = np.unique(np.concatenate([one, other]))
    rows = np.searchsorted(asked, np.arange(len(first)))
    pixels = signatures(first.index[asked]) if len(asked) else np.empty((0, SIGNATURE_BYTES), np.uint8)
    near = _near_duplicates(near_pairs, config, pixels, rows)
    picture = components(near["one"].to_numpy(), near["other"].to_numpy(), size=len(files))
    unknown = edited_pairs.take(picture[edited_pairs.one] != picture[edited_pairs.other])
    edited = _edited_copies(unknown, pixels, rows)
    pairs = pd.concat([near.assign(edited=False), edited.assign(edited=True)], ignore_index=True)
    picture = components(pairs["one"].to_numpy(), pairs["other"].to_numpy(), size=len(files))
    pairs = pairs.assign(**{name: first.index[pairs[name]] for name in ("one", "other")})
    return pd.Series(picture[file], index=seen.index), pairs


def _near_duplicates(
    pairs: Pairs, config: IdentifyConfig, pixels: NDArray[np.uint8], rows: NDArray[np.int64]
) -> pd.DataFrame:
    """Positions `one`, `other` of pictures encoded anew, of any model, and their `difference`."""
    one, other = pairs
    difference, contrast = differences(pairs, pixels, rows=rows)
    near = (difference <= config.max_difference) & (difference <= CONTRAST_SHARE * contrast)
    one, other, difference = one[near], other[near], difference[near]
    same = _same_colours((rows[one], rows[other]), pixels)
    return pd.DataFrame({"one": one[same], "other": other[same], "difference": difference[same]})


def _same_colours(pairs: Pairs, signatures: NDArray[np.uint8]) -> NDArray[np.bool_]:
    same = np.empty(len(pairs[0]), bool)
    for start in range(0, len(same), CHUNK):
        part = slice(start, start + CHUNK)
        found = agreement.compare(signatures[pairs[0][part]], signatures[pairs[1][part]])
        same[part] = found.everywhere
    return same


def _may_be_edited(first: pd.DataFrame) -> edited_copies.Candidates:
    """Pairs of one model, of cars from outside: its wheels, seats and papers look alike."""
    # Numbered by the pictures that are compared alone: candidates are kept apart by these numbers.
    model, listing = (pd.factorize(first[column])[0].astype(np.int64) for column in ("model", "listing"))
    whole, inner, car = (first[column].to_numpy() for column in ("dhash", "dhash_inner", "car"))
    pairs = edited_copies.candidates(whole, inner, model=model, listing=listing)
    return pairs.take(car[pairs.one] & car[pairs.other])


def _edited_copies(pairs: edited_copies.Candidates, pixels: NDArray[np.uint8], rows: NDArray[np.int64]) -> pd.DataFrame:
    """As `_near_duplicates`: pictures of one model that were edited."""
    difference = edited_copies.verify(pairs, pixels, rows=rows)
    found = pd.DataFrame({"one": pairs.one, "other": pairs.other, "difference": difference})
    return found[found["difference"].notna()]


def components(one: NDArray[Any], other: NDArray[Any], *, size: int) -> NDArray[np.int32]:
    """The connected component, as a number from 0, of each of `size` things: one[i] and other[i] are connected."""
    edges = coo_matrix((np.ones(len(one), np.int8), (one, other)), shape=(size, size))
    component: NDArray[np.int32] = connected_components(edges, directed=False)[1]
    return component
