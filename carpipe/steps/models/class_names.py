"""What classes of an earlier model are called today."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from carpipe.manifest import Manifest
from carpipe.steps import results
from carpipe.steps.data.taxonomy import read_taxonomy
from carpipe.steps.session import Session

if TYPE_CHECKING:
    import pandas as pd


def class_map(session: Session, old: Manifest, new: Manifest) -> dict[str, str]:
    """What each class of an old model is called by a new one, where that is one class and another name."""
    if results.TAXONOMY not in old.files or results.TAXONOMY not in new.files:
        return {}
    before, after = read_taxonomy(session, old), read_taxonomy(session, new)
    targets: dict[str, set[str | None]] = {}
    # A class that is made of models is told by them: its own name is no model of the data.
    own = {name for name in old.extra["classes"] if name not in before.classes}
    for name in {*before.models, *own}:
        if (label := before.class_or_none(name)) is not None:
            targets.setdefault(label, set()).add(after.class_or_none(name))
    single = {label: next(iter(found)) for label, found in targets.items() if len(found) == 1}
    return {label: name for label, name in single.items() if name and name != label}


def names_then(session: Session, old: Manifest, new: Manifest, photos: "pd.DataFrame") -> "pd.Series[str]":
    """The class that each photo of today would have had for an old model; today's where nobody can tell.

    Args:
        photos: `model` and `class_name`, either may be null; and `CORRECTED`, where the table has them.

    Returns:
        Names, null where the old taxonomy has no class for the photo's model. A photo that a person has corrected has
        the model that it was corrected to; where that was a class of several, nobody can tell.
    """
    if results.TAXONOMY not in old.files or results.TAXONOMY not in new.files:
        return photos["class_name"]
    import pandas as pd

    from carpipe.photos import counted_models

    before, after = read_taxonomy(session, old), read_taxonomy(session, new)

    def then(model: str, today: str) -> str | None:
        # What a person has put into another class is not what its model says.
        return before.class_or_none(model) if after.class_or_none(model) == today else today

    table = pd.DataFrame({"model": counted_models(photos), "class_name": photos["class_name"]})
    pairs = table.dropna().drop_duplicates()
    named = [then(*pair) for pair in pairs.itertuples(index=False, name=None)]
    pairs["then"] = pd.Series(named, index=pairs.index, dtype="object")
    found = table.merge(pairs, on=["model", "class_name"], how="left")["then"].set_axis(photos.index)
    if "corrected" not in photos:
        return found
    # The model that such a photo counts with is only the most frequent of its class.
    vague = photos["corrected"].notna() & (photos["corrected"] != photos["corrected_model"])
    return found.mask(vague, photos["class_name"])


def parts_of(old: Sequence[str], new: Sequence[str], became: Mapping[str, str]) -> dict[str, list[str]]:
    """By class of today, the old classes that it is made of; those that have none are left out."""
    parts: dict[str, list[str]] = {}
    for name in old:
        today = became.get(name, name)
        if today in new:
            parts.setdefault(today, []).append(name)
    return parts


def changed_share(old: Sequence[str], new: Sequence[str], parts: Mapping[str, Sequence[str]]) -> float:
    """Share of all classes, old and new ones, that are new, merged or gone. A new name alone is no change."""
    same = sum(len(parts.get(name, ())) == 1 for name in new)
    every = len(new) + len(old) - sum(len(found) for found in parts.values())
    return 1 - same / every
