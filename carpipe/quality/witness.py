"""Joins the tables and writes what is wrong across them into witness columns.

Great Expectations looks at one column of one table at a time. So what takes a join (a vehicle in two
splits, a class without photos to train on) is found here, and the finding, such as the id of the vehicle,
stands in a column that must be null. The witnesses are then the example values in reports and Data Docs.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from carpipe.photos import PUBLISHED_COLUMNS, SPLITS

SPLIT_COLUMNS = (*PUBLISHED_COLUMNS, "class_name", "vehicle", "split")
NUMBER_COLUMNS = PUBLISHED_COLUMNS[1:]
AUDIT_COLUMNS = ("key", "sha256", "vehicle", "class_name", "split")


def with_witnesses(tables: Mapping[str, pd.DataFrame], classes: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Return the split tables and the audit table with their witness columns, and a table `classes`.

    The witness of a missing column is left out, as the missing column is reported already.
    """
    vehicles = _leaks("vehicle", {split: tables[split] for split in SPLITS})
    joined = {split: _split_table(tables[split], vehicles) for split in SPLITS}
    joined["audit"] = _audit_table(tables["audit"])
    joined["classes"] = _class_table(joined, classes)
    return joined


def _split_table(table: pd.DataFrame, leaked_vehicles: "pd.Series[str]") -> pd.DataFrame:
    table = table[[column for column in SPLIT_COLUMNS if column in table]].copy()
    strange = pd.Series(None, index=table.index, dtype="str")
    for column in table.columns.intersection(list(NUMBER_COLUMNS)):
        numbers = pd.to_numeric(table[column], errors="coerce")
        is_text = numbers.isna() & table[column].notna()
        strange = strange.mask(is_text, column + " " + table[column].astype("str"))
        table[column] = numbers
    table["not_a_number"] = strange
    if "vehicle" in table:
        table["leaked_vehicle"] = table["vehicle"].where(table["vehicle"].isin(leaked_vehicles))
    return table


def _audit_table(table: pd.DataFrame) -> pd.DataFrame:
    table = table[[column for column in AUDIT_COLUMNS if column in table]].copy()
    if "split" in table:
        parts = {str(split): part for split, part in table.groupby("split", observed=True)}
        for column in table.columns.intersection(["vehicle", "sha256"]):
            table[f"leaked_{column}"] = table[column].where(table[column].isin(_leaks(column, parts)))
    return table


def _leaks(column: str, parts: Mapping[str, pd.DataFrame]) -> "pd.Series[str]":
    """Return the values of `column` that are in more than one part."""
    values = [pd.Series(part[column].dropna().unique()) for part in parts.values() if column in part]
    if not values:
        return pd.Series([], dtype="str")
    together = pd.concat(values)
    return together[together.duplicated()]


def _class_table(joined: Mapping[str, pd.DataFrame], classes: Sequence[str]) -> pd.DataFrame:
    """Count each class's photos per split, in the audit table and as the split tables list them."""
    table = pd.DataFrame({"class_name": pd.Series(list(classes), dtype="str")})
    audit = joined["audit"]
    if not {"class_name", "split"} <= set(audit):
        return table
    miscounted = pd.Series(False, index=table.index)
    for split in SPLITS:
        photos = audit.loc[audit["split"] == split, "class_name"].value_counts()
        table[f"{split}_photos"] = table["class_name"].map(photos).fillna(0).astype(int)
        if {"class_name", "nof_photos"} <= set(joined[split]):
            listed = joined[split].groupby("class_name", observed=True)["nof_photos"].sum()
            table[f"{split}_listed"] = table["class_name"].map(listed).fillna(0)
            miscounted |= table[f"{split}_listed"] != table[f"{split}_photos"]
    table["without_train"] = table["class_name"].where(table["train_photos"] == 0)
    table["miscounted"] = table["class_name"].where(miscounted)
    return table
