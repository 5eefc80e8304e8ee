"""What became of a photo, for people: its fate, and what each stage found."""

from collections.abc import Mapping, Sequence
from typing import Any

from carpipe.errors import InputError
from carpipe.figures import figure
from carpipe.names import match_key, shown
from carpipe.steps import results
from carpipe.steps.data.datasets import find_dataset
from carpipe.steps.listings.rows import Correction
from carpipe.steps.listings.store import read_corrections, told
from carpipe.steps.session import Session
from carpipe.steps.views.originals import Original, find_originals

# Photos shown of those whose key holds the words somebody looks for.
SHOWN = 20
# What each stage found out, in the order of the stages.
FACTS = (
    "format", "width", "height", "damage", "repaired", "p_car", "view", "view_p", "box_label", "box_score",
    "box", "vehicle", "model", "corrected", "class_name", "split", "partition",
)  # fmt: skip


def describe_photos(session: Session, words: str, dataset: str | None) -> str:
    """Fate and findings of the photos whose key is, or contains, `words`, and what people said of them, as text.

    Args:
        words: a key with or without `raw/`, a file name, a listing uuid, or any other part of a key.
        dataset: manifest key; None means the newest.

    Raises:
        InputError: no photo of the dataset has such a key.
    """
    source = find_dataset(session, dataset)
    photos = results.read_photos(session.store, source)
    # However the words are written: composed or not, and with the escapes that names are shown with.
    wanted, names = match_key(shown(words)), photos["key"].map(lambda key: match_key(shown(key)))
    exact = photos[names == wanted]
    found = exact if len(exact) else photos[names.str.contains(wanted, regex=False)]
    if found.empty:
        raise InputError(
            f"No photo of {source.key} has {wanted!r} in its key; one that was uploaded later is in the next dataset."
        )
    said, told = read_corrections(session), found.head(SHOWN)
    originals = find_originals(session, source, photos, told)
    lines = [
        _describe(row, said, originals.get(label))
        for label, row in zip(told.index, told.to_dict("records"), strict=True)
    ]
    if len(found) > SHOWN:
        lines.append(f"... and {len(found) - SHOWN:,} more photos; look for more of the key.")
    return "\n\n".join(lines)


def _describe(row: Mapping[Any, Any], said: Sequence[Correction], original: Original | None) -> str:
    fate = f"out: {row['dropped']}, by stage {row['dropped_by']}" if _known(row["dropped"]) else f"in: {row['split']}"
    facts = [("instead", f"{original.key} stays; this is {original.how}")] if original else []
    facts += [(name, _text(row[name])) for name in FACTS if name in row and _known(row[name])]
    # What was said since the dataset was made is among it.
    facts += [("said", told(one)) for one in said if one.listing == row.get("listing_uuid")]
    return "\n".join([shown(row["key"]), f"  {fate}", *(f"  {name:<11} {shown(text)}" for name, text in facts)])


def _known(value: Any) -> bool:
    import pandas as pd

    return not pd.api.types.is_scalar(value) or not pd.isna(value)


def _text(value: Any) -> str:
    if hasattr(value, "__len__") and not isinstance(value, str):
        return " ".join(f"{number:.0f}" for number in value)
    return figure(value)
