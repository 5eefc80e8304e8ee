"""What people's corrections have changed of the photos that models are judged on."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from carpipe.errors import InputError, MissingError
from carpipe.manifest import Manifest
from carpipe.steps import results
from carpipe.steps.data.ledger import read_ledger
from carpipe.steps.data.taxonomy import read_taxonomy
from carpipe.steps.session import Session

if TYPE_CHECKING:
    import pandas as pd

    from carpipe.evaluation.decision import Decision

COLUMNS = ("listing_uuid", "vehicle", "model", "class_name", "split", "dropped")


def count_corrected(session: Session, data: Manifest) -> dict[str, int]:
    """Test photos that people's corrections have moved.

    Args:
        data: a dataset, or a label set, which nobody corrects.

    Returns:
        `photos`, of so many `vehicles`, that are of another class than their folder says, and `out`: photos of
        listings on the test side that are in no dataset, since they are of no class.
    """
    from carpipe.photos import CORRECTED

    photos = results.read_photos(session.store, data, columns=["key"], also=[*COLUMNS, *CORRECTED])
    if not {*COLUMNS, *CORRECTED} <= set(photos):
        return {"photos": 0, "vehicles": 0, "out": 0}
    test = photos[photos["dropped"].isna() & (photos["split"] == "test") & photos["corrected"].notna()]
    taxonomy = read_taxonomy(session, data)
    sellers = test["model"].map({name: taxonomy.class_or_none(name) or "" for name in test["model"].unique()})
    moved = test[sellers != test["class_name"]]
    return {"photos": len(moved), "vehicles": int(moved["vehicle"].nunique()), "out": _count_out(session, photos)}


def with_corrected(decision: "Decision", count: Mapping[str, int]) -> "Decision":
    """A decision that says how many test photos people have moved: both models were judged on what they say."""
    known = replace(decision, numbers={**decision.numbers, "corrected": dict(count)})
    if not count["photos"] and not count["out"]:
        return known
    says = (
        f"People have corrected listings: {count['photos']:,} test photos (of {count['vehicles']:,} vehicles) are of "
        f"another class than their seller says, and {count['out']:,} of no class are out of the test. Both models were "
        "judged by that."
    )
    return known.with_check("corrected", True, says)


def _count_out(session: Session, photos: "pd.DataFrame") -> int:
    from carpipe.taxonomy.words import DROPPED

    out = photos[photos["dropped"].isin([*DROPPED.values()])]
    if out.empty:
        return 0
    try:
        _, sides = read_ledger(session)
    except (MissingError, InputError):
        return 0  # the next split says what is wrong with it; here it decides nothing
    return int((out["listing_uuid"].map(sides) == "test").sum())
