"""What classes of an earlier model are called today."""

from collections.abc import Mapping, Sequence

from carpipe.manifest import Manifest
from carpipe.steps import results
from carpipe.steps.data.taxonomy import read_taxonomy
from carpipe.steps.session import Session


def class_map(session: Session, old: Manifest, new: Manifest) -> dict[str, str]:
    """What each class of an old model is called by a new one, where that is one class and another name."""
    if results.TAXONOMY not in old.files or results.TAXONOMY not in new.files:
        return {}
    before, after = read_taxonomy(session, old), read_taxonomy(session, new)
    targets: dict[str, set[str | None]] = {}
    for name in {*before.models, *old.extra["classes"]}:
        if (label := before.class_or_none(name)) is not None:
            targets.setdefault(label, set()).add(after.class_or_none(name))
    single = {label: next(iter(found)) for label, found in targets.items() if len(found) == 1}
    return {label: name for label, name in single.items() if name and name != label}


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
