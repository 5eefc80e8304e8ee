"""The index of a photo table: what is in it, what cannot become one, and how little it may take."""

import io

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from carpipe.errors import InputError
from carpipe.photo_index import COLUMNS, PhotoIndex, write_index
from carpipe.photos import to_parquet


def table(**columns):
    return to_parquet(pd.DataFrame(columns))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "index.duckdb"


def test_rows_have_their_number_their_make_and_nulls_for_what_old_tables_lack(path):
    index = write_index(table(key=["b", "a"], model=["mercedes-benz_v", None], p_car=[0.5, None]), path)

    first, second = index.select("SELECT * FROM photos ORDER BY row")

    assert (first["row"], first["key"], first["make"], first["p_car"]) == (0, "b", "mercedes-benz", 0.5)
    assert (second["row"], second["model"], second["make"], second["p_car"]) == (1, None, None, None)
    assert {*COLUMNS} <= {*first}
    assert first["view"] is None


def test_keys_are_folded_where_they_must_be_and_have_their_place_by_name(path):
    keys = ["b/A\u0308.jpg", "b/1.jpg", "B/2.jpg", "b/1.jpg", "\u00e4/1.jpg"]
    found = write_index(table(key=keys), path).select("SELECT text, place FROM photos ORDER BY row")
    assert [one["text"] for one in found] == ["b/\u00e4.jpg", None, "b/2.jpg", None, None]
    assert [one["place"] for one in found] == [3, 1, 0, 2, 4]


def test_values_are_parameters_and_no_sql(path):
    index = write_index(table(key=["'; DROP TABLE photos; --", "a"]), path)
    assert [
        one["row"] for one in index.select("SELECT row FROM photos WHERE key = ?", ["'; DROP TABLE photos; --"])
    ] == [0]
    assert index.select("SELECT count(*) AS n FROM photos") == [{"n": 2}]


def test_nothing_is_written_and_no_other_file_is_read(path, tmp_path):
    index = write_index(table(key=["a"]), path)
    (tmp_path / "secret.csv").write_text("secret")
    for query in (f"SELECT * FROM read_csv('{tmp_path / 'secret.csv'}')", "DELETE FROM photos"):
        with pytest.raises(InputError, match="cannot be asked"):
            index.select(query)


@pytest.mark.parametrize("data", [b"", b"no Parquet", table(key=["a"])[:-20]])
def test_what_is_no_table_is_said_to_be_none_and_leaves_nothing(path, data):
    with pytest.raises(InputError):
        write_index(data, path)
    assert list(path.parent.iterdir()) == []


def test_a_column_of_another_kind_is_an_error_that_names_it(path):
    with pytest.raises(InputError, match=r"The photo table cannot be asked.*'late'"):
        write_index(table(key=["a"], year=["late"]), path)


def test_a_small_file_of_very_many_rows_is_not_read(path):
    sink = io.BytesIO()
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 21_000_000, pa.int8()), ["a"])
    pq.write_table(pa.table({"key": column}), sink)
    assert len(sink.getvalue()) < 1_000_000
    with pytest.raises(InputError, match="21,000,000 rows"):
        write_index(sink.getvalue(), path)


def test_a_file_of_another_form_is_not_whole(path):
    assert write_index(table(key=["a"]), path).is_whole()
    with duckdb.connect(str(path.with_name("old.duckdb"))) as connection:
        connection.execute("CREATE TABLE photos (row BIGINT, key VARCHAR)")
    assert not PhotoIndex(path.with_name("old.duckdb")).is_whole()
