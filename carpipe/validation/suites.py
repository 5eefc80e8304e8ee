"""What must hold for the tables of a dataset, written as Great Expectations suites.

One rule per line. Its `description` is the sentence that Data Docs and failure messages show, so it says
what is right, not what is wrong.
"""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from carpipe.html_page import per_cent
from carpipe.photos import SPLITS
from carpipe.validation import expectations as ours
from carpipe.validation.engine import Expectation, gxe
from carpipe.validation.joins import AUDIT_COLUMNS, NUMBER_COLUMNS, PHOTO_COLUMNS, SPLIT_COLUMNS
from carpipe.validation.limits import Limits


def build_suites(
    joined: Mapping[str, pd.DataFrame], classes: Sequence[str], limits: Limits
) -> dict[str, list[Expectation]]:
    """Return the expectations for each table that `join_tables` made.

    Those on a column that a table lacks, or on counts that are text instead of numbers, are left out, so that one bad
    column is one failure.
    """
    suites = {split: _split_rules(split, classes, limits) for split in SPLITS}
    suites |= {
        "listings": _listing_rules(),
        "audit": _audit_rules(classes, limits),
        "photos": _photo_rules(limits),
        "classes": _class_rules(limits),
        "funnel": _funnel_rules(limits),
    }
    return {name: [rule for rule in rules if _applies(rule, joined[name])] for name, rules in suites.items()}


def _split_rules(split: str, classes: Sequence[str], limits: Limits) -> Iterator[Expectation]:
    yield from _complete(SPLIT_COLUMNS)
    yield ours.ExpectColumnsOfNumbers(columns=list(NUMBER_COLUMNS), description="counts are numbers")
    yield gxe.ExpectCompoundColumnsToBeUnique(
        column_list=["car_model", "vehicle"], description="each vehicle is there once per model"
    )
    yield gxe.ExpectColumnValuesToBeBetween(column="nof_photos", min_value=1, description="nof_photos is 1 or more")
    # As in the published tables: a listing is part of the running count of its model, which ends at what
    # the cap left of the model.
    yield _at_most("nof_photos", "cumsum_by_model")
    yield _at_most("cumsum_by_model", "updated_directory_size")
    yield _at_most("updated_directory_size", "directory_size")
    yield gxe.ExpectColumnValuesToBeBetween(
        column="directory_size",
        min_value=limits.min_photos,
        description=f"directory_size is {limits.min_photos:,} or more",
    )
    if limits.max_photos:
        yield gxe.ExpectColumnValuesToBeBetween(
            column="updated_directory_size",
            max_value=limits.max_photos,
            description=f"updated_directory_size is at most {limits.max_photos:,}",
        )
    yield _known_class(classes)
    yield _in_set("split", [split], description=f"the table holds split {split} only")


def _listing_rules() -> Iterator[Expectation]:
    yield ours.ExpectVehiclesInOneSplit(description="no vehicle is in two split tables")


def _audit_rules(classes: Sequence[str], limits: Limits) -> Iterator[Expectation]:
    yield from _complete(AUDIT_COLUMNS)
    yield gxe.ExpectColumnValuesToBeUnique(column="key", description="each photo is there once")
    yield _known_class(classes)
    yield _in_set("split", SPLITS, description=f"split is one of {', '.join(SPLITS)}")
    yield ours.ExpectVehiclesInOneSplit(description="no vehicle is in two splits")
    yield ours.ExpectPicturesInOneSplit(description="no picture (sha256) is in two splits")
    yield ours.ExpectListingsInOneSplit(description="no listing (listing_uuid) is in two splits")
    yield gxe.ExpectColumnValuesToBeBetween(
        column="p_car",
        min_value=limits.threshold,
        description=f"p_car is at least the threshold, {limits.threshold:g}",
    )
    yield _share("box_score")
    yield ours.ExpectBoxesInsideFrames(description="each box lies inside its photo")


def _photo_rules(limits: Limits) -> Iterator[Expectation]:
    yield from _complete(PHOTO_COLUMNS, never_empty=["key"])
    # A photo that was overwritten under raw/ has a row for each version.
    yield ours.ExpectVersionsOnce(description="each version of a photo is there once")
    yield _share("p_car")
    yield ours.ExpectDroppedPhotosToSayWhy(description="every dropped photo has a reason and a stage")
    yield ours.ExpectKeptPhotosNotDropped(description="no kept photo has a reason or a stage that dropped it")
    if limits.funnel:
        stages = [entry["stage"] for entry in limits.funnel]
        yield _in_set("dropped_by", stages, description=f"the stage that dropped a photo is one of {', '.join(stages)}")
    yield ours.ExpectEnoughPhotosPerModel(
        min_photos=limits.min_photos,
        description=f"each model has {limits.min_photos:,} photos or more, before cap and split",
    )
    if limits.max_photos:
        yield ours.ExpectPhotosPerModelUnderCap(
            max_photos=limits.max_photos, description=f"each model has at most {limits.max_photos:,} photos"
        )


def _class_rules(limits: Limits) -> Iterator[Expectation]:
    shares = " / ".join(per_cent(share, 0) for share in limits.shares)
    yield gxe.ExpectColumnValuesToBeUnique(column="class_name", description="each class is there once")
    yield ours.ExpectClassesInEverySplit(description="each class has photos in train, val and test")
    yield ours.ExpectListedPhotosToMatch(
        description="the split tables list as many photos of a class as the audit table holds"
    )
    yield ours.ExpectSplitSharesNearQuota(
        shares=list(limits.shares),
        tolerance=limits.split_tolerance,
        description=f"the photos are split about {shares}",
    )
    yield ours.ExpectClassSharesNearQuota(
        shares=list(limits.shares),
        tolerance=limits.class_tolerance,
        description=f"the photos of each class are split about {shares}",
    )


def _funnel_rules(limits: Limits) -> Iterator[Expectation]:
    yield ours.ExpectFunnelNearPrevious(
        tolerance=limits.funnel_tolerance,
        description=f"each stage keeps the share that it kept before, within {100 * limits.funnel_tolerance:g} points; "
        "classes and split may keep more",
    )


def _complete(columns: Sequence[str], never_empty: Sequence[str] = ()) -> Iterator[Expectation]:
    """It has `columns` and rows, and no empty cell in `never_empty`; without that, in any of them."""
    yield gxe.ExpectTableColumnsToMatchSet(
        column_set=list(columns), exact_match=False, description=f"has the columns {', '.join(columns)}"
    )
    yield gxe.ExpectTableRowCountToBeBetween(min_value=1, description="has rows")
    where = f"no {' or '.join(never_empty) or 'cell'} is empty"
    yield ours.ExpectNoEmptyCells(columns=list(never_empty or columns), description=where)


def _at_most(small: str, large: str) -> Expectation:
    rule: Expectation = gxe.ExpectColumnPairValuesAToBeGreaterThanB(
        column_A=large,
        column_B=small,
        or_equal=True,
        ignore_row_if="either_value_is_missing",
        description=f"{small} is at most {large}",
    )
    return rule


def _known_class(classes: Sequence[str]) -> Expectation:
    return _in_set("class_name", classes, description="the class is known")


def _in_set(column: str, values: Sequence[str], *, description: str) -> Expectation:
    rule: Expectation = gxe.ExpectColumnValuesToBeInSet(column=column, value_set=list(values), description=description)
    return rule


def _share(column: str) -> Expectation:
    rule: Expectation = gxe.ExpectColumnValuesToBeBetween(
        column=column, min_value=0, max_value=1, description=f"{column} is between 0 and 1"
    )
    return rule


def _applies(rule: Expectation, table: pd.DataFrame) -> bool:
    columns = {getattr(rule, name, None) for name in ("column", "column_A", "column_B")} - {None}
    columns |= {*getattr(rule, "needs", ()), *getattr(rule, "column_list", ())}
    if not columns <= set(table):
        return False
    compares = isinstance(rule, gxe.ExpectColumnValuesToBeBetween | gxe.ExpectColumnPairValuesAToBeGreaterThanB)
    counts = columns.intersection(NUMBER_COLUMNS) if compares else ()
    return all(pd.api.types.is_numeric_dtype(table[column]) for column in counts)
