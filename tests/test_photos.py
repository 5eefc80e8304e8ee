"""Files of blobs: in row groups of few bytes, read as those of earlier versions are."""

import io

import pyarrow as pa
import pyarrow.parquet as pq

from carpipe import photos as table
from carpipe.photos import blobs_from_parquet, blobs_to_parquet, without


def groups(data):
    file = pq.ParquetFile(io.BytesIO(data)).metadata
    return [(file.row_group(n).num_rows, file.row_group(n).total_byte_size) for n in range(file.num_row_groups)]


def test_blobs_come_back_in_their_order():
    blobs = {f"{number}.jpg": bytes([number % 256]) * number for number in range(1000)}

    data = blobs_to_parquet(blobs)

    assert dict(blobs_from_parquet(data)) == blobs
    assert list(dict(blobs_from_parquet(data))) == list(blobs)
    assert [rows for rows, _ in groups(data)] == [256, 256, 256, 232]


def test_large_blobs_have_row_groups_of_their_own(monkeypatch):
    monkeypatch.setattr(table, "_GROUP_BYTES", 10_000)
    blobs = {str(number): bytes(4000) for number in range(9)} | {"large": bytes(50_000), "small": b"a"}

    data = blobs_to_parquet(blobs)

    assert dict(blobs_from_parquet(data)) == blobs
    assert [rows for rows, _ in groups(data)] == [2, 2, 2, 2, 1, 1, 1]


def test_blobs_may_be_let_go():
    blobs = {str(number): bytes(100) for number in range(600)}
    kept = dict(blobs)

    assert dict(blobs_from_parquet(blobs_to_parquet(blobs, let_go=True))) == kept
    assert blobs == {}


def test_no_blobs_are_a_file_too():
    data = blobs_to_parquet({})

    assert dict(blobs_from_parquet(data)) == {}
    assert pq.read_schema(io.BytesIO(data)).names == ["key", "blob"]


def test_files_of_one_row_group_are_read():
    rows = pa.table({"key": ["a", "b"], "blob": pa.array([b"1", b"2"], pa.binary())})
    sink = io.BytesIO()
    pq.write_table(rows, sink, compression="none", row_group_size=8192)

    assert dict(blobs_from_parquet(sink.getvalue())) == {"a": b"1", "b": b"2"}
    assert dict(blobs_from_parquet(without(sink.getvalue(), ["a"]))) == {"b": b"2"}
