"""Quantize: the detector and the car filter in 8-bit numbers, calibrated and checked on photos of the bucket.

A processor works on them faster (benchmarks/detection.py, benchmarks/car_filter.py). What comes out is another network,
with boxes or scores of its own, so it is made once and kept: all partitions are looked at by the same one.
"""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from carpipe.config import CropConfig
from carpipe.errors import InputError
from carpipe.pictures.detection import int8
from carpipe.pictures.detection.detector import Detector, for_openvino
from carpipe.pictures.detection.int8 import Agreement

VERSION = 1
STAGE = "quantize"

# Photos that ranges are taken from, and others that both detectors look at.
CALIBRATED, CHECKED = 128, 400
CHECKED_BY_FILTER, MIN_CHECKED_BY_FILTER = 2000, 200  # it is quick
# Fewer with a vehicle on them say nothing.
MIN_CHECKED = 50
# Of the photos with a vehicle, those on which both must find the same box.
MIN_SAME = 0.99
# Of all photos, those on which both filters must decide alike, and see the same view. The others are such as it was not
# sure of: on 916 real ones 1.6 % changed sides, and about as many of them were right before as are now.
MIN_ALIKE = 0.97


class Quantized(NamedTuple):
    """Files of an OpenVINO folder, and how it agrees with the detector that it was made of."""

    files: dict[str, bytes]
    agreement: Agreement


def quantize(weights: Path, look: Callable[[], Iterable[tuple[str, Image.Image]]], *, config: CropConfig) -> Quantized:
    """Make and check it.

    Args:
        weights: a detector that OpenVINO runs, or that is converted for it.
        look: gives photo keys and RGB pictures, `CALIBRATED + CHECKED` or as many as there are; they are looked at
            twice, so that they need not be held.
        config: as the detector will be used.

    Raises:
        InputError: it cannot be done with this detector, or there are too few photos with a vehicle on them.
    """
    pictures = iter(look())
    with tempfile.TemporaryDirectory(prefix="carpipe-int8-") as scratch:
        folder = Path(scratch) / "detector_int8"
        with for_openvino(weights, config=config) as file:
            before = Detector(weights, config=config)
            placed = int8.place(file, (one for _, one in islice(pictures, CALIBRATED)), config=config)
            expected = {key: before.largest([one])[0] for key, one in pictures}
            _check_enough(sum(one is not None for one in expected.values()))
            int8.quantize(file, placed, config=config, folder=folder)
        after = Detector(folder, config=config)
        again = ((key, one) for key, one in look() if key in expected)
        agreement = int8.compare((expected[key], after.largest([one])[0]) for key, one in again)
        return Quantized({file.name: file.read_bytes() for file in folder.iterdir()}, agreement)


def _check_enough(vehicles: int) -> None:
    if vehicles < MIN_CHECKED:
        raise InputError(
            f"A vehicle is on {vehicles} of the photos that a detector in 8-bit numbers is checked on, expected "
            f'{MIN_CHECKED} at least; set crop.runtime = "openvino" until there are more.'
        )


def check(agreement: Agreement, *, made: str) -> None:
    """Refuse a detector that finds other vehicles than the one that it was made of.

    Args:
        made: manifest key of what made it.

    Raises:
        InputError: it does.
    """
    if agreement.share < MIN_SAME:
        raise InputError(
            f"In 8-bit numbers the detector finds the same vehicle on {agreement.same} of {agreement.found} photos "
            f'({agreement.share:.1%}), expected {MIN_SAME:.0%}; set crop.runtime = "openvino". {_again(made)}'
        )


class Judged(NamedTuple):
    """What a car filter and the one made of it say of a photo: p(car), and the likeliest view, if they tell views."""

    p_car: tuple[float, float]
    view: tuple[str | None, str | None]


def check_enough(photos: int) -> None:
    """Raise InputError where so many cannot calibrate and check a car filter."""
    if photos < CALIBRATED + MIN_CHECKED_BY_FILTER:
        raise InputError(
            f"{photos} photos are there to make a car filter in 8-bit numbers of, expected "
            f'{CALIBRATED + MIN_CHECKED_BY_FILTER} at least; set filter.runtime = "openvino" until there are more.'
        )


def check_filter(judged: Sequence[Judged], *, threshold: float, made: str) -> None:
    """Refuse a car filter that keeps other photos than the one that it was made of, or sees them from elsewhere.

    Args:
        threshold: of p(car), from which on photos are kept.
        made: manifest key of what made it.

    Raises:
        InputError: it does.
    """
    kept = sum((before >= threshold) == (after >= threshold) for (before, after), _ in judged)
    seen = sum(before == after for _, (before, after) in judged)
    for same, what in ((kept, "decides the same"), (seen, "tells the same view")):
        if same < MIN_ALIKE * len(judged):
            raise InputError(
                f"In 8-bit numbers the car filter {what} on {same} of {len(judged)} photos ({same / len(judged):.1%}), "
                f'expected {MIN_ALIKE:.0%}; set filter.runtime = "openvino". {_again(made)}'
            )


def _again(made: str) -> str:
    return f"Where the bucket has grown since, delete {made}: it is made of other photos then."
