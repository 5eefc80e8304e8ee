"""A small good dataset, made of a photo table as the stages leave it."""

from pathlib import Path

import pandas as pd
import pytest

from carpipe.stages.funnel import funnel
from carpipe.stages.split import tables as split_tables
from carpipe.validation.validate import Limits, Verdict, validate_tables

Tables = dict[str, pd.DataFrame]

CLASSES = ("audi_a1", "fiat_500", "seat_mii")
VEHICLES = {  # per class: (train, val, test)
    "audi_a1": (14, 3, 3),
    "fiat_500": (14, 3, 3),
    "seat_mii": (1, 1, 1),
}


def draw_photos() -> pd.DataFrame:
    """86 kept photos, two of each vehicle, and four that stages dropped."""
    rows = [
        (name, f"{name}-{split}-{number}", split, None, None)
        for name, numbers in VEHICLES.items()
        for split, vehicles in zip(("train", "val", "test"), numbers, strict=True)
        for number in range(vehicles)
        for _ in range(2)
    ]
    rows += [
        ("audi_a1", "audi_a1-parts", None, "not_a_car", "filter"),
        ("audi_a1", "audi_a1-parts", None, "no_vehicle", "crop"),
        ("fiat_500", "fiat_500-late", None, "over_cap", "classes"),
        ("fiat_500", "fiat_500-mixed", None, "other_class", "split"),
    ]
    photos = pd.DataFrame(rows, columns=["model", "vehicle", "split", "dropped", "dropped_by"])
    ids = photos.index.astype("str")
    return photos.assign(
        key="raw/" + photos["model"] + "_2010/" + ids + ".jpg",
        etag="etag",
        sha256="sha-" + ids,
        listing=photos.index // 2,
        listing_uuid="listing-" + photos["vehicle"],
        class_name=photos["model"],
        p_car=photos["dropped"].map({"not_a_car": 0.2}).fillna(0.9),
        box=[[10.0, 20.0, 300.0, 240.0]] * len(photos),
        box_score=0.8,
        width=320,
        height=240,
    )


def to_tables(photos: pd.DataFrame) -> Tables:
    """All that is validated, made from the photo table."""
    return {**split_tables(photos), "audit": photos[photos["split"].notna()].copy(), "photos": photos}


FUNNEL = tuple(funnel(draw_photos()))
LIMITS = Limits(
    class_tolerance=0.12, min_photos=6, max_photos=40, funnel=FUNNEL, previous_funnel=FUNNEL, funnel_tolerance=0.1
)


def validate(tables: Tables, folder: Path, *, classes: tuple[str, ...] = CLASSES, limits: Limits = LIMITS) -> Verdict:
    return validate_tables(tables, classes=classes, limits=limits, folder=folder)


@pytest.fixture
def tables() -> Tables:
    return to_tables(draw_photos())
