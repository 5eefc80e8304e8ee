"""What a model answers on the photos of a split, beside the truth: the input of everything in this package."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from carpipe.errors import InputError

COLUMNS = ("key", "vehicle", "listing_uuid", "model", "class_name")


@dataclass(frozen=True)
class Predictions:
    """One row per photo, and the model's probabilities for it.

    Attributes:
        photos: `key`, `vehicle`, `listing_uuid`, `model` and `class_name`, which is the truth.
        p: float (photos, classes): the model's softmax output, a row per row of `photos`.
        classes: names in the order of the output.

    Raises:
        InputError: there are no photos, a column is missing, shapes differ, or a truth is not among the classes.
    """

    photos: pd.DataFrame
    p: NDArray[np.float32]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.photos.empty:
            raise InputError("There are no photos to judge a model on; the dataset needs more vehicles.")
        if missing := [name for name in COLUMNS if name not in self.photos]:
            raise InputError(f"An evaluation needs the columns {', '.join(COLUMNS)}; the photo table lacks {missing}.")
        wanted = (len(self.photos), len(self.classes))
        if self.p.shape != wanted:
            raise InputError(f"The model's answers are {self.p.shape}, expected (photos, classes) = {wanted}.")
        if not np.isfinite(self.p).all():
            raise InputError("Some of the model's answers are not numbers; its weights are broken, train it anew.")
        if unknown := sorted(set(self.photos["class_name"]) - set(self.classes)):
            raise InputError(f"The model does not know {len(unknown)} classes of the photos, such as {unknown[0]}.")

    @cached_property
    def truth(self) -> NDArray[np.intp]:
        """Number of the right class, per photo."""
        return pd.Index(self.classes).get_indexer(pd.Index(self.photos["class_name"]))

    @cached_property
    def answer(self) -> NDArray[np.intp]:
        """Number of the class that the model finds most likely, per photo."""
        return np.asarray(self.p.argmax(axis=1))

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """Whether that is the right one."""
        return np.asarray(self.answer == self.truth)

    def table(self) -> pd.DataFrame:
        """The photos with `answer`, its probability as `score`, and `correct`: a row per photo, no matrix."""
        names = np.array(self.classes, dtype=object)
        return self.photos.assign(answer=names[self.answer], score=self.p.max(axis=1), correct=self.correct)
