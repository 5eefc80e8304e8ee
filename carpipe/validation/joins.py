"""Joins the tables of a dataset into further ones, for what must hold across tables or per class.

A missing column is reported by the table that lacks it; what needs it is left out of the joined tables,
and the expectations on that are left out of their suites.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from carpipe.photos import PUBLISHED_COLUMNS, SPLITS
from carpipe.validation.limits import Limits

SPLIT_COLUMNS = (*PUBLISHED_COLUMNS, "class_name", "vehicle", "split")
NUMBER_COLUMNS = PUBLISHED_COLUMNS[1:]
AUDIT_COLUMNS = (
    "key", "sha256", "listing_uuid", "model", "vehicle", "class_name", "split",
    "p_car", "box", "box_score", "width", "height",
)  # fmt: skip
PHOTO_COLUMNS = ("key", "etag", "model", "p_car", "split", "dropped", "dropped_by")

# What these stages keep grows with the bucket: a model of 140 photos is dropped whole, one of 150 stays.
GROWING = ("classes", "split")
# Photos that left the bucket, or have a newer version in it: no stage has judged them.
WITHDRAWN = ("deleted", "superseded", "forgotten")


def join_tables(tables: Mapping[str, pd.DataFrame], classes: Sequence[str], limits: Limits) -> dict[str, pd.DataFrame]:
    """Return `tables` and three more.

    `listings`: the split tables below each other, `split` being the table a row stands in. `classes`: a row for each
    of `classes` with its photos per split, those that the split tables list, and its largest vehicle's.
    `funnel`: a row per stage with the share that it kept, now and in the previous dataset.
    """
    splits = {split: _with_numbers(_only(tables[split], SPLIT_COLUMNS)) for split in SPLITS}
    listings = pd.concat([table.assign(split=split) for split, table in splits.items()], ignore_index=True)
    return {
        **splits,
        "listings": listings,
        "audit": _with_tuples(_only(tables["audit"], AUDIT_COLUMNS)),
        "photos": _only(tables["photos"], PHOTO_COLUMNS),
        "classes": _count_classes(tables["audit"], splits, classes),
        "funnel": _compare_funnels(limits),
    }


def _only(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """With the columns that a suite looks at."""
    return table[[column for column in columns if column in table]]


def _with_numbers(table: pd.DataFrame) -> pd.DataFrame:
    """Columns of numbers as such, unless there is text among them."""
    for column in table.columns.intersection(list(NUMBER_COLUMNS)):
        numbers = pd.to_numeric(table[column], errors="coerce")
        if numbers.notna().equals(table[column].notna()):
            table[column] = numbers
    return table


def _with_tuples(audit: pd.DataFrame) -> pd.DataFrame:
    """Boxes as tuples: Great Expectations hashes each table, and pickles what holds lists, 20 s per 600,000."""
    if "box" not in audit:
        return audit
    boxes = [tuple(box) if isinstance(box, Iterable) else None for box in audit["box"]]
    return audit.assign(box=pd.Series(boxes, index=audit.index, dtype=object))


def _count_classes(audit: pd.DataFrame, splits: Mapping[str, pd.DataFrame], classes: Sequence[str]) -> pd.DataFrame:
    table = pd.DataFrame({"class_name": pd.Series(list(classes), dtype="str")})
    if audit.empty or not {"class_name", "split"} <= set(audit):
        return table
    for split in SPLITS:
        photos = audit.loc[audit["split"] == split, "class_name"].value_counts()
        table[split] = table["class_name"].map(photos).fillna(0).astype(int)
        if (listed := _listed_photos(splits[split])) is not None:
            table[f"{split}_listed"] = table["class_name"].map(listed).fillna(0)
    if "vehicle" in audit:
        sizes = audit[["class_name", "vehicle"]].astype("str").value_counts()
        table["largest_vehicle"] = table["class_name"].map(sizes.groupby("class_name").max()).fillna(0)
    return table


def _listed_photos(table: pd.DataFrame) -> "pd.Series[float] | None":
    """Photos per class that a split table lists; None where it does not say."""
    if table.empty or not {"class_name", "nof_photos"} <= set(table):
        return None
    if not pd.api.types.is_numeric_dtype(table["nof_photos"]):
        return None
    return table.groupby("class_name", observed=True)["nof_photos"].sum()


def _compare_funnels(limits: Limits) -> pd.DataFrame:
    table = _funnel_table(limits.funnel)
    before = _funnel_table(limits.previous_funnel or ()).set_index("stage")["share"]
    previous = table["stage"].map(before).astype(float)
    # A share that has grown, where it grows with the bucket, is no change to speak of.
    grown = table["stage"].isin(GROWING) & (table["share"] > previous)
    return table.assign(previous_share=previous.mask(grown, table["share"]))


def _funnel_table(entries: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(entries, columns=["stage", "in", "kept"])
    # A bucket that was copied, and one that forgets old photos, has lost none to a stage.
    left = pd.Series([sum(entry.get("dropped", {}).get(one, 0) for one in WITHDRAWN) for entry in entries], dtype=float)
    judged = table["in"].astype(float) - left
    return table.assign(share=table["kept"].astype(float) / judged.where(judged > 0))
