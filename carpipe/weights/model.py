"""A published model as apps have it: verified, in memory, ready to say what pictures show. `client` hands it out."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from carpipe.errors import InputError
from carpipe.familiarity import Numbers, Rule
from carpipe.pictures.model_input import Pixels, to_batch
from carpipe.probabilities import Probabilities, calibrate
from carpipe.viewpoints import Told
from carpipe.weights.contract import CropPolicy
from carpipe.weights.members import ClassChanges, Members, class_changes
from carpipe.weights.runtime import Network
from carpipe.years import YearRule

TOP = 5


@dataclass(frozen=True)
class Answer:
    """What a model says of one picture. Scores are calibrated probabilities; `top` holds the five best.

    `sure` is whether the best score reaches the model's threshold. `known` is whether the picture shows a car of any of
    its classes: if not, the name means nothing, however high its score. `familiarity` is what that was decided by, in
    standard deviations: 0 is a photo of a known car as they are on average. Both are None where the model does not say.
    `years` are the first and the last year that the car is likely to be of; None where the model does not say, or where
    the car is not known.
    """

    name: str
    score: float
    sure: bool
    top: tuple[tuple[str, float], ...]
    known: bool | None = None
    familiarity: float | None = None
    years: tuple[int, int] | None = None


class Seen(NamedTuple):
    """What a model sees in n pictures: calibrated probabilities (n, classes), and (n,) what `describe` takes of each.

    `familiarity` and `newer` are None where the model does not say them.
    """

    probabilities: Probabilities
    familiarity: Numbers | None
    newer: Numbers | None


@dataclass(frozen=True)
class Model:
    """A verified model, ready to predict. Immutable, and safe to share between threads and with forks.

    It can be pickled: another process on this machine loads the network anew from `folder`.

    Attributes:
        channel, generation: the release that named it.
        id: of the model; two models with one id are the same.
        classes: names in the order of the output.
        side: pixels of the square that pictures are stretched to.
        temperature, threshold: calibration; see `contract`.
        known: how cars that it knows are told from others; None: it does not say.
        years: how the years of a class are told; None: it does not say.
        members: the car models of each class, with their photos: class -> model -> photos. None: it does not say.
        views: from where photos show a car, as a car filter tells; None: it does not say.
        folder: its files on local disk.
        crop: how photos are cut before; None where the model takes whole photos.
        deviation: how far its answers on the golden pictures are off, at worst.
        signed_by: id of the trusted key that has signed it, with the name in its certificate; empty where none was
            asked for.
        instead: why the live model could not be had, where this is the one that was verified here before; else empty.
    """

    channel: str
    generation: int
    id: str
    classes: tuple[str, ...]
    side: int
    temperature: float
    threshold: float
    folder: Path
    crop: CropPolicy | None
    known: Rule | None
    years: YearRule | None
    views: Told | None
    deviation: float
    signed_by: str
    _network: Network = field(repr=False, compare=False)
    instead: str = ""
    members: Members | None = None

    def changes_since(self, before: "Model") -> ClassChanges | None:
        """What became of the classes of another model of the channel, such as the one that an app runs.

        Whatever was trained, refused or live between them. None where one of them does not say what is in its classes.
        """
        if before.members is None or self.members is None:
            return None
        return class_changes(before.members, self.members)

    def run_by(self, xml: Path) -> "Model":
        """The same, with the network of another file in the place of its own: one that was made of it.

        Raises:
            InputError: OpenVINO cannot read it.
        """
        return replace(self, _network=Network(xml))

    def predict(self, pictures: Pixels) -> Probabilities:
        """Calibrated probabilities, float32 (n, classes), of pictures uint8 (n, side, side, 3) in RGB.

        Raises:
            InputError: the pictures have another type or shape.
        """
        return self.look(pictures)[0]

    def look(self, pictures: Pixels) -> tuple[Probabilities, Numbers | None]:
        """Probabilities as `predict` gives them, and the familiarity (n,); None where the model does not say it.

        `describe` takes a row of both. Of a listing, it takes the `probabilities.pool` and the mean.

        Raises:
            InputError: the pictures have another type or shape.
        """
        seen = self.see(pictures)
        return seen.probabilities, seen.familiarity

    def see(self, pictures: Pixels) -> Seen:
        """All that the model sees in pictures; `describe` takes a row of it. Of a listing it takes the means.

        Raises:
            InputError: the pictures have another type or shape.
        """
        self._check(pictures)
        if not len(pictures):
            none = np.zeros(0, np.float32)
            return Seen(np.zeros((0, len(self.classes)), np.float32), none if self.known else None,
                        none if self.years else None)  # fmt: skip
        found = self._network.run(pictures)
        p, likeness = found.probabilities, found.likeness
        familiarity = self.known.familiarity(p, likeness) if self.known and likeness is not None else None
        return Seen(calibrate(p, self.temperature), familiarity, found.year if self.years else None)

    def look_round(self, pictures: Pixels) -> tuple[Probabilities, Probabilities | None]:
        """Probabilities as `predict` gives them, and of each of `views.names` (n, views); None without `views`.

        Raises:
            InputError: the pictures have another type or shape.
        """
        if self.views is None or not len(pictures):
            none = None if self.views is None else np.zeros((0, len(self.views.names)), np.float32)
            return self.predict(pictures), none
        self._check(pictures)
        found = self._network.run(pictures)
        return calibrate(found.probabilities, self.temperature), found.views

    def answer(self, crops: Sequence[bytes]) -> list[Answer]:
        """The five best classes of each picture, given as JPEG and cut as `crop` says.

        Raises:
            InputError: one of them is no JPEG.
        """
        if not crops:
            return []
        try:
            pictures = to_batch(crops, self.side)
        except UnidentifiedImageError:
            raise InputError("A picture cannot be decoded as JPEG: it is none.") from None
        except (OSError, Image.DecompressionBombError) as error:
            raise InputError(f"A picture cannot be decoded as JPEG: {error}.") from None
        seen = self.see(pictures)
        none = [None] * len(pictures)
        familiarity, newer = (none if one is None else map(float, one) for one in (seen.familiarity, seen.newer))
        return [
            self.describe(row, familiarity=known, newer=new)
            for row, known, new in zip(seen.probabilities, familiarity, newer, strict=True)
        ]

    def _check(self, pictures: Pixels) -> None:
        if pictures.dtype != np.uint8 or pictures.shape[1:] != (self.side, self.side, 3):
            raise InputError(f"The model takes uint8 (n, {self.side}, {self.side}, 3), not {_shape(pictures)}.")

    def describe(
        self,
        probabilities: Probabilities,
        *,
        familiarity: float | None = None,
        newer: float | None = None,
        photos: int = 1,
    ) -> Answer:
        """Name the best of one row of probabilities.

        Args:
            familiarity, newer: of the picture, or the mean of so many `photos` of one listing; None: not said.
        """
        best = np.argsort(-probabilities, kind="stable")[:TOP]
        top = tuple((self.classes[number], float(probabilities[number])) for number in best)
        known = None
        if self.known and familiarity is not None:
            known = self.known.is_known(familiarity, photos=photos)
        years = None
        if self.years and newer is not None and known is not False:
            years = self.years.interval(top[0][0], newer)
        sure = top[0][1] >= self.threshold
        familiarity = None if known is None else familiarity
        return Answer(*top[0], sure=sure, top=top, known=known, familiarity=familiarity, years=years)


def _shape(pictures: Pixels) -> str:
    return json.dumps([str(pictures.dtype), list(pictures.shape)])
