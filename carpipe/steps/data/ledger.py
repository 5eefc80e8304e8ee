"""The ledger of the split: which side each listing was ever put on. Append-only, so a side is for ever.

`stages/split/ledger/<generation>.parquet` holds the listings that became known with that generation, and is
created with put-if-absent: who wants to add must have read all that is there. Columns `listing_uuid` and `split`;
others, which a later version may add, are passed over.
"""

import io
import re
from typing import TYPE_CHECKING

from carpipe import forms
from carpipe.errors import MissingError
from carpipe.steps.session import Session

if TYPE_CHECKING:
    import pandas as pd

LEDGER = "stages/split/ledger"
GENERATION = re.compile(rf"{LEDGER}/[0-9]+\.parquet")


def read_ledger(session: Session, *, at_least: int = 0) -> "tuple[int, pd.Series[str]]":
    """The last generation, 0 before the first, and the side by listing uuid.

    Args:
        at_least: the generation that the newest dataset was split with.

    Raises:
        MissingError: some of it has gone; listings could change sides.
    """
    import pandas as pd

    keys = sorted(info.key for info in session.store.list_objects(LEDGER) if GENERATION.fullmatch(info.key))
    parts = []
    for key, data in session.store.get_many(keys):
        if data is None:
            raise MissingError(f"{key} has gone; without it, listings may change sides. Restore it from a backup.")
        parts.append(_sides(key, data))
    generation = int(keys[-1].rpartition("/")[2].removesuffix(".parquet")) if keys else 0
    if len(keys) < (expected := max(generation, at_least)):
        raise MissingError(
            f"{LEDGER}/ holds {len(keys)} of {expected} generations; without the others, listings may change sides. "
            "Restore them from a backup."
        )
    return generation, pd.concat(parts) if parts else pd.Series(dtype="str")


def append_ledger(session: Session, generation: int, entries: "pd.Series[str]") -> int:
    """Add listings, by uuid, to the ledger that was read up to `generation`; returns the new generation.

    Raises:
        ConflictError: another split was faster; read again, and split anew.
    """
    table = entries.rename("split").rename_axis("listing_uuid").reset_index()
    sink = io.BytesIO()
    table.to_parquet(sink, index=False)
    session.store.create(f"{LEDGER}/{generation + 1:06d}.parquet", sink.getvalue())
    return generation + 1


def _sides(key: str, data: bytes) -> "pd.Series[str]":
    """The side by listing uuid of one generation. Raises InputError where it is of a later form."""
    from carpipe import parquet

    table = parquet.read_table(data, columns=["listing_uuid", "split"])
    number = (table.schema.metadata or {}).get(forms.TABLE_FORM.encode(), b"1")
    forms.check_text(number.decode(), key=key, what="a ledger of the split")
    sides: pd.Series[str] = table.to_pandas(use_threads=False).set_index("listing_uuid")["split"]
    return sides
