"""Chooses the photos that the dataset report shows, and makes their cards: picture, name, facts.

The choice is by a hash of the key: equal tables give equal examples, and a photo that is shown today is
likely to be shown tomorrow.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from carpipe.html_page import Card, make_card

# Reasons of photos that somebody took back: a report is no place to keep them.
WITHDRAWN = ("deleted", "forgotten")


def choose_examples(photos: pd.DataFrame, *, per_reason: int) -> pd.DataFrame:
    """Up to `per_reason` dropped photos of each stage and reason: rows of `photos`, every column.

    A reason's examples come from as many folders as possible; none are of photos that were deleted or
    forgotten. Deterministic, whatever the order of `photos`.
    """
    position = np.flatnonzero(photos["dropped"].notna() & ~photos["dropped"].isin(WITHDRAWN))
    dropped = photos.iloc[position]
    keys = dropped["key"].tolist()
    ranked = pd.DataFrame(
        {
            "reason": dropped.groupby(["dropped_by", "dropped"], observed=True).ngroup().to_numpy(),
            "folder": [key.rpartition("/")[0] for key in keys],
            "order": np.fromiter(map(_hash, keys), np.uint64, len(keys)),
            "position": position,
        }
    ).sort_values("order")
    # The second photo of a folder comes after the first of every other folder.
    ranked["turn"] = ranked.groupby(["reason", "folder"]).cumcount()
    chosen = ranked.sort_values(["turn", "order"]).groupby("reason").head(per_reason)
    return photos.iloc[chosen["position"]].reset_index(drop=True)


def choose_pairs(pairs: pd.DataFrame, *, count: int) -> pd.DataFrame:
    """Up to `count` near-duplicate pairs: rows of `pairs`, the largest difference first.

    Half of them are those that differ most, where a limit that is too loose shows first; the others are
    drawn by hash. Deterministic, whatever the order of `pairs`.
    """
    keys = zip(pairs["key_a"], pairs["key_b"], strict=True)
    order = [_hash("\n".join(pair)) for pair in keys]
    ranked = pairs.assign(_order=order).sort_values(["difference", "_order"], ascending=[False, True])
    doubtful, others = ranked.iloc[: (count + 1) // 2], ranked.iloc[(count + 1) // 2 :]
    drawn = others.sort_values("_order").head(count // 2)
    chosen = pd.concat([doubtful, drawn]).sort_values(["difference", "_order"], ascending=[False, True])
    return chosen.drop(columns="_order").reset_index(drop=True)


def make_cards(rows: pd.DataFrame, pictures: Mapping[str, bytes]) -> list[Card]:
    """A card for each row of the photo table; withdrawn photos, and those not in `pictures`, have facts only.

    Raises:
        InputError: a picture is not a JPEG.
    """
    return [_card(row, pictures) for row in rows.to_dict("records")]


def _card(row: Mapping[Any, Any], pictures: Mapping[str, bytes]) -> Card:
    key = str(row["key"])
    facts = _facts({name: value for name, value in row.items() if _is_known(value)})
    return make_card(key, facts, None if row["dropped"] in WITHDRAWN else pictures.get(key))


def _facts(row: Mapping[Any, Any]) -> Iterator[str]:
    if {"width", "height"} <= row.keys():
        yield f"{row['width']:.0f} × {row['height']:.0f} px"
    if "size" in row:
        yield f"{row['size'] / 1000:,.1f} kB" if row["size"] >= 1000 else f"{row['size']:.0f} bytes"
    if row.get("format", "JPEG") != "JPEG":
        yield str(row["format"])
    if row.get("damage"):
        yield f"damage {100 * row['damage']:.1f} %"
    if row.get("repaired"):
        yield f"repaired: {row['repaired']}"
    if "p_car" in row:
        yield f"p(car) {row['p_car']:.3f}"
    if {"box", "width", "height"} <= row.keys():
        yield f"box {100 * _box_share(row):.1f} % of the frame"
    yield from _class_facts(row)


def _class_facts(row: Mapping[Any, Any]) -> Iterator[str]:
    if row.get("class_name") != row.get("model") and "class_name" in row:
        yield f"class {row['class_name']}"
    if "corrected" in row:
        yield f"a person says {row['corrected']}"
    if "split" in row:
        yield str(row["split"])


def _box_share(row: Mapping[Any, Any]) -> float:
    x0, y0, x1, y1 = row["box"]
    return float((x1 - x0) * (y1 - y0) / max(row["width"] * row["height"], 1))


def _is_known(value: Any) -> bool:
    return not pd.api.types.is_scalar(value) or not pd.isna(value)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
