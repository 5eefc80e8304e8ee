"""Proposals of new classes, in words and as JSON: names without a class, and listings that look alike.

See `new_names` and `look_alikes` for how they are found.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from carpipe.evaluation.look_alikes import Group
from carpipe.evaluation.new_names import FEW, MOSTLY, Name, NameProposal, Names, examples_of
from carpipe.html_page import per_cent


def to_json(
    listings: pd.DataFrame, names: Names, groups: Sequence[Group], *, unknown: pd.DataFrame, notes: Sequence[str]
) -> dict[str, Any]:
    """All that is proposed, JSON-able.

    Args:
        listings: all new ones, of `new_names.pool_listings`.
        unknown: those of them that `groups` have the numbers of.
        notes: sentences on what could not be found out.

    Returns:
        `judged` and `unknown` listings, `chance`; `names` and `groups`, with `why` and `examples` (keys) of each;
        `listings`, a row for each listing of either, with `proposal`, the name or the group's number; `notes`.
    """
    mine = [listings[listings["model"] == one.model] for one in names.proposals]
    theirs = [unknown.iloc[list(group.members)] for group in groups]
    rows = [row for one, part in zip(names.proposals, mine, strict=True) for row in _rows(part, one.model)]
    rows += [row for number, part in enumerate(theirs, 1) for row in _rows(part, f"look-alikes {number}")]
    return {
        "judged": int(listings["familiarity"].notna().sum()),
        "unknown": int(listings["is_unknown"].sum()),
        "chance": names.chance,
        "names": [_name(one, names.chance) for one in names.proposals],
        "groups": [_group(group, part) for group, part in zip(groups, theirs, strict=True)],
        "listings": rows,
        "notes": [*notes, *_left_out(names)],
    }


def describe(found: Mapping[str, Any]) -> str:
    """The proposals of `to_json` in some sentences, for the end of a night."""
    new = [one for one in found["names"] if one["new"] or one["twin"]]
    said = [f"{one['model']}: {_short(one)}" for one in new[:3]]
    if len(new) > len(said):
        said.append(f"{len(new) - len(said)} more names")
    parts = [f"New classes? {'; '.join(said)}."] if said else []
    if found["groups"]:
        first = found["groups"][0]
        count = len(found["groups"])
        more = f" There are {count - 1} more such groups." if count > 1 else ""
        parts.append(f"{len(first['listings'])} listings of {len(first['names'])} names look alike, and little "
                     f"like anything known.{more}")  # fmt: skip
    if not parts:
        others = len(found["names"])
        return f"No new class is proposed{f'; {others:,} names without a class do not look new' if others else ''}."
    return " ".join([*parts, "`carpipe classes new` shows them."])


def _short(one: Mapping[str, Any]) -> str:
    if one["twin"]:
        return f"{one['listings']:,} listings, spelled otherwise than {one['twin']}"
    return f"{one['listings']:,} new listings, {one['unknown']:,} unknown to the model"


def _name(one: NameProposal, chance: float) -> dict[str, Any]:
    about = one.about
    return {
        "model": one.model, "listings": one.listings, "judged": one.judged, "unknown": one.unknown, "low": one.low,
        "new": one.new, "alias": one.alias, "looks_like": one.looks_like, "votes": one.votes, "photos": about.photos,
        "needs": about.needs, "has_class": about.has_class, "twin": about.twin,
        "why": " ".join(_why(one, about, chance)), "examples": list(one.examples),
    }  # fmt: skip


def _why(one: NameProposal, about: Name, chance: float) -> Iterator[str]:
    if about.twin:
        yield f"It differs from {about.twin} in spelling alone."
    if not one.judged:
        yield "Whether the model knows them is not kept: answers of before do not say it."
    elif one.more_unknown:
        yield (
            f"{one.unknown:,} of {one.judged:,} new listings are unknown to the model: {per_cent(one.low)} at least, "
            f"where {per_cent(chance)} of known cars are."
        )
    else:
        yield (
            f"{one.unknown:,} of {one.judged:,} new listings are unknown to the model, which is not surely more than "
            f"of known cars ({per_cent(chance)})."
        )
    usual = "" if one.usual is None else f", where {per_cent(one.usual)} of its own new listings do"
    if one.spread:
        yield f"The answers are spread: {one.votes:,} of {one.listings:,} look most like {one.looks_like}{usual}."
    else:
        yield f"{one.votes:,} of {one.listings:,} look most like {one.looks_like}{usual}."
    yield _size(about)


def _size(about: Name) -> str:
    if about.has_class:
        return f"It has a class in this dataset already, with {about.photos:,} photos: the next model learns it."
    if about.needs:
        return f"It has {about.photos:,} photos, and needs {about.needs:,} more for a class."
    return f"It has {about.photos:,} photos, enough for a class, and no rule makes one."


def _group(group: Group, mine: pd.DataFrame) -> dict[str, Any]:
    names = Counter(mine["model"]).most_common()
    looks, votes = Counter(mine["answer"]).most_common(1)[0]
    told = ", ".join(f"{name} {count:,}" for name, count in names[:5])
    more = f" and {len(names) - 5} more names" if len(names) > 5 else ""
    why = f"{len(mine):,} listings look alike, and little like anything known. They are called {told}{more}."
    mostly = votes >= MOSTLY * len(mine)
    if mostly:
        why += f" The model takes {votes:,} of them for {looks}."
    return {
        "listings": list(mine["listing"]), "names": dict(names), "alike": round(group.alike, 3),
        "looks_like": str(looks) if mostly else "", "votes": votes if mostly else 0, "why": why,
        "examples": list(examples_of(mine)),
    }  # fmt: skip


def _rows(mine: pd.DataFrame, proposal: str) -> Iterator[dict[str, Any]]:
    for listing, model, key, unknown in mine[["listing", "model", "key", "is_unknown"]].itertuples(index=False):
        yield {"listing": listing, "from": model, "proposal": proposal, "unknown": bool(unknown), "key": key}


def _left_out(names: Names) -> Iterator[str]:
    if names.few:
        yield f"Names without a class that have fewer than {FEW} new listings: {names.few:,}."
    if names.erased:
        yield f"Names that are left out, since a rule of the taxonomy erases them: {names.erased:,}."
