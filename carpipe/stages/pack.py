"""Pack: which crops go into which shard, and in what order."""

import hashlib

import pandas as pd

from carpipe.photos import kept

VERSION = 1

# Photo key, class name, split.
Row = tuple[str, str, str]


def rows_of(photos: pd.DataFrame) -> list[Row]:
    """What the dataset keeps of a partition's photos, in key order."""
    mine = kept(photos).sort_values("key")
    return list(mine[["key", "class_name", "split"]].itertuples(index=False, name=None))


def rows_by_partition(photos: pd.DataFrame) -> dict[str, list[Row]]:
    """As `rows_of`, of each partition that has any."""
    found: dict[str, list[Row]] = {}
    mine = kept(photos).sort_values("key")
    rows = mine[["partition", "key", "class_name", "split"]].itertuples(index=False, name=None)
    for partition, key, class_name, split in rows:
        found.setdefault(partition, []).append((key, class_name, split))
    return found


def shuffled(rows: list[Row], split: str) -> list[tuple[str, str]]:
    """(photo key, class name) of one split, in an order that depends on nothing but the keys."""
    mine = [(key, label) for key, label, name in rows if name == split]
    return sorted(mine, key=lambda row: hashlib.sha256(row[0].encode()).digest())
