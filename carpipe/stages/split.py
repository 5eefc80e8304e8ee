"""Split: train, validation and test, with all photos of one vehicle on the same side.

Within a class, vehicles go one after another to the split that is furthest below its quota of photos.
The order is a hash of the vehicle, so the result depends on nothing but the vehicles themselves.
"""

import hashlib

import pandas as pd

from carpipe.config import SplitConfig
from carpipe.errors import InputError
from carpipe.photos import PUBLISHED_COLUMNS, SPLITS, drop, kept

VERSION = 1
STAGE = "split"


def split(photos: pd.DataFrame, *, config: SplitConfig) -> pd.DataFrame:
    """Add `split` to every kept photo.

    A vehicle whose photos lie in folders of several classes keeps those of its main class, the others
    are dropped as `other_class`. A class with fewer vehicles than splits cannot be judged: it is dropped
    as `too_few_vehicles`.

    Raises:
        InputError: no class is left.
    """
    alive = kept(photos)
    vehicles = _vehicles(alive)
    photos = drop(
        photos,
        alive["class_name"] != alive["vehicle"].map(vehicles["class_name"]),
        stage=STAGE,
        reason="other_class",
    )
    counts = vehicles["class_name"].map(vehicles["class_name"].value_counts())
    thin = alive["vehicle"].map(counts) < len(SPLITS)
    photos = drop(photos, thin, stage=STAGE, reason="too_few_vehicles")
    vehicles = vehicles[counts >= len(SPLITS)]
    if vehicles.empty:
        raise InputError(f"No class has {len(SPLITS)} vehicles or more, one for each split; add photos of more cars.")
    chosen = _assign(vehicles, shares=[getattr(config, name) for name in SPLITS])
    return photos.assign(split=kept(photos)["vehicle"].map(chosen).astype("str").reindex(photos.index))


def _vehicles(alive: pd.DataFrame) -> pd.DataFrame:
    """One row per vehicle: the class most of its photos are in, and how many photos that is."""
    sizes = alive.groupby(["vehicle", "class_name"]).size().rename("photos").reset_index()
    sizes = sizes.sort_values(["vehicle", "photos", "class_name"], ascending=[True, False, True])
    return sizes.drop_duplicates("vehicle").set_index("vehicle")


def tables(photos: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The published tables: one row per vehicle and model, for each split.

    Columns: `car_model`, `single_car_index` (listing number), `nof_photos`, `directory_size` (photos of the
    model before the cap), `cumsum_by_model` (running sum of `nof_photos` over all splits),
    `updated_directory_size` (photos of the model in the dataset), then ours: `class_name`, `vehicle`, `split`.
    """
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


def _assign(vehicles: pd.DataFrame, *, shares: list[float]) -> dict[str, str]:
    order = [hashlib.sha256(uuid.encode()).hexdigest() for uuid in vehicles.index]
    chosen: dict[str, str] = {}
    for _, group in vehicles.assign(order=order).sort_values("order").groupby("class_name"):
        filled = [0.0] * len(SPLITS)
        for vehicle, photos in group["photos"].items():
            # Emptiest in terms of its own quota, so the first vehicles reach every split.
            target = min(range(len(SPLITS)), key=lambda i: (filled[i] / shares[i], -shares[i]))
            filled[target] += photos
            chosen[str(vehicle)] = SPLITS[target]
    return chosen
