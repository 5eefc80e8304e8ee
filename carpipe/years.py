"""Of which year a car is: an interval of years beside the class, the same for those who judge and for apps.

A network says by how many years a photo looks newer than the photos of all classes do on average. What that means of a
class, its row says: the year of such a photo, how far true years are from it, and which years the class has at all.
`carpipe.evaluation.years` fits it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ClassYears:
    """What is known of one class.

    Attributes:
        offset: the year of a photo that looks neither newer nor older than all photos on average.
        within: years to either side of the best guess that hold the wanted share of cars.
        first, last: the years that the dataset has of the class.
    """

    offset: float
    within: float
    first: int
    last: int

    def interval(self, newer: float) -> tuple[int, int]:
        """First and last year of a photo that looks so many years newer, or of the mean of a listing's photos.

        Whole years no farther than `within` from the guess, and of these the ones that the class has. Where there is
        none, the year that the class has and that is nearest to the guess.
        """
        guess = self.offset + newer
        first, last = math.ceil(guess - self.within), math.floor(guess + self.within)
        if first > last:
            first = last = round(guess)
        return min(max(first, self.first), self.last), max(min(last, self.last), self.first)


@dataclass(frozen=True)
class YearRule:
    """How a model tells years: by class name. A class that is not there has no year to tell."""

    classes: Mapping[str, ClassYears]

    def interval(self, class_name: str, newer: float) -> tuple[int, int] | None:
        """First and last year of a car that was taken for that class; see `ClassYears.interval`."""
        known = self.classes.get(class_name)
        return known.interval(newer) if known else None
