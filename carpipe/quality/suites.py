"""What must hold for the tables of a dataset, written as Great Expectations suites.

One rule per line. Its `description` is the sentence that Data Docs and failure messages show, so it says
what is right, not what is wrong.
"""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from carpipe.photos import SPLITS
from carpipe.quality.engine import Expectation, gxe
from carpipe.quality.witness import AUDIT_COLUMNS, NUMBER_COLUMNS, SPLIT_COLUMNS

MEANING = {
    "leaked_vehicle": "no vehicle is in two splits",
    "leaked_sha256": "no picture (sha256) is in two splits",
    "not_a_number": "counts are numbers",
    "without_train": "every class has photos to train on",
    "miscounted": "the split tables list as many photos of a class as the audit table holds",
}


def build_suites(joined: Mapping[str, pd.DataFrame], classes: Sequence[str]) -> dict[str, list[Expectation]]:
    """Return the expectations for each table that `with_witnesses` made.

    Those on a column that a table lacks are left out, so that one missing column is one failure.
    """
    suites = {split: [*_split_rules(split, classes)] for split in SPLITS}
    suites |= {"audit": [*_audit_rules(classes)], "classes": [*_class_rules()]}
    return {name: [rule for rule in suites[name] if _applies(rule, joined[name])] for name in suites}


def _split_rules(split: str, classes: Sequence[str]) -> Iterator[Expectation]:
    yield from _complete(SPLIT_COLUMNS)
    yield _is_null("not_a_number")
    for column in NUMBER_COLUMNS[1:]:
        yield gxe.ExpectColumnValuesToBeBetween(column=column, min_value=1, description=f"{column} is 1 or more")
    # As in the published tables: a listing is part of the running count of its model, which ends at what
    # the cap left of the model.
    yield _at_most("nof_photos", "cumsum_by_model")
    yield _at_most("cumsum_by_model", "updated_directory_size")
    yield _at_most("updated_directory_size", "directory_size")
    yield _known_class(classes)
    yield gxe.ExpectColumnValuesToBeInSet(
        column="split", value_set=[split], description=f"the table holds split {split} only"
    )
    yield _is_null("leaked_vehicle")


def _audit_rules(classes: Sequence[str]) -> Iterator[Expectation]:
    yield from _complete(AUDIT_COLUMNS)
    yield gxe.ExpectColumnValuesToBeUnique(column="key", description="each photo is there once")
    yield _known_class(classes)
    yield gxe.ExpectColumnValuesToBeInSet(
        column="split", value_set=list(SPLITS), description=f"split is one of {', '.join(SPLITS)}"
    )
    yield _is_null("leaked_vehicle")
    yield _is_null("leaked_sha256")


def _class_rules() -> Iterator[Expectation]:
    yield from _complete(["class_name"])
    yield gxe.ExpectColumnValuesToBeUnique(column="class_name", description="each class is there once")
    yield _is_null("without_train")
    yield _is_null("miscounted")


def _complete(columns: Sequence[str]) -> Iterator[Expectation]:
    yield gxe.ExpectTableColumnsToMatchSet(
        column_set=list(columns), exact_match=False, description=f"has the columns {', '.join(columns)}"
    )
    yield gxe.ExpectTableRowCountToBeBetween(min_value=1, description="has rows")
    for column in columns:
        yield gxe.ExpectColumnValuesToNotBeNull(column=column, description=f"{column} is never empty")


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
    rule: Expectation = gxe.ExpectColumnValuesToBeInSet(
        column="class_name", value_set=list(classes), description="the class is known"
    )
    return rule


def _is_null(witness: str) -> Expectation:
    rule: Expectation = gxe.ExpectColumnValuesToBeNull(column=witness, description=MEANING[witness])
    return rule


def _applies(rule: Expectation, table: pd.DataFrame) -> bool:
    columns = (getattr(rule, name, None) for name in ("column", "column_A", "column_B"))
    return all(column is None or column in table for column in columns)
