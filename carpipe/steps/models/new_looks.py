"""Which of the listings that may be new look alike: the live model sees them, and some that it knows, once more."""

import hashlib
import logging
from typing import TYPE_CHECKING, Any

from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest
from carpipe.steps.models.answers import load_trained
from carpipe.steps.models.crops import read_each
from carpipe.steps.models.unknown import read_sight
from carpipe.steps.session import Session

if TYPE_CHECKING:
    import pandas as pd

    from carpipe.evaluation.look_alikes import Group

log = logging.getLogger(__name__)

# Photos of a listing that are looked at: some 20 a second on two cores.
PHOTOS = 2
Found = tuple[list["Group"], "pd.DataFrame", list[str]]


def find_look_alikes(
    session: Session, data: Manifest, live: Manifest, *, photos: "pd.DataFrame", listings: "pd.DataFrame"
) -> Found:
    """Groups of listings; the listings that their numbers mean; and why there may be none, in sentences.

    Args:
        photos: those of the dataset that count: `key`, `partition`, `listing_uuid`.
        listings: new ones, see `carpipe.evaluation.new_names.pool_listings`.
    """
    from carpipe.evaluation import look_alikes

    unknown, usual = look_alikes.may_be_new(listings)
    notes = []
    if len(unknown) > (most := look_alikes.MAX_LISTINGS):
        notes.append(f"{len(unknown):,} listings may be new; the {most:,} least familiar are compared.")
    unknown = unknown.head(most)
    if len(unknown) < look_alikes.MIN_LISTINGS or unknown["model"].nunique() < look_alikes.MIN_NAMES:
        return [], unknown, notes
    known = _reference(listings, most=look_alikes.REFERENCE)
    try:
        directions = _directions(session, data, live, photos, [*unknown["listing"], *known.index])
    except (InputError, MissingError) as error:
        return [], unknown, [*notes, f"Which listings look alike cannot be told. {error}"]
    limit = look_alikes.limit_of(*_rows(directions, known.index, known))
    if limit is None:
        return [], unknown, [*notes, "Too few new listings are of known classes to tell what looking alike means."]
    unknown = unknown[unknown["listing"].isin([*directions])]
    rows, names = _rows(directions, unknown["listing"], unknown["model"])
    familiarity = unknown["familiarity"].to_numpy(float)
    return look_alikes.find_groups(rows, names, familiarity, usual=usual, limit=limit), unknown, notes


def _rows(directions: dict[str, Any], listings: Any, names: "pd.Series[str]") -> tuple[Any, list[str]]:
    """Directions of listings as an array, with the name of each, of those that were seen."""
    import numpy as np

    pairs = [(directions[one], name) for one, name in zip(listings, names, strict=True) if one in directions]
    return np.array([row for row, _ in pairs]), [str(name) for _, name in pairs]


def _reference(listings: "pd.DataFrame", *, most: int) -> "pd.Series[str]":
    """The class of some new listings that the model answers rightly, of classes with several of them."""
    right = listings["has_class"].astype(bool) & (listings["answer"] == listings["class_name"])
    named = listings[right].set_index("listing")["answer"]
    named = named[named.groupby(named).transform("size") > 1]
    # By a hash, so that another night takes mostly the same.
    order = sorted(named.index, key=lambda one: hashlib.sha256(one.encode()).hexdigest())
    return named.loc[order[:most]]


def _directions(
    session: Session, data: Manifest, live: Manifest, photos: "pd.DataFrame", wanted: list[str]
) -> dict[str, Any]:
    """By listing where it lies in the live model's features; listings without a readable crop are left out.

    Raises:
        InputError: the model has no features that can be compared.
    """
    import numpy as np
    import pandas as pd

    from carpipe.evaluation.look_alikes import directions_of

    sight = read_sight(session, live)
    if sight is None:
        raise InputError(f"{live.key} does not say which cars it knows.")
    mine = photos[photos["listing_uuid"].isin(wanted)].sort_values(["listing_uuid", "key"])
    mine = mine.groupby("listing_uuid").head(PHOTOS)
    classes, predict = len(live.extra["classes"]), load_trained(session.store, live, energy=True, features=True)
    seen, of = [], list[str]()
    for rows, jpegs in read_each(session, data, mine):
        seen.append(predict(jpegs)[:, classes + 1 :].astype(np.float16))
        of.extend(rows["listing_uuid"])
    if not seen:
        return {}
    features = np.concatenate(seen)
    if features.shape[1] != len(sight.means.middle):
        raise InputError(f"{live.key} has {features.shape[1]} features, its class means {len(sight.means.middle)}.")
    number, names = pd.factorize(pd.Series(of))
    return dict(zip(names, directions_of(features, sight.means.middle, number), strict=True))
