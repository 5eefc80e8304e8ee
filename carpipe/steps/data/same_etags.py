"""Which photos of partitions have another etag now and the same content: what `same_content` has found.

`stages/inventory/same/<partition>/<number>-<sha256>.parquet` says under which etag the partition holds a photo
(`known`), and which it has now (`now`).
"""

import hashlib
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from carpipe.steps.session import Session

if TYPE_CHECKING:
    import pandas as pd

SAME = "stages/inventory/same"
COLUMNS = ["key", "known", "now"]


def read_same(session: Session, partition: str = "") -> "pd.DataFrame":
    """What was found: `key`, `known`, `now`; of all partitions, or of one. Of a photo's etag, what was found last."""
    import pandas as pd

    place = f"{SAME}/{partition}" if partition else SAME
    keys = [info.key for info in session.store.list_usable(place) if info.key.endswith(".parquet")]
    keys.sort(key=lambda key: key.rpartition("/")[2])
    tables = [_read(data) for _, data in session.store.get_many(keys) if data]
    found = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS, dtype="str")
    return found.drop_duplicates(["key", "now"], keep="last")


def etags_now(session: Session, partition: str) -> dict[tuple[str, str], str]:
    """The etag that photos of a partition have now, if another, by key and the etag that it holds them under."""
    rows = read_same(session, partition)[COLUMNS].itertuples(index=False, name=None)
    return {(key, known): now for key, known, now in rows}


def forget_same(session: Session, listing: str) -> None:
    """Rid of a listing what was found; its files are replaced by others."""
    for info in list(session.store.list_usable(SAME)):
        table = _read(session.store.get(info.key))
        mine = table["key"].str.lower().str.contains(f"_{listing}_", regex=False)
        if mine.any():
            left = list(table[~mine].itertuples(index=False, name=None))
            write_same(session, info.key.split("/")[3], left)
            session.store.delete([info.key])


def write_same(session: Session, partition: str, rows: Sequence[tuple[str, str, str]]) -> None:
    """Keep what was found in a partition."""
    import pandas as pd

    if not rows:
        return
    sink = io.BytesIO()
    pd.DataFrame(rows, columns=COLUMNS, dtype="str").to_parquet(sink, index=False)
    number = 1 + sum(1 for _ in session.store.list_usable(f"{SAME}/{partition}"))
    sha256 = hashlib.sha256(sink.getvalue()).hexdigest()
    session.store.put(f"{SAME}/{partition}/{number:06}-{sha256[:20]}.parquet", sink.getvalue())


def _read(data: bytes) -> "pd.DataFrame":
    from carpipe.photos import from_parquet

    return from_parquet(data, columns=COLUMNS)
