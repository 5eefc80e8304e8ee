"""Photos whose etag has changed and whose content has not: a bucket that was copied is not full of new photos.

Etags say which photos are new. But a copy under another key of KMS, or in parts, has other etags for the same bytes. So
a photo of a known name and size with another etag is read once, and its content decides.
"""

import hashlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from carpipe import manifest
from carpipe.errors import InputError, MissingError
from carpipe.steps import results
from carpipe.steps.data.raw import Raw
from carpipe.steps.data.same_etags import read_same, write_same
from carpipe.steps.session import Session
from carpipe.storage import ObjectInfo

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


def as_known(session: Session, found: "pd.DataFrame", known: "pd.DataFrame") -> "pd.DataFrame":
    """The photos under raw/, those that partitions hold already with the etag that they hold them under.

    Args:
        found: `key`, `etag`, `size` and more of every photo under raw/.
        known: `key`, `etag`, `size` and `partition` of every photo in a partition.

    Raises:
        UnavailableError: photos come otherwise than they lie in the storage, so nothing can be said of them.
    """
    found = _renamed(found, read_same(session))
    doubtful = _doubtful(found, known)
    if doubtful.empty:
        return found
    log.info("inventory: %d photos have other etags than before; their content is compared", len(doubtful))
    same = 0
    for partition, rows in doubtful.groupby("partition"):
        before = _contents(session, str(partition), set(rows["key"]))
        settled = list(_equal(session, rows[rows["key"].isin(before)], before))
        same += len(settled)
        write_same(session, str(partition), settled)
    log.info("inventory: %d of them have the same content", same)
    return _renamed(found, read_same(session))


def _doubtful(found: "pd.DataFrame", known: "pd.DataFrame") -> "pd.DataFrame":
    """`key`, `etag`, `size` of photos with a known name and size and an unknown etag; and their `partition`."""
    import pandas as pd

    held = pd.MultiIndex.from_frame(known[["key", "etag"]])
    other = found[found["key"].isin(known["key"]) & ~pd.MultiIndex.from_frame(found[["key", "etag"]]).isin(held)]
    last = known.drop_duplicates("key", keep="last")[["key", "size", "partition"]]
    return other[["key", "etag", "size"]].merge(last, on=["key", "size"])


def _contents(session: Session, partition: str, keys: set[str]) -> dict[str, tuple[str, str]]:
    """Of photos in a partition, the etag that it holds them under, and the sha256 that `clean` has found."""
    objects = session.store.list_usable(f"stages/clean/{partition}")
    manifests = [info for info in objects if info.key.endswith("/manifest.json")]
    for _, done in manifest.newest_first(session.store, manifests):
        if done is None:
            continue
        try:
            photos = results.read_photos(session.store, done, columns=["key", "etag", "sha256"])
        except (MissingError, InputError) as error:  # half a copy: another one may be whole
            log.warning("%s", error)
            continue
        photos = photos[photos["key"].isin(keys) & photos["sha256"].notna()]
        rows = photos[["key", "etag", "sha256"]].itertuples(index=False, name=None)
        return {key: (etag, sha256) for key, etag, sha256 in rows}
    log.warning("inventory: what `clean` has found of partition %s is not there, so its photos count as new", partition)
    return {}


def _equal(
    session: Session, rows: "pd.DataFrame", before: dict[str, tuple[str, str]]
) -> Iterator[tuple[str, str, str]]:
    """`key`, `known` and `now` of those whose content is that of before."""
    etags = dict(zip(rows["key"], rows["etag"], strict=True))
    listed = rows[["key", "etag", "size"]].itertuples(index=False, name=None)
    objects = (ObjectInfo(key, etag, int(size)) for key, etag, size in listed)
    for key, data in Raw(session, objects):
        known, sha256 = before[key]
        if data is not None and hashlib.sha256(data).hexdigest() == sha256:
            yield key, known, etags[key]


def _renamed(found: "pd.DataFrame", same: "pd.DataFrame") -> "pd.DataFrame":
    if same.empty:
        return found
    named = found[["key", "etag"]].merge(same, how="left", left_on=["key", "etag"], right_on=["key", "now"])
    known = named["known"].set_axis(found.index)
    return found.assign(etag=known.where(known.notna(), found["etag"]))
