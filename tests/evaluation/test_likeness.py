"""How much a photo is like the photos of a class, by its features."""

import numpy as np
import pandas as pd
import pytest

from carpipe.evaluation import likeness as module
from carpipe.evaluation.likeness import MIDDLE, fit_means, from_npz, likeness_apart

RNG = np.random.default_rng(2)
CLASSES, CARS, PHOTOS, SIZE = 4, 5, 3, 16
CENTRES = RNG.normal(0, 1, (CLASSES, SIZE)) + 2
TRUTH = np.repeat(np.arange(CLASSES), CARS * PHOTOS)
VEHICLES = pd.Series(np.repeat(np.arange(CLASSES * CARS), PHOTOS).astype(str))
FEATURES = (CENTRES[TRUTH] + RNG.normal(0, 0.5, (CLASSES * CARS, SIZE)).repeat(PHOTOS, axis=0)).astype(np.float16)


def by_hand(features, truth, photo, classes=CLASSES):
    middle = MIDDLE * FEATURES.astype(float).mean(axis=0)
    cosines = []
    for number in range(classes):
        if (mine := features[truth == number].astype(float)).size:
            one, other = mine.mean(axis=0) - middle, photo.astype(float) - middle
            cosines.append(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
    return max(cosines)


def test_it_is_the_cosine_to_the_nearest_class_mean():
    means = fit_means(FEATURES, TRUTH, classes=CLASSES)
    photos = RNG.normal(1, 1, (7, SIZE)).astype(np.float32)

    assert means.of(photos) == pytest.approx([by_hand(FEATURES, TRUTH, photo) for photo in photos], abs=1e-5)
    assert means.of(photos[:0]).shape == (0,)


@pytest.mark.parametrize("rows", [7, 8192])
def test_a_car_is_held_against_means_that_it_is_no_part_of(rows, monkeypatch):
    monkeypatch.setattr(module, "ROWS", rows)
    means = fit_means(FEATURES, TRUTH, classes=CLASSES)

    found = likeness_apart(means, FEATURES, truth=TRUTH, vehicles=VEHICLES)

    expected = [
        by_hand(FEATURES[VEHICLES.ne(vehicle)], TRUTH[VEHICLES.ne(vehicle)], photo)
        for vehicle, photo in zip(VEHICLES, FEATURES, strict=True)
    ]
    assert found == pytest.approx(expected, abs=1e-4)
    assert found.mean() < means.of(FEATURES).mean() - 0.005


def test_a_class_of_one_car_and_one_without_a_photo_are_no_error():
    truth = np.where(VEHICLES == "0", 4, TRUTH)
    means = fit_means(FEATURES, truth, classes=6)

    found = likeness_apart(means, FEATURES, truth=truth, vehicles=VEHICLES)

    assert np.isfinite(means.directions).all()
    assert (means.directions[5] == 0).all()
    assert found[:PHOTOS] == pytest.approx(
        [by_hand(FEATURES[PHOTOS:], truth[PHOTOS:], photo, 6) for photo in FEATURES[:PHOTOS]], abs=1e-4
    )


def test_a_file_has_the_same_means():
    means = fit_means(FEATURES, TRUTH, classes=CLASSES)
    again = from_npz(means.to_npz())

    np.testing.assert_array_equal(again.middle, means.middle)
    np.testing.assert_array_equal(again.directions, means.directions)
