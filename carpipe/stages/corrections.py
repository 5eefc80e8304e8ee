"""Applies what people say of listings: which model a photo counts with, and which photos are of no class at all.

A name that somebody has given goes through the taxonomy as the model of a folder does. A class that is no model stands
for the most frequent of its models, so that the limits of `classes`, which count models, hold for such photos too.
What the seller gave stays in `model`.
"""

from collections.abc import Iterator, Mapping

import pandas as pd

from carpipe.errors import InputError
from carpipe.names import model_name, shown
from carpipe.photos import counted_models, drop, kept
from carpipe.taxonomy.rules import Taxonomy
from carpipe.taxonomy.words import DROPPED


def apply_corrections(
    photos: pd.DataFrame, corrections: Mapping[str, str], taxonomy: Taxonomy, *, stage: str
) -> pd.DataFrame:
    """A copy with `corrected`, what was said of a photo's listing, and `corrected_model`, what it counts with for it.

    Both are null where nothing was said, and `corrected_model` where a word was said. Photos of listings that are not
    a car of any class, or of which somebody cannot tell, are dropped by `stage`.

    Args:
        corrections: model, class or word of `taxonomy.words` by listing uuid, all of which change something.

    Raises:
        InputError: the taxonomy refuses a name, since its `unknown` is `error`.
    """
    said = photos["listing_uuid"].map(dict(corrections)).astype("str")
    # A column without any value may come back from Parquet as numbers or objects.
    texts = {name: photos[name].astype("str") for name in ("dropped", "dropped_by")}
    photos = photos.assign(corrected=said, **texts)
    for word, reason in DROPPED.items():
        photos = drop(photos, said == word, stage=stage, reason=reason)
    names = [str(name) for name in said.dropna().unique() if name not in DROPPED]
    if taxonomy.unknown == "error":
        _check_names(photos, unknown_names(names, taxonomy))
    models = {name: model_name(name) for name in names if _is_model(name, taxonomy)}
    photos = photos.assign(corrected_model=said.map(models).astype("str"))
    alive = kept(photos)
    sizes = counted_models(alive)[alive["corrected"].isna() | alive["corrected_model"].notna()].value_counts()
    models |= {name: _most_frequent(name, taxonomy, sizes) for name in names if name not in models}
    return photos.assign(corrected_model=said.map(models).astype("str"))


def unknown_names(names: "list[str]", taxonomy: Taxonomy) -> list[str]:
    """Those that are no class and no model of the rules."""
    return [name for name in names if _is_model(name, taxonomy) and model_name(name) not in taxonomy.class_by_model]


def gone_names(photos: pd.DataFrame, taxonomy: Taxonomy) -> Iterator[tuple[str, int]]:
    """(name, listings) of what listings were corrected to that no photo's folder has, and no rule names."""
    rows = photos.loc[
        photos["corrected"].notna() & ~photos["corrected"].isin([*DROPPED]), ["listing_uuid", "corrected"]
    ]
    listings = rows.groupby("corrected")["listing_uuid"].nunique()
    there = {*photos["model"].dropna().unique()}
    for name in unknown_names([str(one) for one in listings.index], taxonomy):
        if model_name(name) not in there:
            yield name, int(listings[name])


def _is_model(name: str, taxonomy: Taxonomy) -> bool:
    """Whether a name goes through the taxonomy: all do but those of classes that are made of other models."""
    return model_name(name) in taxonomy.class_by_model or name not in taxonomy.classes


def _most_frequent(name: str, taxonomy: Taxonomy, sizes: "pd.Series[int]") -> str:
    return min(taxonomy.classes[name], key=lambda model: (-int(sizes.get(model, 0)), model))


def _check_names(photos: pd.DataFrame, refused: list[str]) -> None:
    for name in refused:
        listings = photos.loc[photos["corrected"] == name, "listing_uuid"].unique()
        raise InputError(
            f"{len(listings):,} listings, {listings[0]} for one, were corrected to '{shown(name)}', which the taxonomy "
            "has no rule for: add one, correct them to another name, or set unknown to keep or erase."
        )
