"""Answers on cars that a model was not trained on, by photo and by car: what advice on classes is drawn from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from carpipe.errors import InputError
from carpipe.evaluation.top_answers import TopAnswers
from carpipe.probabilities import LISTING_FLOOR, log_probabilities

COLUMNS = ("key", "vehicle", "model", "class_name")


@dataclass(frozen=True)
class Unseen:
    """A row per photo, and a row per car.

    Attributes:
        photos: `key`, `vehicle`, `model`, `class_name` (the truth) and `answer`.
        cars: `vehicle`, `class_name`, `model` (the name that most of its photos have), `photos` (how many) and
            `answer` (of its photos together). A car whose photos are of two classes has a row in each.
        classes: names of the model's classes.
    """

    photos: pd.DataFrame
    cars: pd.DataFrame
    classes: tuple[str, ...]


def gather(parts: Sequence[TopAnswers]) -> Unseen:
    """Put the kept answers of several splits together, and let the photos of a car answer as one.

    A car's answer is the class of the largest mean log-probability of its photos, as apps pool a listing
    (`probabilities.pool`). Of a photo the likeliest classes are known; any other counts with the least score of all.

    Args:
        parts: answers of one model; `photos` has the columns `COLUMNS`.

    Raises:
        InputError: there are none, they are of different classes, a column is missing, or a truth is no class.
    """
    classes = _one_list(parts)
    photos = pd.concat([part.photos.assign(answer=part.answer) for part in parts], ignore_index=True)
    if missing := [name for name in COLUMNS if name not in photos]:
        raise InputError(f"Advice needs the columns {', '.join(COLUMNS)} of each photo; the answers lack {missing}.")
    if photos.empty:
        raise InputError("There are no answers to draw advice from: no car is in the validation or the test split.")
    if unknown := sorted(set(photos["class_name"]) - set(classes)):
        raise InputError(f"The model does not know {len(unknown)} classes of the photos, such as {unknown[0]}.")
    groups = photos.groupby(["vehicle", "class_name"], sort=True)
    answers = _pooled(parts, groups.ngroup().to_numpy(), classes=len(classes))
    cars = groups.size().rename("photos").reset_index().assign(model=_most(photos))
    cars["answer"] = np.array(classes, dtype=object)[answers]
    return Unseen(photos[[*COLUMNS, "answer"]], cars, classes)


def _one_list(parts: Sequence[TopAnswers]) -> tuple[str, ...]:
    lists = {part.classes for part in parts}
    if len(lists) != 1:
        raise InputError(f"Advice is drawn from the answers of one model; got {len(lists)} lists of classes.")
    return lists.pop()


def _pooled(parts: Sequence[TopAnswers], unit: NDArray[Any], *, classes: int) -> NDArray[np.intp]:
    """Number of the class that the photos of each car answer together; of equally likely ones the first."""
    numbers = np.concatenate([part.numbers.ravel() for part in parts]).astype(np.int64)
    # Above the floor, so that a class that a photo does not name adds nothing.
    worth = np.concatenate([log_probabilities(part.p.astype(np.float32), LISTING_FLOOR).ravel() for part in parts])
    worth -= np.log(LISTING_FLOOR)
    widths = np.concatenate([np.full(len(part.numbers), part.numbers.shape[1]) for part in parts])
    cell, place = np.unique(np.repeat(unit, widths) * classes + numbers, return_inverse=True)
    totals = np.bincount(place, weights=worth)
    order = np.lexsort((cell % classes, -totals, cell // classes))
    first = np.unique(cell[order] // classes, return_index=True)[1]
    return np.asarray(cell[order][first] % classes)


def _most(photos: pd.DataFrame) -> NDArray[Any]:
    """Per car, in order, the model that most of its photos have; of equally many the first by name."""
    sizes = photos.groupby(["vehicle", "class_name", "model"]).size().rename("photos").reset_index()
    sizes = sizes.sort_values(["vehicle", "class_name", "photos", "model"], ascending=[True, True, False, True])
    return sizes.drop_duplicates(["vehicle", "class_name"])["model"].to_numpy()
