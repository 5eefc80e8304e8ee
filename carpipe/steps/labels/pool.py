"""The photos that may be labelled, as narrow as drawing needs them: read once, and shared by all who label.

At 1.6 million photos reading takes ten seconds of a core, and drawing from what was read one. What is read lies in a
file without a name, 250 bytes a photo: the system keeps in memory what is asked for, and removes it with the process.
"""

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.errors import InputError
from carpipe.names import match_key
from carpipe.steps import results
from carpipe.steps.data.inventory import Inventory, latest_inventory
from carpipe.steps.labels.same_picture import SEEN, number_pictures
from carpipe.steps.session import Session

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

# Of a photo table: what each has, and what the filter says, of those that it has seen.
COLUMNS = ["key", "etag", "listing_uuid", "dropped_by"]
TOLD = ("p_car", "view", "view_p")
# What `match_key` may change.
_ODD = r"[^!-~]|^raw/"


@dataclass(frozen=True)
class Pool:
    """The photos of an inventory, with what the last stage that has seen them says of them.

    Attributes:
        stock: the inventory. Its list of those that are gone was not looked at.
        batches: by manifest key, the rows of a result that can be labelled, in Arrow: `key`, `etag`, `listing_uuid`,
            `row`, TOLD, `filtered`: whether the filter has seen the partition, and two numbers: `name`, see
            `number_names`, and `picture`, see `number_pictures`.
    """

    stock: Inventory
    batches: Mapping[str, "pa.RecordBatch"]

    def numbers(self, column: str) -> "NDArray[Any]":
        """A column of numbers; not a number where there is none."""
        found: NDArray[Any] = self._table[column].to_numpy()
        return found

    def are_in(self, column: str, texts: Iterable[str]) -> "NDArray[Any]":
        """Which photos have one of the texts in a column of texts."""
        import pyarrow as pa
        import pyarrow.compute as pc

        found: NDArray[Any] = pc.is_in(self._table[column], value_set=pa.array([*texts], pa.large_string())).to_numpy()
        return found

    def photos(self, places: "NDArray[Any]", columns: Sequence[str]) -> "pd.DataFrame":
        """Some columns of the photos of some places, and `manifest`, the key of the result that each is a row of."""
        import numpy as np

        ends = np.cumsum([len(batch) for batch in self.batches.values()])
        found: pd.DataFrame = self._table.select(list(columns)).take(places).to_pandas()
        return found.assign(manifest=np.array([*self.batches], object)[np.searchsorted(ends, places, side="right")])

    @cached_property
    def _table(self) -> "pa.Table":
        import pyarrow as pa

        return pa.Table.from_batches(self.batches.values(), _schema())


def read_pool(session: Session, *, known: Pool | None = None) -> Pool:
    """The photos of the newest inventory.

    Args:
        known: what was read before: it is handed back where nothing is new since, and else only new results are read.

    Raises:
        InputError: there is no inventory, or no room for temporary files.
    """
    stock = latest_inventory(session)
    if not stock:
        raise InputError("There is no inventory of raw/ yet; run `carpipe step inventory`.")
    sources = _sources(session, stock)
    there = known.batches if known else {}
    if known and known.stock.key == stock.key and [*there] == sources:
        return known
    new = _read(session, [key for key in sources if key not in there])
    return Pool(stock, {key: there[key] if key in there else new[key] for key in sources})


def number_names(keys: "pd.Series[str]") -> "NDArray[Any]":
    """A number for each key, equal for all spellings of one: uint64, of no meaning otherwise."""
    from pandas.util import hash_array

    odd = keys.str.contains(_ODD)  # of a million, nearly none
    return hash_array(keys.where(~odd, keys[odd].map(match_key)).to_numpy(object), categorize=False)


def _sources(session: Session, stock: Inventory) -> list[str]:
    """By partition, the manifest key of what the last stage that has seen its photos has committed last."""
    found = [results.newest_results(session.store, stage) for stage in ("filter", "clean")]
    return [
        next(filter(None, (one.get(part["partition"]) for one in found)), part["manifest"]) for part in stock.partitions
    ]


def _read(session: Session, keys: Sequence[str]) -> "dict[str, pa.RecordBatch]":
    import pyarrow as pa

    files = manifest.read_files(session.store, manifest.read_many(session.store, keys), results.PHOTOS)
    try:
        with tempfile.TemporaryDirectory(prefix="carpipe-pool-") as folder:
            path = str(Path(folder) / "photos.arrow")
            with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, _schema()) as writer:
                for data in files:
                    writer.write_batch(_batch(data))
            read = pa.ipc.open_file(pa.memory_map(path))  # which holds the file when its name has gone
    except OSError as error:
        raise InputError(
            f"The photos to label cannot be kept among temporary files ({error.strerror or error}). Make room there, "
            "or set TMPDIR to a folder that has some."
        ) from error
    return {key: read.get_batch(place) for place, key in enumerate(keys)}


def _batch(data: bytes) -> "pa.RecordBatch":
    """The rows of a photo table that can be labelled."""
    import numpy as np
    import pyarrow as pa

    from carpipe.photos import from_parquet

    photos = from_parquet(data, columns=COLUMNS, also=(*TOLD, *SEEN))
    made = photos.reindex(columns=[name for name in _schema().names if name in photos or name in TOLD]).assign(
        row=np.arange(len(photos)),
        name=number_names(photos["key"]),
        picture=number_pictures(photos),
        filtered="p_car" in photos,
    )
    # What `clean` and `filter` have dropped can be labelled; of a name that says nothing there is no listing.
    usable = photos["dropped_by"].isna() | photos["dropped_by"].isin(["clean", "filter"])
    table = pa.Table.from_pandas(made, schema=_schema(), preserve_index=False).filter(pa.array(usable.to_numpy(bool)))
    return pa.RecordBatch.from_arrays([column.combine_chunks() for column in table.columns], schema=_schema())


def _schema() -> "pa.Schema":
    import pyarrow as pa

    texts = dict.fromkeys(("key", "etag", "listing_uuid", "view"), pa.large_string())
    numbers = {"row": pa.int32(), "p_car": pa.float64(), "view_p": pa.float64(), "filtered": pa.bool_()}
    return pa.schema({**texts, **numbers, "name": pa.uint64(), "picture": pa.uint64()})
