"""Parquet files of the bucket, held against limits before they are read.

Others may write the bucket too. Dictionaries and compression let a file of some kilobytes stand for gigabytes, and a
footer can say what is not so. So two things are looked at: what the footer says, and then what the columns that are
asked for really come to, one column and few rows at a time, with texts that repeat held once.
"""

import contextlib
from collections.abc import Collection, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from carpipe.errors import InputError, TooLargeError
from carpipe.machine import looking_at
from carpipe.names import brief

# mimalloc, the default, keeps much of what is freed: `identify` on 1.6 million photos takes 2.6 GB with it, and 2.1
# without. It takes as long.
pa.set_memory_pool(pa.system_memory_pool())

# Far above what there is: tables of ten million photos, one row each, have 1.5 GB.
MAX_ROWS = 20_000_000
MAX_UNCOMPRESSED_BYTES = 4_000_000_000  # uncompressed, as the footer says
# Of a file's size, that its rows may come to in memory. Tables of photos come to 1 to 4 times; one of nothing but
# splits, classes and partitions to 50. Pictures come to once, and to twice where `carpipe forget` has packed them.
TABLE_RATIO, BLOBS_RATIO = 100, 8
# What any file may come to, however small it is.
FREE_BYTES = 100_000_000
_LOOK_ROWS, _LOOK_LISTS = 32_768, 256
_BLOB_COLUMNS = {"key": (pa.string(), pa.large_string()), "blob": (pa.binary(), pa.large_binary())}


def read_table(
    data: bytes,
    *,
    columns: list[str] | None = None,
    where: tuple[str, str] | None = None,
    ratio: int = TABLE_RATIO,
) -> pa.Table:
    """A Parquet file that can be read without harm.

    Args:
        data: the file.
        columns: those to read, in that order; None: all.
        where: a column and the text that it has in the rows to read; None: all rows.
        ratio: how many times the file's size they may come to, beyond `FREE_BYTES`.

    Raises:
        TooLargeError: it has more rows or bytes than any file of carpipe's; it was not read as a whole.
        InputError: it is no Parquet file, lacks a column, has texts that are no UTF-8, or is stored in a way that
            texts cannot be counted in.
    """
    file = _opened(data)
    with readable(data):
        columns = file.schema_arrow.names if columns is None else columns
        needed = [*columns, where[0]] if where and where[0] not in columns else columns
        _check_columns(file, needed)
        groups = _groups(file, *where) if where else list(range(file.num_row_groups))
        _look(file, data, columns=needed, groups=groups, ratio=ratio)
        table = file.read_row_groups(groups, columns=needed, use_threads=False)
        if where is None:
            return table.select(columns)
        return table.filter(pc.equal(table[where[0]], where[1])).select(columns)


def _groups(file: pq.ParquetFile, name: str, text: str) -> list[int]:
    """Row groups that may have a row with that text in that column, by the smallest and largest of each group."""
    column = next(number for number in range(len(file.schema)) if file.schema.column(number).path == name)
    found = []
    for number in range(file.metadata.num_row_groups):
        about = file.metadata.row_group(number).column(column).statistics
        if about is None or not about.has_min_max or about.min <= text <= about.max:
            found.append(number)
    return found


def _look(file: pq.ParquetFile, data: bytes, *, columns: list[str], groups: list[int], ratio: int) -> None:
    about = [file.metadata.row_group(number) for number in groups]
    fields = [field for field in file.schema_arrow if field.name in columns]
    repeated = [field.name for field in fields if _may_repeat(field.type)]
    others = [field.name for field in fields if not _is_plain(field.type)]
    looked_at = _file(data, read_dictionary=repeated) if repeated else file
    room = _room(data, ratio) - 8 * sum(group.num_rows for group in about) * (len(fields) - len(others))
    room -= 8 * _values_in_lists(about, {field.name for field in fields})
    for name in others if room >= 0 else ():
        rows = _LOOK_ROWS if name in repeated else _LOOK_LISTS
        for batch in looked_at.iter_batches(batch_size=rows, row_groups=groups, columns=[name], use_threads=False):
            room -= sum(map(_decoded_bytes, batch.columns))
            if room < 0:
                break
    if room < 0:
        raise _too_much(data, f"comes to more than {_room(data, ratio):,} bytes in memory")


def checked_names(data: bytes) -> list[str]:
    """The columns of a file whose footer is within the limits; its rows have not been looked at.

    Raises:
        TooLargeError, InputError: as `read_table`.
    """
    file = _opened(data)
    with readable(data):
        return list(file.schema_arrow.names)


def blobs(data: bytes, *, rows: int) -> Iterator[tuple[str, bytes]]:
    """(`key`, `blob`) of each row in their order; so many rows are in memory at a time, beside the file.

    Raises:
        TooLargeError: they come to more than pictures do, from the row on where that shows.
    """
    file = _opened(data)
    room = _room(data, BLOBS_RATIO)
    with readable(data):
        _check_columns(file, _BLOB_COLUMNS)
        # Our own are stored as they are: nothing repeats, and looking for it would take longer than reading.
        file = _file(data, read_dictionary=[] if _as_they_are(file) else list(_BLOB_COLUMNS))
        batches = file.iter_batches(batch_size=rows, columns=list(_BLOB_COLUMNS), use_threads=False)
    while (batch := _next(batches, data)) is not None:
        with readable(data):
            room -= sum(map(_decoded_bytes, batch.columns))
        if room < 0:
            raise _too_much(data, f"comes to more than {_room(data, BLOBS_RATIO):,} bytes in memory")
        yield from zip(batch["key"].to_pylist(), batch["blob"].to_pylist(), strict=True)


@contextlib.contextmanager
def readable(data: bytes) -> Iterator[None]:
    """For all that reads a file of the bucket: what its reader stumbles over is an InputError, a sentence.

    pyarrow and pandas raise all sorts: somebody else may have made the names of columns, the texts, and the
    description that pandas has left in the footer.
    """
    try:
        with looking_at("The file"):
            yield
    except (
        pa.ArrowException, OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError,
        NotImplementedError,
    ) as error:  # fmt: skip
        raise _unreadable(data, str(error)) from None


def _next(batches: Iterator[pa.RecordBatch], data: bytes) -> pa.RecordBatch | None:
    with readable(data):  # not around what is yielded: an error of the caller is none of the file's
        batch = next(batches, None)
    if batch is not None and any(column.null_count for column in batch.columns):
        raise _unreadable(data, "it has a row without a key or a blob")
    return batch


def _check_columns(file: pq.ParquetFile, names: Collection[str]) -> None:
    """Each once, and of a kind that `blobs` promises where it is asked for."""
    there = file.schema_arrow.names
    if missing := [name for name in names if there.count(name) != 1]:
        raise ValueError(f"it has the column '{missing[0]}' {there.count(missing[0])} times, expected once")
    for name, kinds in _BLOB_COLUMNS.items() if names is _BLOB_COLUMNS else ():
        if (kind := file.schema_arrow.field(name).type) not in kinds:
            raise ValueError(f"its column '{name}' is of type {kind}, expected {kinds[0]}")


def _file(data: bytes, *, read_dictionary: Sequence[str] = ()) -> pq.ParquetFile:
    """A file that pyarrow's threads have no part in, in `read` neither.

    They hold on to what they have read. A process that ends before they do is aborted, now and then (apache/arrow
    34314, 39862; 5 of 56 small programs with eight at a time), and one with too little memory for a thread waits for
    ever.
    """
    return pq.ParquetFile(pa.BufferReader(data), read_dictionary=list(read_dictionary), pre_buffer=False)


def _opened(data: bytes) -> pq.ParquetFile:
    """The file, once its footer has been held against the limits."""
    with readable(data):
        file = _file(data)
        groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
        size = sum(max(group.total_byte_size, _uncompressed(group)) for group in groups)
        rows = max(file.metadata.num_rows, sum(group.num_rows for group in groups))
    if rows > MAX_ROWS:
        raise _too_much(data, f"has {rows:,} rows; {MAX_ROWS:,} are read")
    if size > min(MAX_UNCOMPRESSED_BYTES, _room(data, TABLE_RATIO)):
        raise _too_much(data, f"has {size:,} bytes uncompressed")
    return file


def _uncompressed(group: pq.RowGroupMetaData) -> int:
    return sum(int(group.column(number).total_uncompressed_size) for number in range(group.num_columns))


def _values_in_lists(groups: Sequence[pq.RowGroupMetaData], names: Collection[str]) -> int:
    """A row can hold any number of them."""
    chunks = [group.column(number) for group in groups for number in range(group.num_columns)]
    paths = ((one.num_values, one.path_in_schema.partition(".")) for one in chunks)
    return sum(values for values, (name, nested, _) in paths if nested and name in names)


def _as_they_are(file: pq.ParquetFile) -> bool:
    chunks = [
        file.metadata.row_group(group).column(column)
        for group in range(file.metadata.num_row_groups)
        for column in range(file.metadata.num_columns)
    ]
    return all(one.compression == "UNCOMPRESSED" and set(one.encodings) <= {"PLAIN", "RLE"} for one in chunks)


def _room(data: bytes, ratio: int) -> int:
    return max(FREE_BYTES, ratio * len(data))


def _may_repeat(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    )  # fmt: skip


def _is_plain(kind: pa.DataType) -> bool:
    """Whether each row takes 8 bytes at most, whatever the file says."""
    return bool(pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _decoded_bytes(column: pa.Array) -> int:
    """What the column takes with each repeated text written out. Raises ArrowInvalid where a text is no UTF-8."""
    if not pa.types.is_dictionary(column.type):
        column.validate(full=True)
        return int(column.nbytes)
    # By those in use: what is looked at few rows at a time may name a dictionary of millions.
    times = column.indices.value_counts()
    used = column.dictionary.take(times.field("values"))
    used.validate(full=True)
    lengths = pc.binary_length(used)
    return 4 * len(column) + int(pc.sum(pc.multiply(pc.cast(lengths, pa.int64()), times.field("counts"))).as_py() or 0)


def _unreadable(data: bytes, reason: str) -> InputError:
    line = reason.partition("\n")[0]
    return InputError(
        f"A file of {len(data):,} bytes cannot be read as Parquet: {brief(line, max_characters=200)}. It is "
        "none of carpipe's: look at the commit that holds it, and delete it or restore it from a backup."
    )


def _too_much(data: bytes, reason: str) -> TooLargeError:
    return TooLargeError(
        f"A Parquet file of {len(data):,} bytes {reason}. No file of carpipe's does: somebody has tampered with the "
        "bucket. Find out who may write it, then delete the commit that holds the file."
    )
