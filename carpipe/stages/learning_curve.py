"""Learning curve: which vehicles are learnt from where only a share of them is.

Whole vehicles, class by class, so that a share is a smaller dataset of the same kind. Shares are nested: what a
larger one adds is all that is different about it.
"""

import hashlib
import math
from collections.abc import Sequence
from itertools import pairwise

import pandas as pd

from carpipe.errors import InputError


def check_shares(shares: Sequence[float]) -> list[float]:
    """The shares in rising order.

    Raises:
        InputError: there is none, one is no number above 0 and up to 1, or one is there twice.
    """
    if isinstance(shares, str) or not isinstance(shares, Sequence) or not shares:
        raise InputError(f"A learning curve needs a list of shares, such as 0.25, 0.5 and 1; got {shares!r}.")
    for share in shares:
        is_number = isinstance(share, int | float) and not isinstance(share, bool)
        if not is_number or not 0 < share <= 1:
            raise InputError(f"A share of the photos is a number above 0 and up to 1, such as 0.25; got {share!r}.")
    found = sorted(float(share) for share in shares)
    for one, other in pairwise(found):
        if one == other:
            raise InputError(f"The share {one:g} is there twice; give each once.")
    return found


def choose_photos(photos: pd.DataFrame, share: float, *, seed: int) -> pd.DataFrame:
    """The training photos of a share of the vehicles, nearly the same share of every class and one vehicle at least.

    The choice depends on names and the seed alone, and neither on order nor on other vehicles' photos. A larger share
    has all vehicles of a smaller one.

    Args:
        photos: a row per training photo: `key`, `vehicle`, `class_name`.
        share: above 0 and up to 1.

    Returns:
        The rows of the chosen vehicles.

    Raises:
        InputError: so few vehicles are no more than the one that each class needs: that would be another share.
    """
    vehicles = photos[["vehicle", "class_name"]].drop_duplicates()
    classes, cars = vehicles["class_name"].nunique(), vehicles["vehicle"].nunique()
    if share * cars < classes:
        least = math.ceil(1000 * classes / cars) / 1000
        raise InputError(
            f"A share of {share:g} is {share * cars:.3g} of {cars:,} training vehicles, fewer than the {classes:,} "
            f"classes: some would have no photo. Give {least:g} or more."
        )
    order = vehicles["vehicle"].map(lambda name: hashlib.sha256(f"{seed} {name}".encode()).hexdigest())
    place = order.groupby(vehicles["class_name"]).rank(method="first")
    size = vehicles.groupby("class_name")["vehicle"].transform("size")
    # Half a vehicle counts as one.
    wanted = (share * size + 0.5).astype(int).clip(lower=1)
    return photos[photos["vehicle"].isin(vehicles.loc[place <= wanted, "vehicle"])]


def choose_all(photos: pd.DataFrame, shares: Sequence[float], *, seed: int) -> dict[float, pd.DataFrame]:
    """The training photos of each share, see `choose_photos`.

    Raises:
        InputError: what `check_shares` and `choose_photos` say, or two shares come to the same vehicles.
    """
    found: dict[float, pd.DataFrame] = {}
    sizes: dict[int, float] = {}
    for share in check_shares(shares):
        found[share] = choose_photos(photos, share, seed=seed)
        size = int(found[share]["vehicle"].nunique())
        if size in sizes:
            raise InputError(f"The shares {sizes[size]:g} and {share:g} come to the same {size:,} vehicles; drop one.")
        sizes[size] = share
    return found
