"""The numbers that a dataset is held against."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from carpipe.errors import InputError


@dataclass(frozen=True)
class Limits:
    """What is asked of a dataset; the defaults are the published rules and shares.

    A funnel is a tuple of entries, one per stage, with at least `stage`, `in` and `kept` (photos).
    """

    shares: tuple[float, float, float] = (0.70, 0.15, 0.15)  # of photos in train, val, test
    split_tolerance: float = 0.02  # of all photos: how far a split's share may be from its quota
    class_tolerance: float = 0.05  # the same, of the photos of one class
    min_photos: int = 150  # of a model, before the cap and the split
    max_photos: int = 1500  # of a model in the dataset; 0: no cap
    threshold: float = 0.7  # p(car) of a kept photo, at least
    funnel: tuple[Mapping[str, Any], ...] = ()  # of this dataset
    previous_funnel: tuple[Mapping[str, Any], ...] | None = None  # of the one before; None: there is none
    funnel_tolerance: float = 0.10  # how far a stage's kept share may be from the previous one

    def __post_init__(self) -> None:
        if self.previous_funnel is not None and not self.funnel:
            raise InputError("there is a previous funnel, but none of this dataset to compare with it")
