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


def number_pictures(photos: "pd.DataFrame") -> "NDArray[Any]":
    """A number for each photo, equal for those of one picture: uint64, of no meaning otherwise.

    Args:
        photos: `key`, and SEEN where `clean` has seen them.
    """
    from pandas.util import hash_array

    if not set(SEEN) <= set(photos.columns):
        return hash_array(photos["key"].to_numpy(object))
    columns = (photos[name] for name in ("key", *SEEN))
    return hash_array(_names(zip(*columns, strict=True)))


def _names(rows: Any) -> "NDArray[Any]":
    import numpy as np

    return np.array([_name(*row) for row in rows], dtype=object)


def _name(key: str, sha256: Any, dhash: Any, inner: Any) -> str:
    """What the picture is called by: its hashes, else its file, else the photo."""
    if _has_edges(dhash) and _has_edges(inner):
        return f"{dhash} {inner}"
    return sha256 if isinstance(sha256, str) else key


def _has_edges(dhash: Any) -> bool:
    return isinstance(dhash, str) and MIN_EDGES <= int(dhash, 16).bit_count() <= 64 - MIN_EDGES
