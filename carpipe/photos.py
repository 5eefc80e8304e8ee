"""The photo table: one row per photo, from the first stage to the last.

A photo that is thrown out keeps its row; `dropped` says why and `dropped_by` which stage did. So rows
in = rows out, always, and the funnel of a run is a group-by. Stages add columns and never touch those
of an earlier stage.

| column | type | set by | meaning |
| --- | --- | --- | --- |
| key, etag, size | str, str, int | inventory | object under `raw/` (the key without the prefix), its version, bytes |
| model, year | str, int | inventory | `<make>_<model>` and year of the folder |
| listing, photo | int | inventory | numbers in the file name |
| listing_uuid, photo_uuid | str | inventory | which listing, which photo |
| format, width, height | str, int, int | clean | as decoded; pixels after the EXIF turn |
| sha256 | str | clean | of the file's bytes |
| dhash, dhash_inner | str, str | clean | 64-bit difference hashes of the picture and of its inner part, hex |
| damage | float | clean | share of the picture that is not known to be whole; null where there is no picture |
| repaired | str | clean | how the file was mended (`end_marker`); null: no need |
| p_car | float | filter | probability that the photo shows a car from outside |
| view, view_p | str, float | filter | from where it shows the car (`carpipe.viewpoints`), and how likely that is |
| box | list[float] | crop | the largest vehicle: x0 y0 x1 y1 in pixels |
| box_label, box_score | str, float | crop | its class and confidence |
| crop_width, crop_height | int | crop | pixels of the stored crop |
| vehicle | str | identify | id of the car that the photo shows: its oldest listing; dropped photos have one too |
| class_name | str | classes | what the classifier shall answer |
| corrected | str | classes | what a person said of its listing; null: nothing, or that the seller is right |
| corrected_model | str | classes | the model that it counts with for that; null: it counts with `model` |
| split | str | split | `train`, `val` or `test` |
| partition | str | identify | id of the partition that the photo came in |
| dropped, dropped_by | str, str | any | why the photo is out, and which stage put it out; null: it is in |

`corrected` and `corrected_model` are there only where something was said of a listing, `view` and `view_p` only where
the car filter tells views.
"""

import io
from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from carpipe import parquet
from carpipe.errors import CarpipeError, InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

# Of a file of blobs: its schema, and what a row group holds, unless one blob is larger.
_BLOBS = pa.schema({"key": pa.string(), "blob": pa.binary()})
_GROUP_ROWS, _GROUP_BYTES = 256, 16_000_000
_READ_ROWS = 256

SPLITS = ("train", "val", "test")
# Columns that only some tables have.
CORRECTED = ("corrected", "corrected_model")
VIEWED = ("view", "view_p")
# Of the published split tables, in their order.
PUBLISHED_COLUMNS = (
    "car_model",
    "single_car_index",
    "nof_photos",
    "directory_size",
    "cumsum_by_model",
    "updated_directory_size",
)


def to_parquet(photos: pd.DataFrame) -> bytes:
    """The table as one Parquet file."""
    sink = io.BytesIO()
    photos.to_parquet(sink, index=False, compression="zstd")
    return sink.getvalue()


def from_parquet(
    data: bytes,
    *,
    columns: list[str] | None = None,
    also: "Collection[str]" = (),
    partition: str | None = None,
) -> pd.DataFrame:
    """The table of one Parquet file; only those columns, and the rows of that partition, where named.

    Args:
        also: columns beside `columns` that are read where the file has them.

    Raises:
        TooLargeError: it comes to far more in memory than such a table does; see `carpipe.parquet`.
        InputError: it cannot be read, or lacks a column.
    """
    if columns is not None and also:
        there = column_names(data)
        columns = [*columns, *(name for name in also if name in there and name not in columns)]
    table = parquet.read_table(data, columns=columns, where=("partition", partition) if partition else None)
    with parquet.readable(data):
        photos: pd.DataFrame = table.to_pandas(use_threads=False)
    return photos


def together(files: "Iterable[tuple[str, bytes]]") -> pd.DataFrame:
    """The tables of several partitions as one, in their order.

    Args:
        files: (partition, Parquet file). The partition becomes a column.

    Raises:
        TooLargeError, InputError: as `from_parquet`, of any of them.
    """
    names: list[str] = []
    rows: list[int] = []

    def read() -> "Iterator[tuple[pa.Table, bytes]]":
        for name, data in files:
            table = parquet.read_table(data)
            names.append(name)
            rows.append(table.num_rows)
            yield table, data

    # pandas takes its time over each table. So those of one form, nearly always all, become one before.
    runs = groupby(read(), key=lambda found: (found[0].schema, found[0].schema.metadata))
    photos = pd.concat([_all_to_pandas(found) for _, found in runs], ignore_index=True)
    return photos.assign(partition=pd.array(np.repeat(np.array(names, dtype=object), rows), dtype="str"))


def _all_to_pandas(found: "Iterator[tuple[pa.Table, bytes]]") -> pd.DataFrame:
    first, data = next(found)
    tables = [first, *(table for table, _ in found)]  # and of the files only the first is held
    with parquet.readable(data):  # what pandas may stumble over is the form, which all share
        photos: pd.DataFrame = pa.concat_tables(tables).to_pandas(use_threads=False)
    return photos


def kept(photos: pd.DataFrame) -> pd.DataFrame:
    """The rows that no stage has dropped so far."""
    return photos[photos["dropped"].isna()]


def counted_models(photos: pd.DataFrame) -> "pd.Series[str]":
    """The model that each photo counts with: what a person has corrected its listing to, else that of its folder."""
    if "corrected_model" not in photos:
        return photos["model"]
    return photos["corrected_model"].where(photos["corrected_model"].notna(), photos["model"]).rename("model")


def drop(photos: pd.DataFrame, where: "pd.Series[bool]", *, stage: str, reason: str) -> pd.DataFrame:
    """A copy in which the rows of `where` that were kept so far are dropped by `stage` for `reason`."""
    photos = photos.copy(deep=False)  # pandas copies the columns that are written to
    rows = where.reindex(photos.index, fill_value=False) & photos["dropped"].isna()
    photos.loc[rows, "dropped"] = reason
    photos.loc[rows, "dropped_by"] = stage
    return photos


def add_results(photos: pd.DataFrame, results: pd.DataFrame, *, stage: str) -> pd.DataFrame:
    """Join a stage's results to the table and drop what the stage rejected.

    Args:
        photos: the table as the stage got it.
        results: one row per photo that the stage looked at: `key`, the stage's columns, and `reason`,
            which is null where the photo stays.
    """
    merged = photos.merge(results, on="key", how="left", validate="one_to_one")
    merged.index = photos.index
    reasons = merged.pop("reason").astype("str")
    for reason in reasons.dropna().unique():
        merged = drop(merged, reasons == reason, stage=stage, reason=str(reason))
    return merged


def check_balance(before: pd.DataFrame, after: pd.DataFrame, *, stage: str) -> None:
    """Raise CarpipeError unless the stage kept every row in its place and resurrected none."""
    if not before["key"].reset_index(drop=True).equals(after["key"].reset_index(drop=True)):
        raise CarpipeError(
            f"Stage {stage} got {len(before)} rows and returned {len(after)} or other ones; that is a bug."
        )
    revived = before["dropped"].notna().to_numpy() & after["dropped"].isna().to_numpy()
    if revived.any():
        raise CarpipeError(f"Stage {stage} brought back {revived.sum()} dropped photos; that is a bug.")


def count(photos: pd.DataFrame, *, stage: str) -> dict[str, Any]:
    """What a stage did: photos it looked at, how many it kept, how many it dropped by reason."""
    dropped = Counter(photos.loc[photos["dropped_by"] == stage, "dropped"])
    still_in = int(photos["dropped"].isna().sum())
    return {"in": still_in + dropped.total(), "kept": still_in, "dropped": dict(sorted(dropped.items()))}


def column_names(data: bytes) -> list[str]:
    """Names of the columns of a Parquet file. Raises InputError where it cannot be read."""
    with parquet.readable(data):
        return list(pq.read_schema(io.BytesIO(data)).names)


def has_keys(data: bytes) -> bool:
    """Whether it is a Parquet file with a column `key` of text, which `without` can take photos out of."""
    try:
        with parquet.readable(data):
            schema = pq.read_schema(io.BytesIO(data))
            kind = schema.field("key").type if schema.names.count("key") == 1 else pa.null()
    except InputError:
        return False
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def without(data: bytes, keys: "Collection[str]") -> bytes:
    """A Parquet file with a column `key`, rid of the rows of those photos.

    Raises:
        TooLargeError: as for `from_parquet`.
    """
    table = parquet.read_table(data)
    gone = pc.is_in(table["key"], value_set=pa.array(keys, table.schema.field("key").type))
    sink = io.BytesIO()
    pq.write_table(table.filter(pc.invert(gone)), sink, compression="zstd", row_group_size=8192)
    return sink.getvalue()


def blobs_to_parquet(blobs: "dict[str, bytes]", *, let_go: bool = False) -> bytes:
    """Bytes (JPEGs, signatures) by photo key as one Parquet file, columns `key` and `blob`, in small row groups.

    Args:
        blobs: by photo key.
        let_go: take each out of the dictionary as soon as it is in the file, so that memory holds them once.
    """
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, _BLOBS, compression="none", use_dictionary=False) as writer:
        for keys in _row_groups(blobs):
            writer.write_table(pa.table([keys, [blobs[key] for key in keys]], schema=_BLOBS))
            for key in keys if let_go else ():
                del blobs[key]
    return sink.getvalue()


def _row_groups(blobs: "dict[str, bytes]") -> "Iterator[list[str]]":
    """Their keys, in lists of so many and so large ones as a row group holds."""
    keys: list[str] = []
    size = 0
    for key in list(blobs):
        if keys and (len(keys) == _GROUP_ROWS or size + len(blobs[key]) > _GROUP_BYTES):
            yield keys
            keys, size = [], 0
        keys.append(key)
        size += len(blobs[key])
    if keys:
        yield keys


def blobs_from_parquet(data: bytes) -> "Iterator[tuple[str, bytes]]":
    """(photo key, bytes) in the order written.

    Raises:
        TooLargeError: they come to far more than the file's size.
    """
    yield from parquet.blobs(data, rows=_READ_ROWS)
