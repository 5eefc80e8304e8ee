"""Originals: of a photo that is out as a copy, which photo stays in its place, and how the two are alike.

`identify` says of a copy only that it is one. Which photo stays follows from what it commits: the sha256 of files, and
pairs of files that show one picture.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from carpipe import manifest
from carpipe.manifest import Manifest
from carpipe.reasons import STAGES
from carpipe.steps import results
from carpipe.steps.session import Session

if TYPE_CHECKING:
    import pandas as pd

STAGE = "identify"
# What of the photo table tells an original.
COLUMNS = ["key", "dropped", "dropped_by", "sha256"]
SAME = "the same file, byte for byte"
NEAR = "nearly the same picture"
EDITED = "an edited copy"
OLDER = "an older file of the same name"


@dataclass(frozen=True)
class Original:
    """The photo that stays, and what the other one is to it: SAME, NEAR, EDITED or OLDER."""

    key: str
    how: str


def find_originals(
    session: Session, dataset: Manifest, photos: "pd.DataFrame", asked: "pd.DataFrame"
) -> dict[Any, Original]:
    """What stays in a dataset instead of some photos, by the labels of their rows; of copies alone.

    The pairs are read only where no file with the same bytes stays.

    Args:
        photos: the whole photo table of the dataset, `COLUMNS` of it at least.
        asked: rows of it.

    Raises:
        MissingError: what the dataset was made of is gone.
    """
    mine = asked[asked["dropped_by"] == STAGE]
    older = mine[mine["dropped"] == "superseded"]
    found = {row: Original(key, OLDER) for row, key in older["key"].items()}
    duplicates = mine[mine["dropped"] == "duplicate"]
    if duplicates.empty:
        return found
    copies, stays = duplicates["sha256"], _that_stay(photos)
    found |= {row: Original(stays[file], SAME) for row, file in copies.items() if file in stays}
    if missing := {row: file for row, file in copies.items() if row not in found}:
        links = _links(session, dataset, photos)
        found |= {row: one for row, file in missing.items() if (one := _linked(file, links, stays))}
    return found


def _that_stay(photos: "pd.DataFrame") -> Mapping[str, str]:
    """By the sha256 of its file, the photo that `identify` has left in: later stages may have dropped it since."""
    until_then = STAGES[: STAGES.index(STAGE) + 1]
    left = photos.loc[~photos["dropped_by"].isin(until_then), ["sha256", "key"]].dropna()
    return dict(zip(left["sha256"], left["key"], strict=True))


def _links(session: Session, dataset: Manifest, photos: "pd.DataFrame") -> "pd.DataFrame":
    """Pairs of files that show one picture, both ways: sha256 `one` and `other`, and whether one was `edited`."""
    import pandas as pd

    from carpipe.photos import from_parquet

    done = dataset
    while done.stage != STAGE:  # dataset, split, classes, identify
        done = manifest.read(session.store, done.inputs[0])
    pairs = from_parquet(
        manifest.read_file(session.store, done, results.PAIRS), columns=["key_a", "key_b"], also=("edited",)
    )
    named = photos.loc[photos["key"].isin({*pairs["key_a"], *pairs["key_b"]}), ["key", "sha256"]].dropna()
    links = pairs.assign(edited=pairs.get("edited", False))
    for end, name in (("key_a", "one"), ("key_b", "other")):
        links = links.merge(named.rename(columns={"key": end, "sha256": name}), on=end)
    back = links.rename(columns={"one": "other", "other": "one"})
    return pd.concat([links, back], ignore_index=True)[["one", "other", "edited"]]


def _linked(file: str, links: "pd.DataFrame", stays: Mapping[str, str]) -> Original | None:
    """What stays of the picture that a file shows: told from pictures encoded anew, or with edited ones among them."""
    for how, some in ((NEAR, links[~links["edited"].astype(bool)]), (EDITED, links)):
        for other in _reached(file, some):
            if other in stays:
                return Original(stays[other], how)
    return None


def _reached(file: str, links: "pd.DataFrame") -> list[str]:
    """All files that links lead to, the nearest first."""
    found = fresh = [file]
    while fresh:
        ahead = links.loc[links["one"].isin(fresh), "other"]
        fresh = [one for one in dict.fromkeys(ahead) if one not in found]
        found = [*found, *fresh]
    return found
