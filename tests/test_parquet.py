"""Parquet files of a bucket that others may write: what is too much, or odd, is a sentence and no traceback."""

import io
import json
import subprocess
import sys

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from carpipe import parquet
from carpipe.errors import InputError, TooLargeError
from carpipe.photos import blobs_from_parquet, blobs_to_parquet, from_parquet, has_keys, without


def packed(columns, *, rows, groups=1, **options):
    """One Parquet file of columns that hold the same value in each row."""
    table = pa.table({name: pa.array([value]).take(pa.array([0] * rows)) for name, value in columns.items()})
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, table.schema, **{"compression": "zstd", **options}) as writer:
        for _ in range(groups):
            writer.write_table(table)
    return sink.getvalue()


TEXT = {"key": "x", "partition": "000000-a50e99db"}


@pytest.mark.parametrize(
    "bomb",
    [
        packed(TEXT, rows=1_000_000, groups=21),
        packed({"key": "x" * 1_000_000}, rows=200),
        packed({"key": "x" * 1_000_000}, rows=10, groups=20, use_dictionary=False),
        packed({"key": "x", "box": [0.5] * 2_000_000}, rows=10),
        packed({"key": "x", "damage": 0.0}, rows=2_000_000, groups=8),
    ],
    ids=["rows", "dictionary", "compression", "lists", "numbers"],
)
def test_a_table_that_is_far_larger_than_its_file_is_not_read(bomb):
    assert len(bomb) < 1_000_000
    for read in (from_parquet, lambda data: without(data, ["a"])):
        with pytest.raises(TooLargeError, match=r"A Parquet file of [0-9,]+ bytes (has|comes to) .*tampered"):
            read(bomb)


@pytest.mark.parametrize(
    "data",
    [
        packed({"key": "x" * 1_000_000, "blob": b"x"}, rows=200, use_dictionary=False,
               column_encoding={"key": "DELTA_BYTE_ARRAY", "blob": "PLAIN"}),
        b"PAR1",
        b"no table",
        packed({"key": "x", "blob": b"x"}, rows=3)[:-20],
    ],
    ids=["delta", "short", "text", "cut"],
)  # fmt: skip
def test_what_cannot_be_counted_is_a_sentence(data):
    for read in (from_parquet, lambda file: without(file, ["a"]), lambda file: list(blobs_from_parquet(file))):
        with pytest.raises(InputError, match=r"A file of [0-9,]+ bytes cannot be read as Parquet: .*backup\.$"):
            read(data)


def test_only_what_is_asked_for_counts():
    data = packed({"key": "x", "other": "y" * 1_000_000}, rows=200)

    assert len(from_parquet(data, columns=["key"])) == 200


def test_a_footer_that_says_less_is_not_believed(monkeypatch):
    monkeypatch.setattr(parquet, "_uncompressed", lambda group: 0)
    monkeypatch.setattr(parquet, "MAX_UNCOMPRESSED_BYTES", 2**60)
    with pytest.raises(TooLargeError, match="comes to more than"):
        from_parquet(packed({"key": "x" * 1_000_000}, rows=200))


@pytest.mark.parametrize(
    "bomb",
    [
        packed({"key": "x", "blob": bytes(1_000_000)}, rows=200),
        packed({"key": "x", "blob": bytes(10_000_000)}, rows=1, groups=20, use_dictionary=False),
        packed({"key": "x" * 1_000_000, "blob": b""}, rows=200),
    ],
    ids=["dictionary", "compression", "keys"],
)
def test_blobs_that_are_far_larger_than_their_file_are_not_read(bomb):
    assert len(bomb) < 1_000_000
    with pytest.raises(TooLargeError, match="tampered"):
        list(blobs_from_parquet(bomb))


def test_a_real_table_may_repeat_itself():
    table = from_parquet(packed({**TEXT, "split": "train", "dropped": "too_small"}, rows=1_000_000))

    assert len(table) == 1_000_000


def test_equal_blobs_are_read_after_photos_were_forgotten():
    blobs = {f"{number}.jpg": bytes(20_000) for number in range(2000)}

    assert len(dict(blobs_from_parquet(without(blobs_to_parquet(blobs), ["0.jpg"])))) == 1999


def written(table, **options):
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def no_text(count=2):
    """A column of texts that are no UTF-8."""
    return pa.array([b"\xff\xfe"] * count).view(pa.string())


def described(metadata):
    return written(pa.table({"key": ["x"]}).replace_schema_metadata({"pandas": metadata}))


def read_table(data):
    return from_parquet(data, columns=["key"])


def read_blobs(data):
    return list(blobs_from_parquet(data))


def read_without(data):
    return without(data, ["a"])


BLOBS = {"key": ["x", "y"], "blob": [b"1", b"2"]}


@pytest.mark.parametrize(
    ("read", "data"),
    [
        (read_table, written(pa.table({"key": no_text()}))),
        (read_table, written(pa.table({"key": no_text()}), use_dictionary=False)),
        (from_parquet, written(pa.table({"key": ["x", "y"], "names": pa.array([[t] for t in no_text()])}))),
        (read_table, written(pa.table({"other": ["x"]}))),
        (read_table, written(pa.table([["x"], ["y"]], names=["key", "key"]))),
        (read_table, written(pa.table({"KEY": ["x"]})).replace(b"KEY", b"\xff\xfe\xfd")),
        (from_parquet, described("no JSON")),
        (from_parquet, described("[]")),
        (from_parquet, described(json.dumps({"index_columns": ["gone"], "columns": [1]}))),
        (read_without, written(pa.table({"key": no_text()}))),
        (read_blobs, written(pa.table({**BLOBS, "key": no_text()}))),
        (read_blobs, written(pa.table({**BLOBS, "key": no_text()}), use_dictionary=False, compression="none")),
        (read_blobs, written(pa.table({"blob": [b"1"]}))),
        (read_blobs, written(pa.table({"key": ["x"]}))),
        (read_blobs, written(pa.table({**BLOBS, "key": [1, 2]}))),
        (read_blobs, written(pa.table({**BLOBS, "blob": ["a", "b"]}))),
        (read_blobs, written(pa.table({**BLOBS, "blob": [b"1", None]}))),
        (read_blobs, written(pa.table({**BLOBS, "key": [None, "y"]}))),
        (read_blobs, written(pa.table([["x"], ["y"], [b"1"]], names=["key", "key", "blob"]))),
    ],
)
def test_what_is_odd_inside_is_a_sentence(read, data):
    with pytest.raises(InputError, match=r"^A file of [0-9,]+ bytes cannot be read as Parquet: .*backup\.$") as said:
        read(data)
    assert "\n" not in str(said.value)
    has_keys(data)


def test_an_error_of_who_reads_blobs_is_none_of_the_file():
    def reads():
        for _ in blobs_from_parquet(blobs_to_parquet({"a": b"1"})):
            raise ValueError("of the caller")

    with pytest.raises(ValueError, match="of the caller"):
        reads()


def test_what_a_later_version_adds_is_passed_over():
    data = written(pa.table({**BLOBS, "later": [None, "x"]}))
    assert read_blobs(data) == [("x", b"1"), ("y", b"2")]
    later = pd.DataFrame({"key": ["x"], "later": [{"a": [1]}]}, index=pd.Index([7], name="n")).to_parquet()
    assert list(from_parquet(later, columns=["key"])["key"]) == ["x"]


def test_reading_starts_no_thread():
    """One of pyarrow's may outlive the reading, and then aborts the process as it ends."""
    script = """
import os
import pandas as pd
from carpipe.photos import blobs_from_parquet, blobs_to_parquet, from_parquet, to_parquet, without
table = to_parquet(pd.DataFrame({"key": [str(n) for n in range(1000)], "partition": "a", "width": 640}))
blobs = blobs_to_parquet({str(n): b"x" for n in range(1000)})
before = len(os.listdir("/proc/self/task"))
from_parquet(table), from_parquet(table, columns=["key"], partition="a"), without(table, ["1"]), list(
    blobs_from_parquet(blobs)
)
print(len(os.listdir("/proc/self/task")) - before)
"""
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "0\n"


def test_rows_of_one_partition_come_from_their_row_groups_alone():
    parts = [f"{number:06d}" for number in range(4)]
    sink = io.BytesIO()
    pd.DataFrame({"width": range(4000), "partition": sorted(parts * 1000), "key": "x"}).to_parquet(
        sink, index=False, row_group_size=500
    )
    whole = parquet.read_table(sink.getvalue(), columns=["key", "width"], where=("partition", parts[2]))

    assert whole.column_names == ["key", "width"]
    assert whole["width"].to_pylist() == list(range(2000, 3000))
    assert parquet.read_table(sink.getvalue(), where=("partition", "none of them")).num_rows == 0
