"""An index of a photo table: any page of it, filtered and sorted, in milliseconds and little memory.

For servers, which show photos one page at a time. A table of 1.6 million photos is 150 MB of Parquet; as a pandas
table it takes 2 GB and twenty seconds. As a DuckDB file it takes less than 200 MB of disk and is made in some seconds.
It holds nothing that the photo table does not, so it can be made anew at any time.

Two of its columns are there for speed alone. Keys are long, all different, and slow to fold and to sort: what does that
once, when the index is made, need not do it for each page.
"""

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb

from carpipe import parquet
from carpipe.errors import InputError
from carpipe.names import brief

# Rises when the columns change.
VERSION = 3
# Of `carpipe.photos`, with their types here. A table that lacks some, as those of older versions do, has nulls there.
COLUMNS = {
    "key": "VARCHAR", "size": "BIGINT", "model": "VARCHAR", "year": "INTEGER", "listing": "BIGINT", "photo": "BIGINT",
    "listing_uuid": "VARCHAR", "format": "VARCHAR", "width": "INTEGER", "height": "INTEGER", "sha256": "VARCHAR",
    "damage": "FLOAT", "repaired": "VARCHAR", "p_car": "FLOAT", "view": "VARCHAR", "view_p": "FLOAT", "box": "FLOAT[]",
    "box_label": "VARCHAR", "box_score": "FLOAT", "vehicle": "VARCHAR", "class_name": "VARCHAR",
    "corrected": "VARCHAR", "split": "VARCHAR", "partition": "VARCHAR", "dropped": "VARCHAR", "dropped_by": "VARCHAR",
}  # fmt: skip
# A page asks for little, and Airflow's API server, tasks' reports included, needs the rest of the machine.
LIMITS: dict[str, str | bool | int | float | list[str]] = {
    "threads": 2,
    "memory_limit": "512MB",
    "max_temp_directory_size": "2GB",
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}


# As keys are searched: in small letters, and composed. Nearly every key is so already; then there is nothing to keep.
_TEXT = "nullif(nfc_normalize(lower(key)), key)"
# Where each photo stands among all by name.
_PLACE = """
    UPDATE photos SET place = sorted.place FROM
        (SELECT row, row_number() OVER (ORDER BY key, row) - 1 AS place FROM photos) AS sorted
    WHERE sorted.row = photos.row
"""
# By what files are, and both ways, since a picture may lie in several files of the same bytes.
_LINK = """
    INSERT INTO links
    WITH pairs AS (SELECT a.sha256 AS one, b.sha256 AS other, {edited} AS edited FROM read_parquet(?) AS pairs
        JOIN photos AS a ON a.key = pairs.key_a JOIN photos AS b ON b.key = pairs.key_b
        WHERE a.sha256 <> b.sha256)
    SELECT DISTINCT * FROM (FROM pairs UNION ALL SELECT other, one, edited FROM pairs)
"""


@dataclass(frozen=True)
class PhotoIndex:
    """A table `photos` of `COLUMNS`, with `row`, the number of the row in the photo table, and `make`.

    Its `text` is the key in small letters and composed Unicode, null where that is the key itself, and `place` the
    number of the photo among all by name. A table `links` has which files, by sha256, show one picture: `one`, `other`,
    and whether one was `edited`. Safe to share between threads.
    """

    path: Path

    def is_whole(self) -> bool:
        """Whether it has the tables and columns that this version reads."""
        try:
            self.select(f"SELECT row, make, text, place, {', '.join(COLUMNS)} FROM photos LIMIT 0")  # noqa: S608  # all ours
            self.select("SELECT one, other, edited FROM links LIMIT 0")
        except InputError:
            return False
        return True

    def select(self, query: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """The rows of a query.

        Args:
            query: SQL of our own. What comes from elsewhere is a `?` in it, and one of the parameters.

        Raises:
            InputError: the query takes more memory than it may.
        """
        with _explained(f"The index {self.path.name}"):
            found = self._connection.cursor().execute(query, list(parameters))
            names = [column[0] for column in found.description or ()]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        with _opening:  # two at a time would be one too many
            connection = duckdb.connect(str(self.path), read_only=True, config=LIMITS)
        connection.execute("SET enable_external_access = false")
        return connection


_opening = threading.Lock()


def write_index(photos: bytes, path: Path, *, pairs: bytes | None = None) -> PhotoIndex:
    """Make the index of a photo table. Who finds the file finds all of it.

    Args:
        photos: Parquet.
        pairs: Parquet, `key_a`, `key_b` and `edited`: photos that show one picture; None where nobody knows.

    Raises:
        TooLargeError, InputError: as for `carpipe.parquet.read_table`.
    """
    there, edited = parquet.checked_names(photos), "edited" in (parquet.checked_names(pairs) if pairs else ())
    columns = [f"CAST({name if name in there else 'NULL'} AS {kind}) AS {name}" for name, kind in COLUMNS.items()]
    with tempfile.TemporaryDirectory(prefix="making-", dir=path.parent) as folder, _explained("The photo table"):
        source, made = Path(folder) / "photos.parquet", Path(folder) / "index.duckdb"
        source.write_bytes(photos)
        with duckdb.connect(str(made), config={**LIMITS, "temp_directory": folder}) as connection:
            connection.execute(
                f"CREATE TABLE photos AS SELECT file_row_number AS row, {', '.join(columns)}, "  # noqa: S608  # all ours
                f"split_part(model, '_', 1) AS make, {_TEXT} AS text, CAST(NULL AS INTEGER) AS place "
                "FROM read_parquet(?, file_row_number = true)",
                [str(source)],
            )
            connection.execute(_PLACE)
            connection.execute("CREATE TABLE links (one VARCHAR, other VARCHAR, edited BOOLEAN)")
            if pairs is not None:
                linked = Path(folder) / "pairs.parquet"
                linked.write_bytes(pairs)
                connection.execute(_LINK.format(edited="edited" if edited else "false"), [str(linked)])
        os.replace(made, path)
    return PhotoIndex(path)


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    """DuckDB's errors as sentences."""
    try:
        yield
    except duckdb.Error as error:
        raise InputError(f"{what} cannot be asked, {brief(str(error).splitlines()[0])}.") from error
