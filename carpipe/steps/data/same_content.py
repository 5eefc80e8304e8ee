"""Photos whose etag has changed and whose content has not: a bucket that was copied is not full of new photos.

Etags say which photos are new. But a copy under another key of KMS, or in parts, has other etags for the same bytes.
There the content decides, read once: `stages/inventory/same/<sha256>.parquet` says for such photos under which etag a
partition holds them (`known`) and which they have now (`now`).
"""

import hashlib
import io
import logging
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.steps import results
from carpipe.steps.session import Session
from carpipe.storage import ObjectInfo

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

SAME = "stages/inventory/same"
COLUMNS = ["key", "known", "now"]
# So many photos are read before it is written down: whoever is interrupted goes on from there.
AT_A_TIME = 10_000
_MD5 = re.compile("[0-9a-f]{32}")


def read_same(session: Session) -> "pd.DataFrame":
    """All that was found: `key`, `known`, `now`; the last word on a photo's etag of now counts."""
    import pandas as pd

    keys = sorted(info.key for info in session.store.list_usable(SAME) if info.key.endswith(".parquet"))
    tables = [_read(data) for _, data in session.store.get_many(keys) if data]
    found = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS, dtype="str")
    return found.drop_duplicates(["key", "now"], keep="last")


def as_known(session: Session, found: "pd.DataFrame", known: "pd.DataFrame", parts: Sequence[Any]) -> "pd.DataFrame":
    """The photos under raw/, those that partitions hold already with the etag that they hold them under.

    Args:
        found: `key`, `etag`, `size` and more of every photo under raw/.
        known: `key` and `etag` of every photo in a partition.
        parts: entries of the inventory.
    """
    found = _renamed(found, read_same(session))
    doubtful = _doubtful(session, found, known)
    if doubtful.empty:
        return found
    log.info("inventory: %d photos have other etags than before; their content is compared", len(doubtful))
    before = dict(_contents(session, parts, set(doubtful["key"])))
    same = 0
    for start in range(0, len(doubtful), AT_A_TIME):
        rows = list(doubtful.iloc[start : start + AT_A_TIME].itertuples(index=False))
        settled = list(_equal(session, rows, before))
        same += len(settled)
        _write(session, settled)
    log.info("inventory: %d of them have the same content", same)
    return _renamed(found, read_same(session))


def etags_now(session: Session, keys: "pd.Series[str]") -> dict[tuple[str, str], str]:
    """The etag that photos have now, by key and the etag that a partition holds them under; where that is another."""
    same = read_same(session)
    rows = same.loc[same["key"].isin(keys), COLUMNS].itertuples(index=False, name=None)
    return {(key, known): now for key, known, now in rows}


def forget_same(session: Session, listing: str) -> None:
    """Rid of a listing what was found; its files are replaced by others."""
    for info in list(session.store.list_usable(SAME)):
        table = _read(session.store.get(info.key))
        mine = table["key"].str.lower().str.contains(f"_{listing}_", regex=False)
        if mine.any():
            _write(session, list(table[~mine].itertuples(index=False, name=None)))
            session.store.delete([info.key])


def _doubtful(session: Session, found: "pd.DataFrame", known: "pd.DataFrame") -> "pd.DataFrame":
    """Photos of a known name with an etag that no partition holds, where etags cannot tell whether they are new."""
    import pandas as pd

    held = pd.MultiIndex.from_frame(known[["key", "etag"]])
    other = found[found["key"].isin(known["key"]) & ~pd.MultiIndex.from_frame(found[["key", "etag"]]).isin(held)]
    if session.store.etags_are_md5:  # where both are, other etags are other bytes
        plain = known.groupby("key")["etag"].last().str.fullmatch(_MD5)
        other = other[~(other["etag"].str.fullmatch(_MD5) & other["key"].map(plain).astype(bool))]
    return other[["key", "etag", "size"]]


def _contents(session: Session, parts: Sequence[Any], keys: set[str]) -> "Iterator[tuple[str, tuple[str, str]]]":
    """Of photos in partitions, the etag that they are held under and the sha256 that `clean` found, the newest last."""
    for part in parts:
        newest = results.newest_result(session.store, "clean", part["partition"])
        if newest is None:
            continue
        done = manifest.read(session.store, newest)
        photos = results.read_photos(session.store, done, columns=["key", "etag", "sha256"])
        photos = photos[photos["key"].isin(keys) & photos["sha256"].notna()]
        for key, etag, sha256 in photos[["key", "etag", "sha256"]].itertuples(index=False, name=None):
            yield key, (etag, sha256)


def _equal(session: Session, rows: Sequence[Any], before: dict[str, tuple[str, str]]) -> Iterator[tuple[str, str, str]]:
    """`key`, `known` and `now` of those whose content is that of before."""
    wanted = [row for row in rows if row.key in before]
    objects = (ObjectInfo(f"raw/{row.key}", row.etag, int(row.size)) for row in wanted)
    limit = session.config.clean.max_bytes
    for row, found in zip(wanted, session.store.fetch(objects, max_bytes=limit), strict=True):
        known, sha256 = before[row.key]
        if found.data is not None and hashlib.sha256(found.data).hexdigest() == sha256:
            yield row.key, known, row.etag


def _renamed(found: "pd.DataFrame", same: "pd.DataFrame") -> "pd.DataFrame":
    if same.empty:
        return found
    named = found[["key", "etag"]].merge(same, how="left", left_on=["key", "etag"], right_on=["key", "now"])
    known = named["known"].set_axis(found.index)
    return found.assign(etag=known.where(known.notna(), found["etag"]))


def _write(session: Session, rows: Sequence[tuple[str, str, str]]) -> None:
    import pandas as pd

    if not rows:
        return
    sink = io.BytesIO()
    pd.DataFrame(rows, columns=COLUMNS, dtype="str").to_parquet(sink, index=False)
    session.store.put(f"{SAME}/{hashlib.sha256(sink.getvalue()).hexdigest()[:20]}.parquet", sink.getvalue())


def _read(data: bytes) -> "pd.DataFrame":
    from carpipe.photos import from_parquet

    return from_parquet(data, columns=COLUMNS)
