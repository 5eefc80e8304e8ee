"""Photos that show the same picture: people label one of them, and mean all.

Stricter than what `identify` calls copies, which it verifies on pixels: both hashes must be equal, all 128 bits.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

# Columns of the photo table, set by `clean`, that tell it.
SEEN = ("sha256", "dhash", "dhash_inner")
# Bits of a hash that are set, at least, and at most 64 less so many: a picture with fewer edges (fog, a blank page) has
# nearly the hash of any other such picture.
MIN_EDGES = 8
_HASH = "[0-9a-f]{16}"
_NONE = "0" * 16


def number_pictures(photos: "pd.DataFrame") -> "NDArray[Any]":
    """A number for each photo, equal for those of one picture: uint64, of no meaning otherwise.

    Args:
        photos: `key`, and SEEN where `clean` has seen them.
    """
    from pandas.util import hash_array

    names = photos["key"]
    if set(SEEN) <= set(photos.columns):
        # By the hashes, else by the file, else each by itself.
        files = photos["sha256"].where(photos["sha256"].notna(), names)
        names = (photos["dhash"] + photos["dhash_inner"]).where(_telling(photos), files)
    return hash_array(names.to_numpy(object), categorize=False)


def _telling(photos: "pd.DataFrame") -> "NDArray[Any]":
    """Whether both hashes of a photo tell it from others."""
    telling: NDArray[Any] = _has_edges(photos["dhash"]) & _has_edges(photos["dhash_inner"])
    return telling


def _has_edges(hashes: "pd.Series[str]") -> "NDArray[Any]":
    import numpy as np

    known = hashes.where(hashes.str.fullmatch(_HASH).fillna(value=False).astype(bool), _NONE)
    bits = np.bitwise_count(np.frombuffer(bytes.fromhex("".join(known.to_numpy(object))), ">u8"))
    busy: NDArray[Any] = (bits >= MIN_EDGES) & (bits <= 64 - MIN_EDGES)
    return busy
