"""Where a model is good and where not: by class, make, listing and training photos, and which pairs it confuses."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from sklearn.metrics import classification_report

from carpipe.evaluation.metrics import judge_listings
from carpipe.evaluation.predictions import Predictions
from carpipe.spreadsheet import to_csv

TRAINING_PHOTOS = (0, 50, 100, 200, 400, 700, 1000, 1500)  # where buckets start
LISTING_PHOTOS = (1, 2, 3, 5, 8, 12)
SUMMARIES = ("accuracy", "macro avg", "weighted avg")  # the last rows of the published report


def report_csv(test: Predictions) -> str:
    """The per-class report as CSV, columns and rows as published: precision, recall, f1-score and support by class.

    The published row `accuracy` holds the accuracy in every column.
    """
    return to_csv(_report(test), index=True)


def by_class(test: Predictions, *, training: Mapping[str, int]) -> pd.DataFrame:
    """One row per class, in the order of `classes`, whatever its test photos.

    Columns: `class_name`, `photos`, `vehicles` (of the test split), `training` (photos trained on, 0 if not said),
    `precision`, `recall`, `f1` and `taken_for` (the wrong answer it gets most often, empty if none).
    """
    names = list(test.classes)
    scores = _report(test).iloc[: len(names)]  # by place: a class may be called `accuracy`
    confused = confused_pairs(test).drop_duplicates("truth").set_index("truth")["answer"]
    vehicles = test.photos.groupby("class_name")["vehicle"].nunique().reindex(names, fill_value=0)
    return pd.DataFrame(
        {
            "class_name": names,
            "photos": scores["support"].to_numpy().astype(int),
            "vehicles": vehicles.to_numpy(),
            "training": [int(training.get(name, 0)) for name in names],
            "precision": scores["precision"].to_numpy(),
            "recall": scores["recall"].to_numpy(),
            "f1": scores["f1-score"].to_numpy(),
            "taken_for": [confused.get(name, "") for name in names],
        }
    )


def worst_classes(classes: pd.DataFrame, *, count: int) -> pd.DataFrame:
    """The rows of `by_class` with the least F1, worst first; classes without test photos say nothing."""
    tested = classes[classes["photos"] > 0]
    return tested.sort_values(["f1", "photos", "class_name"], ascending=[True, False, True]).head(count)


def confused_pairs(test: Predictions) -> pd.DataFrame:
    """Wrong answers by pair, most photos first: `truth`, `answer`, `photos`, `share` (of the truth's photos)."""
    table = test.table()[["class_name", "answer", "correct"]].rename(columns={"class_name": "truth"})
    pairs = table[~table["correct"]].groupby(["truth", "answer"]).size().rename("photos").reset_index()
    totals = table["truth"].value_counts()
    pairs["share"] = pairs["photos"] / totals.reindex(pairs["truth"]).to_numpy()
    return pairs.sort_values(["photos", "truth", "answer"], ascending=[False, True, True], ignore_index=True)


def by_make(test: Predictions) -> pd.DataFrame:
    """Accuracy by make, the model name up to its first `_`: `make`, `classes`, `photos`, `vehicles`, `accuracy`.

    Most photos first. A wrong answer of the right make counts as wrong, and in `make_accuracy` as right.
    """
    table = test.table()
    table = table.assign(make=make_of(table["model"]))
    table["right_make"] = table["correct"] | (make_of(table["answer"]) == table["make"])
    groups = table.groupby("make")
    rows = groups.agg(
        classes=("class_name", "nunique"),
        photos=("key", "size"),
        vehicles=("vehicle", "nunique"),
        accuracy=("correct", "mean"),
        make_accuracy=("right_make", "mean"),
    ).reset_index()
    return rows.sort_values(["photos", "make"], ascending=[False, True], ignore_index=True)


def by_listing(test: Predictions) -> pd.DataFrame:
    """What several photos of one car are worth: `photos` (of a listing, a bucket's name), `listings`, `accuracy`.

    `photo_accuracy` is that of the same photos one by one.
    """
    listings = judge_listings(test)
    listings["bucket"] = bucket(listings["photos"], LISTING_PHOTOS)
    rows = listings.groupby("bucket", observed=True).agg(
        listings=("photos", "size"),
        accuracy=("correct", "mean"),
        total=("photos", "sum"),
        right=("photos_correct", "sum"),
    )
    rows["photo_accuracy"] = rows.pop("right") / rows.pop("total")
    return rows.reset_index().rename(columns={"bucket": "photos"}).astype({"photos": str})


def by_training_photos(classes: pd.DataFrame) -> pd.DataFrame:
    """How good classes are by how many photos they were trained on, of the table of `by_class`.

    Columns: `training` (a bucket's name), `classes`, `photos` (of test), `accuracy` (of those photos), `f1` (mean).
    """
    tested = classes[classes["photos"] > 0]
    tested = tested.assign(
        bucket=bucket(tested["training"], TRAINING_PHOTOS), right=tested["recall"] * tested["photos"]
    )
    rows = tested.groupby("bucket", observed=True).agg(
        classes=("photos", "size"), photos=("photos", "sum"), right=("right", "sum"), f1=("f1", "mean")
    )
    rows["accuracy"] = rows.pop("right") / rows["photos"]
    return rows.reset_index().rename(columns={"bucket": "training"}).astype({"training": str})


def make_of(names: "pd.Series[str]") -> "pd.Series[str]":
    """`audi` of `audi_a4`."""
    return names.astype(str).str.partition("_")[0]


def bucket(values: "pd.Series[int]", starts: Sequence[int]) -> "pd.Series[str]":
    """The name of each value's bucket, `50–99`, as an ordered category; the last bucket has no end."""
    names = [str(low) if high == low + 1 else f"{low}–{high - 1}" for low, high in pairwise(starts)]
    return pd.cut(values, [*starts, np.inf], right=False, labels=[*names, f"{starts[-1]}+"])


def _report(test: Predictions) -> pd.DataFrame:
    # By number, not by name: a dict by name would lose a class that is called `accuracy`.
    numbers = [str(number) for number in range(len(test.classes))]
    rows = classification_report(
        test.truth, test.answer, labels=range(len(numbers)), target_names=numbers, output_dict=True, zero_division=0
    )
    table = pd.DataFrame(rows).T
    table.index = pd.Index([*test.classes, *SUMMARIES])
    return table
