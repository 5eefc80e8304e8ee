"""Of which year a car is: found out while a model is evaluated, from the years that the folders of its photos name.

That needs neither another training nor another look at a photo: the features of validation photos are at hand.
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from carpipe.manifest import Manifest
from carpipe.steps import results
from carpipe.steps.models.beside import Beside
from carpipe.steps.session import Session
from carpipe.weights import contract

if TYPE_CHECKING:
    import pandas as pd

    from carpipe.evaluation.predictions import Predictions
    from carpipe.evaluation.years import Fitted
    from carpipe.years import YearRule

log = logging.getLogger(__name__)

# The direction in the features; in the model itself it is part of the network.
HEAD = "years.npz"
COLUMNS = ("key", "vehicle", "class_name", "year", "split", "dropped")


def year_share(session: Session, trained: Manifest) -> float:
    """The share of cars whose year an interval shall hold; 0: the model tells no years, as a car filter never does."""
    return session.config.classifier.year_share if trained.partition == "classifier" else 0.0


def find_years(
    session: Session,
    data: Manifest,
    *,
    share: float,
    val: "tuple[Predictions, Any]",
    test: "tuple[Predictions, Any]",
) -> Beside:
    """Fit what tells the year of a car, and judge it; a sentence says why, where there is too little for that.

    Args:
        share: of cars whose year the interval shall hold.
        val, test: answers, and the features of each photo; None where the network has none.
    """
    from carpipe.evaluation.years import MIN_VEHICLES, fit_years

    cars = _cars_of_one_year(results.read_photos(session.store, data, columns=list(COLUMNS)))
    built = _built(cars[cars["split"] != "test"])
    several = {name for name, years in built.items() if years[0] < years[-1]}
    fitting, features = _with_years(*val, cars)
    enough = int(fitting.loc[fitting["class_name"].isin(several), "vehicle"].nunique())
    if features is None:
        return _none("the network ends in no layer that years could be told from")
    if enough < MIN_VEHICLES:
        return _none(f"{MIN_VEHICLES} validation cars of classes with several years are wanted, got {enough}")
    fitted = fit_years(features, fitting, built=built, share=share)
    if fitted is None:
        return _none("too many validation cars are taken for a class that was not built in their year")
    facts = {"share": share, **_judge(fitted, test, cars, built=built, share=share)}
    log.info("evaluate: years: %s", facts["said"])
    files = {contract.YEARS: _as_json(fitted.rule, facts), HEAD: fitted.head.to_npz()}
    return Beside(facts, files, outputs=lambda _, looked: {"year": fitted.head.newer(looked["features"])})


def _judge(
    fitted: "Fitted",
    test: "tuple[Predictions, Any]",
    cars: "pd.DataFrame",
    *,
    built: Mapping[str, Any],
    share: float,
) -> dict[str, Any]:
    """Its `figures` on test cars, and what is `said` of them."""
    from carpipe.evaluation.metrics import judge_listings
    from carpipe.evaluation.year_figures import describe, judge_years

    photos, features = _with_years(*test, cars)
    listings = judge_listings(test[0])
    # Of an even number of cars the older one of the two: a year that there is.
    medians = {name: float(years[(len(years) - 1) // 2]) for name, years in built.items()}
    found = judge_years(fitted.rule, fitted.head.newer(features), photos, medians=medians, listings=listings)
    said = describe(found, share=share)
    if not fitted.head.weights.any():
        said = f"Photos say nothing of the year beside the class: the class alone decides. {said}"
    return {"said": said, "figures": found}


def _none(why: str) -> Beside:
    said = f"The model tells no years: {why}."
    log.warning("evaluate: %s", said)
    return Beside({"said": said})


def _as_json(rule: "YearRule", facts: dict[str, Any]) -> bytes:
    return results.to_json({"classes": {name: asdict(one) for name, one in rule.classes.items()}, **facts})


def _cars_of_one_year(photos: "pd.DataFrame") -> "pd.DataFrame":
    """The photos of a dataset that count: a car whose photos lie in folders of several years has no year."""
    photos = photos[photos["dropped"].isna() & photos["split"].notna() & photos["year"].notna()]
    counts = photos.groupby("vehicle")["year"].transform("nunique")
    return photos[counts == 1]


def _built(photos: "pd.DataFrame") -> dict[str, Any]:
    """The years of the cars of each class, sorted."""
    cars = photos.drop_duplicates("vehicle").sort_values("year").groupby("class_name")["year"]
    return {str(name): years.to_numpy("int64") for name, years in cars}


def _with_years(answers: "Predictions", features: Any, cars: "pd.DataFrame") -> "tuple[pd.DataFrame, Any]":
    """The answered photos whose year counts, as `carpipe.evaluation.years` wants them, with their features."""
    photos = answers.table()
    photos = photos.assign(year=photos["key"].map(cars.set_index("key")["year"]).astype("float"))
    counted = photos["year"].notna().to_numpy()
    return photos[counted], None if features is None else features[counted]
