"""Split: train, validation and test, with all photos of one vehicle on the same side, for ever.

A listing that was put on a side stays there in every later dataset: the ledger of earlier assignments says
where. New vehicles go to the side that is furthest below its quota of the class's photos, large ones first.
"""

import hashlib
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from carpipe.config import SplitConfig
from carpipe.errors import InputError
from carpipe.photos import PUBLISHED_COLUMNS, SPLITS, counted_models, drop, kept

VERSION = 2
STAGE = "split"

# When two vehicles turn out to be one: what was tested on must not be trained on.
STRONGEST = ("test", "val", "train")


def split(
    photos: pd.DataFrame, *, config: SplitConfig, ledger: "pd.Series[str] | None" = None
) -> tuple[pd.DataFrame, "pd.Series[str]"]:
    """Add `split` to every kept photo, and say which listings were put on a side for the first time.

    A vehicle whose photos lie in folders of several classes keeps those of its main class, the others
    are dropped as `other_class`. What a person has said of one of its listings comes before what sellers say.
    Where vehicles of two sides turned out to be one, test wins over val over
    train, and the photos of the listings on the losing side are dropped as `in_two_splits`. A class that does
    not reach all sides cannot be judged: it is dropped as `too_few_vehicles`.

    Args:
        photos: with `vehicle` and `class_name`.
        ledger: side by listing uuid, of all earlier datasets.

    Returns:
        The photos, and the entries that are new to the ledger.

    Raises:
        InputError: no class is left.
    """
    before = pd.Series(dtype="str") if ledger is None else ledger
    alive = kept(photos)
    main = _main_classes(alive)
    foreign = alive["class_name"] != alive["vehicle"].map(main)
    photos = drop(photos, foreign, stage=STAGE, reason="other_class")
    known = _known_sides(photos, before)
    sides = photos["vehicle"].map(known)
    lost = photos["listing_uuid"].map(before)
    photos = drop(photos, lost.notna() & sides.notna() & (lost != sides), stage=STAGE, reason="in_two_splits")

    vehicles = kept(photos).groupby("vehicle").agg(class_name=("class_name", "first"), photos=("key", "size"))
    chosen = assign(vehicles.assign(split=known.reindex(vehicles.index)), config=config)
    reached = chosen.groupby(vehicles["class_name"]).transform("nunique")
    whole = chosen[reached == len(SPLITS)]
    photos = drop(photos, ~photos["vehicle"].isin(whole.index), stage=STAGE, reason="too_few_vehicles")
    if whole.empty:
        raise InputError("No class has vehicles on all three sides of the split; add photos of more cars.")
    photos["split"] = kept(photos)["vehicle"].map(whole).astype("str").reindex(photos.index)
    return photos, _new_entries(photos, whole, before)


def assign(vehicles: pd.DataFrame, *, config: SplitConfig) -> "pd.Series[str]":
    """A side for every vehicle; those that have one keep it.

    Args:
        vehicles: one row per vehicle: `class_name`, `photos`, and `split`, null where there is none yet.

    Returns:
        The side of each vehicle. It depends on the vehicles only, not on the order of the rows.

    Source: A. Sainte-Laguë, "La représentation proportionnelle et la méthode des moindres carrés", 1910. The photos of
    a class are seats, the sides are parties.
    """
    shares = np.array([getattr(config, name) for name in SPLITS])
    order = [hashlib.sha256(str(name).encode()).hexdigest() for name in vehicles.index]
    table = vehicles.assign(order=order, place=np.arange(len(vehicles)))
    table = table.sort_values(["class_name", "photos", "order"], ascending=[True, False, True])
    number = table["split"].map({name: i for i, name in enumerate(SPLITS)}).fillna(-1).astype(int).to_numpy(copy=True)
    sizes = table["photos"].to_numpy()
    starts = np.flatnonzero(table["class_name"] != table["class_name"].shift())
    for rows in np.split(np.arange(len(table)), starts[1:]):
        number[rows] = _fill(number[rows], sizes[rows], shares)
    return pd.Series(np.array(SPLITS)[number], index=table.index).reindex(vehicles.index)


def _fill(sides: NDArray[Any], sizes: NDArray[Any], shares: NDArray[Any]) -> list[int]:
    """Sides of one class's vehicles, -1 replaced."""
    filled = [float(sizes[sides == side].sum()) for side in range(len(SPLITS))]
    result = [int(side) for side in sides]
    for i, side in enumerate(result):
        if side < 0:
            # Every side gets a vehicle; then Sainte-Laguë's rule, the one that favours neither large nor small shares.
            half = sizes[i] / 2
            result[i] = min(range(len(SPLITS)), key=lambda j: (filled[j] > 0, (filled[j] + half) / shares[j], j))
            filled[result[i]] += sizes[i]
    return result


def _main_classes(alive: pd.DataFrame) -> "pd.Series[str]":
    """The class that most photos of each vehicle are in; of those that a person has corrected, where there are some."""
    if "corrected" in alive:
        said = alive["corrected"].notna()
        alive = alive[said | ~alive["vehicle"].isin(alive.loc[said, "vehicle"])]
    sizes = alive.groupby(["vehicle", "class_name"]).size().rename("photos").reset_index()
    sizes = sizes.sort_values(["vehicle", "photos", "class_name"], ascending=[True, False, True])
    return sizes.drop_duplicates("vehicle").set_index("vehicle")["class_name"]


def _known_sides(photos: pd.DataFrame, ledger: "pd.Series[str]") -> "pd.Series[str]":
    """The side of each vehicle of which a listing has one, dropped photos' listings too."""
    listings = photos[["vehicle", "listing_uuid"]].dropna().drop_duplicates()
    found = listings["listing_uuid"].map(ledger)
    listings = listings.assign(split=found, strength=found.map(STRONGEST.index, na_action="ignore"))
    strongest = listings.dropna().sort_values("strength").drop_duplicates("vehicle")
    return strongest.set_index("vehicle")["split"]


def _new_entries(photos: pd.DataFrame, sides: "pd.Series[str]", ledger: "pd.Series[str]") -> "pd.Series[str]":
    """Side by listing, for all listings of the vehicles in the dataset that the ledger does not know."""
    listings = photos[["vehicle", "listing_uuid"]].dropna().drop_duplicates("listing_uuid")
    listings = listings[~listings["listing_uuid"].isin(ledger.index)].set_index("listing_uuid")
    return listings["vehicle"].map(sides).dropna().sort_index()


def tables(photos: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The published tables: one row per vehicle and model, for each split.

    Columns: `car_model` (the model that its photos count with), `single_car_index` (listing number), `nof_photos`,
    `directory_size` (photos of the model before the cap), `cumsum_by_model` (running sum of `nof_photos` over all
    splits), `updated_directory_size` (photos of the model in the dataset), then ours: `class_name`, `vehicle`, `split`.
    """
    photos = photos.assign(model=counted_models(photos))
    alive = kept(photos)
    rows = (
        alive.groupby(["model", "class_name", "vehicle", "split"])
        .agg(single_car_index=("listing", "min"), nof_photos=("key", "size"))
        .reset_index()
        .rename(columns={"model": "car_model"})
    )
    uncapped = photos[photos["dropped"].isna() | (photos["dropped"] == "over_cap") | (photos["dropped_by"] == STAGE)]
    rows["directory_size"] = rows["car_model"].map(uncapped["model"].value_counts())
    rows["updated_directory_size"] = rows["car_model"].map(alive["model"].value_counts())
    rows["cumsum_by_model"] = rows.groupby("car_model")["nof_photos"].cumsum()
    rows = rows[[*PUBLISHED_COLUMNS, "class_name", "vehicle", "split"]]
    return {name: rows[rows["split"] == name].reset_index(drop=True) for name in SPLITS}
