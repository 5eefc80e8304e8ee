"""Files of blobs: in row groups of few bytes, read as those of earlier versions are."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from carpipe import parquet
from carpipe import photos as table
from carpipe.errors import InputError, TooLargeError
from carpipe.photos import blobs_from_parquet, blobs_to_parquet, from_parquet, without


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
    monkeypatch.setattr(parquet, "MAX_BYTES", 2**60)
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
