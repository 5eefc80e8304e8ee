"""The expectations that are ours: each class is one thing that must hold for a dataset.

Those that come with Great Expectations look at one value at a time. These look at groups of rows: `find`
returns what breaks the expectation, a vehicle, a class, a model, as the words that the failure message and Data
Docs show. Nulls and missing columns are the business of other expectations, so that one defect is one failure.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from carpipe.html_page import per_cent
from carpipe.photos import SPLITS
from carpipe.validation.engine import EXAMPLES, BatchExpectation


class FindingExpectation(BatchExpectation):  # type: ignore[misc]  # it comes without types
    """An expectation on a whole table that counts what breaks it, in `unit`s, and names examples.

    `needs` are the columns without which it cannot be checked.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    unit: ClassVar[str] = "rows"

    @abstractmethod
    def find(self, table: pd.DataFrame) -> tuple[Sequence[Any], int]:
        """Return what breaks the expectation, and how many units were looked at."""

    def _validate(
        self, metrics: Any, runtime_configuration: Any = None, execution_engine: Any = None
    ) -> dict[str, Any]:
        table = execution_engine.get_domain_records({})
        # Rows that are picked come with all columns of the table: millions of keys, for a count.
        broken, examined = self.find(table[list(self.needs)] if self.needs else table)
        return {
            "success": not len(broken),
            "result": {
                "unit": self.unit,
                "observed_value": f"{len(broken):,} of {examined:,} {self.unit} break this",
                "element_count": examined,
                "unexpected_count": len(broken),
                "unexpected_percent": 100 * len(broken) / examined if examined else 0.0,
                "partial_unexpected_list": list(broken[:EXAMPLES]),
            },
        }


class ExpectNoEmptyCells(FindingExpectation):
    """None of `columns`, as far as the table has them, has an empty cell."""

    unit: ClassVar[str] = "columns"
    columns: list[str]

    def find(self, table: pd.DataFrame) -> tuple[Sequence[Any], int]:
        empty = table[table.columns.intersection(self.columns)].isna().sum()
        return [f"{column}: {_rows(number)}" for column, number in empty.items() if number], len(empty)


class ExpectColumnsOfNumbers(FindingExpectation):
    """None of `columns`, as far as the table has them, has a cell that is not a number.

    A CSV column with one word in it is read as text: then every comparison would raise.
    """

    unit: ClassVar[str] = "columns"
    columns: list[str]

    def find(self, table: pd.DataFrame) -> tuple[Sequence[Any], int]:
        present = table[table.columns.intersection(self.columns)]
        words = {column: _words(present[column]) for column in present}
        return [f"{name}: {found[0]}" for name, found in words.items() if found], len(words)


def _words(values: "pd.Series[Any]") -> list[Any]:
    values = values.dropna()
    return values[pd.to_numeric(values, errors="coerce").isna()].tolist()


def _rows(number: int) -> str:
    return f"{number:,} row" + "s" * (number != 1)


class ExpectVehiclesInOneSplit(FindingExpectation):
    """No vehicle is in two splits: else the test would ask for cars that were trained on."""

    column: ClassVar[str] = "vehicle"
    needs: ClassVar[tuple[str, ...]] = ("vehicle", "split")
    unit: ClassVar[str] = "vehicles"

    def find(self, table: pd.DataFrame) -> tuple[Sequence[Any], int]:
        pairs = table[[self.column, "split"]].dropna().drop_duplicates()
        leaked = pairs.loc[pairs[self.column].duplicated(), self.column].unique()
        return sorted(leaked), int(pairs[self.column].nunique())


class ExpectPicturesInOneSplit(ExpectVehiclesInOneSplit):
    """No file (sha256) is in two splits."""

    column: ClassVar[str] = "sha256"
    needs: ClassVar[tuple[str, ...]] = ("sha256", "split")
    unit: ClassVar[str] = "pictures"


class ExpectListingsInOneSplit(ExpectVehiclesInOneSplit):
    """No listing (listing_uuid) is in two splits."""

    column: ClassVar[str] = "listing_uuid"
    needs: ClassVar[tuple[str, ...]] = ("listing_uuid", "split")
    unit: ClassVar[str] = "listings"


class ExpectVersionsOnce(FindingExpectation):
    """No version of a photo, which is a key with its etag, has two rows: two partitions would hold it."""

    needs: ClassVar[tuple[str, ...]] = ("key", "etag")
    unit: ClassVar[str] = "photos"

    def find(self, table: pd.DataFrame) -> tuple[Sequence[Any], int]:
        numbers = pd.DataFrame({name: pd.factorize(table[name])[0] for name in ("key", "etag")}, index=table.index)
        doubled = numbers.duplicated() & table["key"].notna()
        return table.loc[doubled, "key"].tolist(), len(table)


class ExpectBoxesInsideFrames(FindingExpectation):
    """Each box is four numbers x0 y0 x1 y1 in pixels, is not empty and lies inside its photo."""

    needs: ClassVar[tuple[str, ...]] = ("key", "box", "width", "height")
    unit: ClassVar[str] = "boxes"

    def find(self, table: pd.DataFrame) -> tuple[Sequence[Any], int]:
        rows = table[list(self.needs)].dropna()
        is_box = rows["box"].map(len).to_numpy() == 4
        edges = np.full((len(rows), 4), np.nan)
        edges[is_box] = np.array(rows.loc[is_box, "box"].tolist(), dtype=float).reshape(-1, 4)
        x0, y0, x1, y1 = edges.T
        # Comparisons with NaN are false, so what is no box is not inside either.
        inside = (x0 >= 0) & (x0 < x1) & (x1 <= rows["width"]) & (y0 >= 0) & (y0 < y1) & (y1 <= rows["height"])
        return [_show_box(*row) for row in rows[~inside].itertuples(index=False)], len(rows)


def _show_box(key: str, box: Sequence[float], width: int, height: int) -> str:
    return f"{key}: box {' '.join(f'{edge:g}' for edge in box)} in {width}x{height}"


class ExpectDroppedPhotosToSayWhy(FindingExpectation):
    """A photo that is in no split says which stage dropped it and for which reason."""

    needs: ClassVar[tuple[str, ...]] = ("key", "split", "dropped", "dropped_by")
    unit: ClassVar[str] = "dropped photos"

    def find(self, table: pd.DataFrame) -> tuple[Sequence[Any], int]:
        gone = table[table["split"].isna()]
        return gone.loc[gone["dropped"].isna() | gone["dropped_by"].isna(), "key"].tolist(), len(gone)


class ExpectKeptPhotosNotDropped(FindingExpectation):
    """A photo that is in a split has no reason to be dropped and no stage that did."""

    needs: ClassVar[tuple[str, ...]] = ("key", "split", "dropped", "dropped_by")
    unit: ClassVar[str] = "kept photos"

    def find(self, table: pd.DataFrame) -> tuple[Sequence[Any], int]:
        kept = table[table["split"].notna()]
        return kept.loc[kept["dropped"].notna() | kept["dropped_by"].notna(), "key"].tolist(), len(kept)


class ExpectEnoughPhotosPerModel(FindingExpectation):
    """Each model of the dataset had at least `min_photos` photos before the cap and before the split.

    Later stages may leave fewer: the limit is about the models that are taken in.
    """

    needs: ClassVar[tuple[str, ...]] = ("model", "split", "dropped", "dropped_by")
    unit: ClassVar[str] = "models"
    min_photos: int

    def find(self, table: pd.DataFrame) -> tuple[Sequence[Any], int]:
        counted = (table["dropped_by"] == "split") | (table["dropped"] == "over_cap") | table["dropped"].isna()
        sizes = table.loc[counted, "model"].value_counts()
        sizes = sizes[sizes.index.isin(table.loc[table["split"].notna(), "model"].unique())].sort_index()
        return _show_counts(sizes[sizes < self.min_photos]), len(sizes)


class ExpectPhotosPerModelUnderCap(FindingExpectation):
    """No model has more than `max_photos` photos in the dataset."""

    needs: ClassVar[tuple[str, ...]] = ("model", "split")
    unit: ClassVar[str] = "models"
    max_photos: int

    def find(self, table: pd.DataFrame) -> tuple[Sequence[Any], int]:
        sizes = table.loc[table["split"].notna(), "model"].value_counts().sort_index()
        return _show_counts(sizes[sizes > self.max_photos]), len(sizes)


def _show_counts(sizes: "pd.Series[int]") -> list[str]:
    return [f"{name}: {count:,}" for name, count in sizes.items()]


class ExpectClassesInEverySplit(FindingExpectation):
    """Each class has photos to train on, to choose by and to be judged by: the three sets of classes are equal."""

    needs: ClassVar[tuple[str, ...]] = ("class_name", *SPLITS)
    unit: ClassVar[str] = "classes"

    def find(self, table: pd.DataFrame) -> tuple[Sequence[Any], int]:
        lacking = table[(table[list(SPLITS)] == 0).any(axis=1)]
        return [f"{row['class_name']}: no {_absent(row)}" for _, row in lacking.iterrows()], len(table)


def _absent(row: "pd.Series[Any]") -> str:
    return ", ".join(split for split in SPLITS if not row[split])


class ExpectListedPhotosToMatch(FindingExpectation):
    """The split tables list as many photos of each class and split as the audit table holds."""

    needs: ClassVar[tuple[str, ...]] = ("class_name", *SPLITS, *(f"{split}_listed" for split in SPLITS))
    unit: ClassVar[str] = "counts"

    def find(self, table: pd.DataFrame) -> tuple[Sequence[Any], int]:
        broken = [
            f"{name}: {split} lists {listed:,g} of {photos:,}"
            for split in SPLITS
            for name, photos, listed in table[["class_name", split, f"{split}_listed"]].itertuples(index=False)
            if photos != listed
        ]
        return broken, len(table) * len(SPLITS)


class ExpectClassSharesNearQuota(FindingExpectation):
    """Each class has about `shares` of its photos in train, val and test; the worst come first.

    About: within `tolerance`, or within what whole vehicles force. Filling the split that is furthest
    below its quota, one vehicle takes a split over it by at most that vehicle's photos, and the two other splits
    together leave it at most twice as many short. Where every class is small, that alone is the limit.
    """

    needs: ClassVar[tuple[str, ...]] = ("class_name", *SPLITS, "largest_vehicle")
    unit: ClassVar[str] = "shares"
    shares: list[float]
    tolerance: float

    def find(self, table: pd.DataFrame) -> tuple[Sequence[Any], int]:
        table = table[table[list(SPLITS)].sum(axis=1) > 0]
        far = sorted(self._far(table), key=lambda found: -abs(found[0]))
        return [sentence for _, sentence in far], len(table) * len(SPLITS)

    def _far(self, table: pd.DataFrame) -> Iterator[tuple[float, str]]:
        photos = table[list(SPLITS)].sum(axis=1)
        vehicle = table["largest_vehicle"] / photos
        for split, quota in zip(SPLITS, self.shares, strict=True):
            off = table[split] / photos - quota
            far = (off > vehicle.clip(lower=self.tolerance)) | (-off > (2 * vehicle).clip(lower=self.tolerance))
            for name, by in zip(table.loc[far, "class_name"], off[far], strict=True):
                yield by, f"{name}: {per_cent(quota + by)} in {split} instead of {per_cent(quota, 0)}"


class ExpectSplitSharesNearQuota(ExpectClassSharesNearQuota):
    """All classes together have about `shares` of the photos in train, val and test.

    What whole vehicles force adds up over the classes, at worst.
    """

    def find(self, table: pd.DataFrame) -> tuple[Sequence[Any], int]:
        total = table[[*SPLITS, "largest_vehicle"]].sum().to_frame().T.assign(class_name="all classes")
        return super().find(total)


class ExpectFunnelNearPrevious(FindingExpectation):
    """Each stage keeps about the share of photos that it kept in the previous dataset.

    A jump means that weights, settings or the photos themselves are not what they were. A stage without
    photos, or new since then, has nothing to be compared with; and where a share grows with the bucket, growth is none.
    """

    needs: ClassVar[tuple[str, ...]] = ("stage", "share", "previous_share")
    unit: ClassVar[str] = "stages"
    tolerance: float

    def find(self, table: pd.DataFrame) -> tuple[Sequence[Any], int]:
        far = table[(table["share"] - table["previous_share"]).abs() > self.tolerance]
        rows = far[["stage", "share", "previous_share"]].itertuples(index=False)
        found = [f"{stage}: kept {per_cent(now)}, before {per_cent(before)}" for stage, now, before in rows]
        return found, len(table)
