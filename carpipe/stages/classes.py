"""Gives each photo its class, and drops the photos of models that are erased, too rare or too common.

The two limits hold per model with its years merged, before models become classes, as in the published
data set: a class made of ten models may hold ten times the cap. There, a model stayed with 150 photos or
more (none had exactly 150, so "more than 150" says the same) and no model has more than 1,500.
"""

import hashlib
from typing import Literal

import pandas as pd

from carpipe.errors import ConfigError, InputError
from carpipe.photos import counted_models, drop, kept
from carpipe.taxonomy.rules import Taxonomy
from carpipe.taxonomy.twins import join_twins

VERSION = 1
STAGE = "classes"

Level = Literal["model", "class"]


def assign_classes(
    photos: pd.DataFrame,
    taxonomy: Taxonomy,
    *,
    min_photos: int,
    max_photos: int,
    level: Level = "model",
) -> pd.DataFrame:
    """Return all rows of `photos`, in order, with `class_name` and more of them dropped.

    Photos that are still kept are dropped, in this order, as
    `erased_class` where the taxonomy erases their model;
    `too_few_photos` where their model has fewer than `min_photos` (exactly that many is enough);
    `over_cap` where their model has more than `max_photos` (0: no cap). Vehicles stay whole and are taken
    in the order of a hash of their id, so new photos hardly change which of the old ones are taken.

    `level` "class" applies both limits per class instead. `class_name` is set on dropped rows too, and
    null only for erased models. A photo whose listing a person has corrected (`stages.corrections`) has the class of,
    and counts with, the model that it was corrected to. Models that `settle` finds to be twins are in one class.
    Raises `InputError` when no photo remains.
    """
    _check_limits(min_photos, max_photos)
    _check_vehicles(photos)
    taxonomy = settle(photos, taxonomy, min_photos=min_photos if level == "model" else 0)
    table = photos.assign(
        class_name=_class_names(counted_models(photos), taxonomy),
        # A column without any value may come back from Parquet as numbers or objects.
        dropped=photos["dropped"].astype("str"),
        dropped_by=photos["dropped_by"].astype("str"),
    )
    unit = table["class_name"] if level == "class" else counted_models(table)
    table = drop(table, table["class_name"].isna(), stage=STAGE, reason="erased_class")
    sizes = unit[table["dropped"].isna()].value_counts()
    table = drop(table, unit.map(sizes) < min_photos, stage=STAGE, reason="too_few_photos")
    if max_photos:
        table = drop(table, _over_cap(table, unit, max_photos), stage=STAGE, reason="over_cap")
    if kept(table).empty:
        raise InputError(_nothing_left(table, sizes, min_photos, level))
    return table


def settle(photos: pd.DataFrame, taxonomy: Taxonomy, *, min_photos: int) -> Taxonomy:
    """The taxonomy that counts: with rules for models that are the same words in ASCII, where both have enough photos.

    Without them, two classes would share one ASCII name, which a dataset refuses.
    """
    sizes = counted_models(kept(photos)).value_counts()
    return join_twins(taxonomy, {str(model): int(n) for model, n in sizes[sizes >= min_photos].items()})


def _class_names(models: "pd.Series[str]", taxonomy: Taxonomy) -> "pd.Series[str]":
    names = models.dropna().unique()  # a name that was not understood has no model
    return models.map(pd.Series([taxonomy.class_of(name) for name in names], index=names, dtype="str"))


def _check_limits(min_photos: int, max_photos: int) -> None:
    if min_photos < 0 or max_photos < 0 or 0 < max_photos < min_photos:
        raise ConfigError(
            f"expected 0 <= min_photos <= max_photos (or max_photos 0 for no cap), "
            f"got min_photos {min_photos} and max_photos {max_photos}"
        )


def _check_vehicles(photos: pd.DataFrame) -> None:
    missing = int(kept(photos)["vehicle"].isna().sum())
    if missing:
        raise InputError(f"{missing:,} kept photos have no vehicle: the identify stage must come before")


def _over_cap(table: pd.DataFrame, unit: "pd.Series[str]", max_photos: int) -> "pd.Series[bool]":
    """Mark the photos of vehicles that come after the cap is reached in their model or class.

    A vehicle that is larger than the cap on its own is marked and takes no room from the others.
    """
    table = table.assign(unit=unit)
    alive = kept(table)
    alive = alive[alive.groupby("unit")["vehicle"].transform("size") > max_photos]
    vehicles = alive.groupby(["unit", "vehicle"]).size().rename("size").reset_index()
    vehicles["order"] = [hashlib.sha256(name.encode()).hexdigest() for name in vehicles["vehicle"]]
    vehicles = vehicles.sort_values(["unit", "order"])
    fits = vehicles["size"] <= max_photos
    taken = vehicles["size"].where(fits, 0).groupby(vehicles["unit"]).cumsum()
    over = pd.MultiIndex.from_frame(vehicles.loc[~fits | (taken > max_photos), ["unit", "vehicle"]])
    marked = pd.MultiIndex.from_frame(table[["unit", "vehicle"]]).isin(over)
    return pd.Series(marked, index=table.index)


def _nothing_left(table: pd.DataFrame, sizes: "pd.Series[int]", min_photos: int, unit: Level) -> str:
    mine = table.loc[table["dropped_by"] == STAGE, "dropped"].value_counts()
    before = len(table) - int(mine.sum())
    funnel = ", ".join(f"{count:,} {reason}" for reason, count in mine.items()) or "none"
    message = (
        f"no photo is left of {len(table):,}: {before:,} were dropped by earlier stages, "
        f"{int(mine.sum()):,} here ({funnel})."
    )
    if sizes.empty:
        return message + " Check the taxonomy and the reasons of the earlier stages."
    largest = f"the largest {unit} is {sizes.index[0]!r} with {int(sizes.iloc[0]):,} photos"
    if sizes.iloc[0] < min_photos:
        return f"{message} Lower min_photos ({min_photos:,}): {largest}."
    return f"{message} Raise max_photos: {largest}, and no vehicle fits under the cap."
