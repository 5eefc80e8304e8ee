"""Files of photo tables, and of blobs: in row groups of few bytes, read as those of earlier versions are."""

import io

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from carpipe import photos as table
from carpipe.errors import InputError
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


def test_partitions_together_are_what_each_of_them_is():
    plain = pd.DataFrame({"key": ["a", "b"], "year": pd.array([2015, None], "Int16"), "box": [[0.5, 1.0], None]})
    tables = [
        plain,
        plain.assign(key=["c", "d"]),
        plain.assign(view=pd.Series([None, "front"], dtype="str"), view_p=[None, 0.5]),  # made later
        plain.iloc[:0],
        plain.assign(key=["e", "f"], box=None),
    ]
    files = [(f"p{number}", table.to_parquet(one)) for number, one in enumerate(tables)]

    found = table.together(files)

    each = [table.from_parquet(data).assign(partition=name) for name, data in files]
    pd.testing.assert_frame_equal(found, pd.concat(each, ignore_index=True)[[*found]])


def test_of_partitions_together_the_odd_one_is_told():
    sound, odd = table.to_parquet(pd.DataFrame({"key": ["a"]})), b"PAR1"
    with pytest.raises(InputError, match="A file of 4 bytes"):
        table.together([("p0", sound), ("p1", odd)])
