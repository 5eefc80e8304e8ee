"""Whether a model knows what a photo shows: found out while it is evaluated, on cars that the dataset has no class for.

Cars of models with too few photos, or that the taxonomy erases, have been cut out all the same. A part of them is read
and answered: half of these cars fit the rule, the other half judge it.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest
from carpipe.steps import results
from carpipe.steps.models.beside import Beside
from carpipe.steps.models.crops import read_each
from carpipe.steps.session import Session
from carpipe.weights import contract

if TYPE_CHECKING:
    import pandas as pd

    from carpipe.evaluation.likeness import Means
    from carpipe.evaluation.predictions import Predictions
    from carpipe.familiarity import Rule

log = logging.getLogger(__name__)

# The class means; in the model itself they are part of the network.
MEANS = "likeness.npz"
# Why the stage `classes` has dropped a car that no class is for.
REASONS = ("too_few_photos", "erased_class")
# Of the unknown cars, photos that fit the rule, and as many that judge it.
MAX_PHOTOS = 2000
# Partitions whose crops are read for them: one has up to 8,192 photos, some 120 MB.
MAX_PARTITIONS = 20
COLUMNS = ("key", "vehicle", "listing_uuid", "partition", "dropped", "dropped_by")


class Watch:
    """A predictor that keeps, of every photo, what it takes to tell whether the model knows it.

    Called with JPEGs it answers as `load_trained(energy=True)` does. `photos_of` must be asked after each split: for
    validation photos it also learns the class means.
    """

    def __init__(self, predict: Any, *, classes: int, years: bool = False):
        """Args:
        predict: JPEGs in; probabilities, energy and features out. Without features nothing is kept.
        years: keep the features for `features`, too.
        """
        self._predict, self._columns, self._kept = predict, classes + 1, list[Any]()
        self._features: list[Any] | None = [] if years else None
        self.means: Means | None = None

    def __call__(self, jpegs: list[bytes]) -> Any:
        found = self._predict(jpegs)
        if found.shape[1] > self._columns:
            features = found[:, self._columns :]
            if self._features is not None:
                self._features.append(features.astype("float16"))
            # Halves: 93,000 validation photos of 1,280 features take 240 MB.
            self._kept.append(self.means.of(features) if self.means else features.astype("float16"))
        return found[:, : self._columns]

    def photos_of(self, answers: "Predictions") -> "pd.DataFrame | None":
        """The photos that were answered since this was asked last, as `carpipe.evaluation.unknown` wants them."""
        import numpy as np

        from carpipe.evaluation.likeness import fit_means, likeness_apart

        if not self._kept:
            return None
        kept, self._kept = np.concatenate(self._kept), []
        if self.means is None:
            self.means = fit_means(kept, answers.truth, classes=len(answers.classes))
            kept = likeness_apart(self.means, kept, truth=answers.truth, vehicles=answers.photos["vehicle"])
        return _table(answers.photos, answers.p, kept)

    def features(self) -> Any:
        """The features (n, features) of photos that were answered since this was asked last; None: none were kept."""
        import numpy as np

        if not self._features:
            return None
        kept, self._features = np.concatenate(self._features), []
        return kept

    def look(self, jpegs: list[bytes]) -> dict[str, Any]:
        """`probabilities` of some photos, `likeness` where there are class means, and `features` where there are any.

        Nothing of it is kept.
        """
        found = self._predict(jpegs)
        answers, features = {"probabilities": found[:, : self._columns - 1]}, found[:, self._columns :]
        answers |= {"likeness": self.means.of(features)} if self.means else {}
        return answers | ({"features": features} if features.shape[1] else {})


@dataclass(frozen=True)
class Sight:
    """By what a packaged model tells known cars from others, outside of its network."""

    rule: "Rule"
    means: "Means"

    def wider(self, predict: Any, *, classes: int) -> Any:
        """JPEGs in; probabilities, energy and familiarity out: float32 (n, classes + 2).

        Args:
            predict: JPEGs in; probabilities, energy and features out.
        """
        import numpy as np

        width = classes + 1 + self.means.directions.shape[1]

        def look(jpegs: list[bytes]) -> Any:
            found = predict(jpegs)
            if found.shape[1] != width:
                raise InputError(
                    f"The model answers {found.shape[1]} numbers a photo; its classes and its class means are {width}."
                )
            likeness = self.means.of(found[:, classes + 1 :])
            familiarity = self.rule.familiarity(found[:, :classes], likeness)
            return np.column_stack([found[:, : classes + 1], familiarity])

        return look


def read_sight(session: Session, model: Manifest) -> Sight | None:
    """By what a packaged model tells known cars; None where it has no rule, or its evaluation is not there any more."""
    from carpipe.evaluation.likeness import from_npz

    rule = contract.read_known(model, partial(manifest.read_file, session.store, model))
    if rule is None or not model.inputs:
        return None
    try:
        judged = manifest.read(session.store, model.inputs[0])
        means = from_npz(manifest.read_file(session.store, judged, MEANS)) if MEANS in judged.files else None
    except MissingError as error:
        log.warning("How familiar photos are to %s cannot be told: %s", model.key, error)
        return None
    return Sight(rule, means) if means else None


def find_known(
    session: Session, data: Manifest, watch: Watch, *, val: "pd.DataFrame | None", test: "pd.DataFrame | None"
) -> Beside | None:
    """Fit the rule that tells known cars from others, and judge it; None where the network shows too little for that.

    Args:
        val, test: of `Watch.photos_of`.
    """
    if val is None or test is None or watch.means is None:
        return None
    from carpipe.evaluation import unknown

    refused = session.config.gate.known_refused
    fitting, judging, why = _unknown(session, data, watch)
    rule = unknown.fit_rule(val, fitting, refused=refused)
    if rule is None:
        return None
    found = unknown.judge(rule, val=val, test=test, unknown=judging, refused=refused)
    facts = {"refused": refused, "why": why, "said": unknown.describe(found, refused=refused), "figures": found}
    log.info("evaluate: %s %s", why, facts["said"])
    known = {**asdict(rule), **facts}
    files = {contract.KNOWN: results.to_json(known), MEANS: watch.means.to_npz()}
    shown = {"histogram": unknown.histogram(rule, test=test, unknown=judging)}
    return Beside(facts, files, shown, lambda _, looked: {"likeness": looked["likeness"]})


def choose_unknown(photos: "pd.DataFrame") -> "pd.DataFrame":
    """Photos of cars that are of no class of the dataset, with `fits`: whether they fit the rule or judge it.

    Cars are whole within the partitions that are looked at, and on one side. A car with another photo in the dataset is
    none of them. The choice depends on names alone.

    Args:
        photos: all rows of a dataset with `COLUMNS`.
    """
    import pandas as pd

    mine = photos[photos["dropped_by"].eq("classes") & photos["dropped"].isin(REASONS)]
    mine = mine[mine["vehicle"].notna() & mine["listing_uuid"].notna()]
    mine = mine[~mine["vehicle"].isin(photos.loc[photos["dropped"].isna(), "vehicle"])]
    order = {vehicle: _order(vehicle) for vehicle in mine["vehicle"].unique()}
    mine = mine.assign(order=mine["vehicle"].map(order))
    mine = mine.assign(fits=mine["order"].map(lambda number: number % 2 == 0))
    mine = mine[mine["partition"].isin(_partitions(mine))].sort_values(["order", "key"])
    sides = [_first_cars(mine[mine["fits"] == side]) for side in (True, False)]
    return pd.concat(sides).drop(columns="order").rename(columns={"dropped": "reason"})


def _unknown(
    session: Session, data: Manifest, watch: Watch
) -> tuple["pd.DataFrame | None", "pd.DataFrame | None", str]:
    """Cars of no class to fit the rule on and to judge it on, each None if there are too few; and a sentence."""
    from carpipe.evaluation.unknown import MIN_VEHICLES, can_calibrate

    try:
        chosen = choose_unknown(results.read_photos(session.store, data, columns=list(COLUMNS)))
        looks = _look_at(session, data, watch, chosen)
    except (InputError, MissingError) as error:
        return None, None, f"The weights are the fixed ones: crops of cars of no class cannot be read. {error}"
    fitting, judging = (looks[looks["fits"] == side] for side in (True, False))
    cars = int(fitting["vehicle"].nunique())
    if can_calibrate(fitting):
        why = f"The weights were fitted on {len(fitting):,} photos of {cars:,} cars of no class."
    else:
        why = f"The weights are the fixed ones: to fit them, {MIN_VEHICLES} cars of no class are wanted, got {cars}."
    found = [rows if can_calibrate(rows) else None for rows in (fitting, judging)]
    return found[0], found[1], why


def _look_at(session: Session, data: Manifest, watch: Watch, chosen: "pd.DataFrame") -> "pd.DataFrame":
    """The chosen photos whose crops can be read, with what the model sees in them."""
    import pandas as pd

    from carpipe.evaluation.unknown import COLUMNS as LOOKS

    found = []
    for rows, jpegs in read_each(session, data, chosen):
        answers = watch.look(jpegs)
        found.append(_table(rows, answers["probabilities"], answers["likeness"]))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=[*LOOKS, "reason", "fits"])


def _table(photos: "pd.DataFrame", p: Any, likeness: Any) -> "pd.DataFrame":
    from carpipe.familiarity import stand_out

    more = {"stand_out": stand_out(p), "likeness": likeness, "surest": p.max(axis=1)}
    return photos[[name for name in ("vehicle", "listing_uuid", "reason", "fits") if name in photos]].assign(**more)


def _partitions(photos: "pd.DataFrame") -> Sequence[str]:
    """Those to look at: so many that both sides are full, if that is possible."""
    sizes = photos.groupby(["partition", "fits"]).size().unstack(fill_value=0)
    sizes = sizes.loc[sorted(sizes.index, key=_order)[:MAX_PARTITIONS]]
    short = (sizes.cumsum().shift(fill_value=0) < MAX_PHOTOS).any(axis=1)
    return list(sizes.index[short])


def _first_cars(photos: "pd.DataFrame") -> "pd.DataFrame":
    """As many whole cars, in their order, as have `MAX_PHOTOS` together."""
    sizes = photos.groupby("order").size().cumsum()
    return photos[photos["order"].isin(sizes.index[sizes <= MAX_PHOTOS])]


def _order(name: str) -> int:
    return int(hashlib.sha256(name.encode()).hexdigest()[:15], 16)
